//! What was found so far, and how sure it is.

use lowtide_model::image::Reference;
use lowtide_model::package_state::{Doubt, Pinned, Refresh, Upgrades};

/// Further doubts add no information.
const DOUBTS: usize = 16;

/// Does it happen whenever the build succeeds?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sure {
    Yes,
    Perhaps,
}

/// A package that an install names.
pub(crate) struct PackageRequest {
    pub(crate) name: String,
    /// As written; `None`: the newest.
    pub(crate) version: Option<Version>,
    /// The package is upgraded if it is already installed.
    pub(crate) newest: bool,
}

pub(crate) enum Version {
    Known(String),
    /// As far as it is known.
    Unknown(String),
}

#[derive(Debug, Default)]
pub struct Record {
    refresh: Refresh,
    line: usize,
}

impl Record {
    /// What follows is found in the instruction that begins at `line`.
    pub(crate) fn begin(&mut self, line: usize) {
        self.line = line;
    }

    pub(crate) fn finish(mut self, base: Option<Reference>) -> Refresh {
        self.refresh.base = base;
        self.refresh
    }

    /// Records an instruction whose effect on packages is unknown. Earlier findings are no longer sure: the instruction
    /// may install another version, or add a source that has a newer one.
    pub(crate) fn doubt(&mut self, why: &str) {
        self.refresh.upgrades = Upgrades::None;
        let newest = std::mem::take(&mut self.refresh.newest);
        self.refresh.perhaps.extend(newest);
        for pinned in self.refresh.pinned.values_mut() {
            pinned.last = false;
        }
        let doubt = Doubt {
            line: self.line,
            why: why.to_owned(),
        };
        if self.refresh.doubts.len() < DOUBTS && !self.refresh.doubts.contains(&doubt) {
            self.refresh.doubts.push(doubt);
        }
    }

    /// The package sources change: they may have newer versions than the ones that earlier instructions installed from.
    pub(crate) fn sources(&mut self) {
        if self.refresh.installs || self.refresh.upgrades != Upgrades::None {
            self.doubt("package sources change after something was installed");
        }
    }

    pub(crate) fn upgrade(&mut self, how: Upgrades, sure: Sure) {
        match sure {
            Sure::Yes => self.refresh.upgrades = self.refresh.upgrades.max(how),
            Sure::Perhaps => self.doubt("an upgrade is not sure to happen"),
        }
    }

    pub(crate) fn install(&mut self, request: PackageRequest, sure: Sure) {
        let PackageRequest { name, version, newest } = request;
        let sure = sure == Sure::Yes;
        self.refresh.installs |= sure;
        match version {
            Some(version) => {
                let before = self.refresh.pinned.get(&name);
                let (version, written) = match version {
                    Version::Known(version) => (Some(version.clone()), version),
                    Version::Unknown(written) => (None, written),
                };
                // If either of two pins may apply, the version is not known.
                let only = sure || before.is_none_or(|before| before.version == version);
                let pinned = Pinned {
                    version: version.filter(|_| only),
                    written,
                    line: self.line,
                    sure,
                    last: sure,
                };
                self.refresh.newest.remove(&name);
                self.refresh.pinned.insert(name, pinned);
            }
            None if newest && sure => {
                self.refresh.pinned.remove(&name);
                self.refresh.perhaps.remove(&name);
                self.refresh.newest.insert(name);
            }
            None if newest => {
                if let Some(pinned) = self.refresh.pinned.get_mut(&name) {
                    pinned.last = false;
                }
                if !self.refresh.newest.contains(&name) {
                    self.refresh.perhaps.insert(name);
                }
            }
            None => {}
        }
    }

    pub(crate) fn hold(&mut self, name: &str) {
        self.refresh.held.insert(name.to_owned());
    }
}
