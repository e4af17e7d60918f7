//! Which version of a package is the candidate: apt_preferences(5).

use super::world::{PackageId, VersionId, World};
use crate::preferences::{Criterion, Pin, PinPriority};
use crate::version;

/// From this priority on an older version is taken as well.
const DOWNGRADE: i32 = 1000;

impl<'a> World<'a> {
    /// The version of the highest priority; of equal ones the newest; none that is older than what is installed, unless its
    /// priority says that this is wanted.
    pub(super) fn policy_candidate(&self, package: PackageId) -> Option<VersionId> {
        let it = &self.packages[package.at()];
        let installed = it.current.map(|current| self.versions[current.at()].text);
        let mut best = None;
        let mut highest = -1;
        for version in &it.versions {
            let priority = self.priority(*version);
            if priority == 0 || priority <= highest {
                continue;
            }
            let older = |installed| version::compare(self.versions[version.at()].text, installed).is_lt();
            if priority < DOWNGRADE && installed.is_some_and(older) {
                continue;
            }
            highest = priority;
            best = Some(*version);
        }
        best
    }

    fn priority(&self, version: VersionId) -> i32 {
        let it = &self.versions[version.at()];
        let files = it.files.iter().map(|file| &self.files[*file]);
        let pin = self.pins.iter().find(|pin| self.speaks_of(pin, version));
        if let Some(PinPriority::Of(priority)) = pin.map(|pin| pin.priority)
            && files.clone().any(|file| file.priority != PinPriority::Never)
        {
            return i32::from(priority);
        }
        let current = self.packages[it.package.at()].current == Some(version);
        let of_file = |file: &super::file::File<'a>| match file.priority {
            // Left behind by a package that is removed: there is nothing to install it from.
            _ if file.archive.is_none() && !current => -1,
            PinPriority::Of(priority) => i32::from(priority),
            PinPriority::Never => i32::from(i16::MIN),
        };
        files.map(of_file).max().unwrap_or(0)
    }

    fn speaks_of(&self, pin: &Pin, version: VersionId) -> bool {
        let it = &self.versions[version.at()];
        let Some(spec) = &pin.package else {
            return false;
        };
        let name = if spec.source { it.source } else { self.name(it.package) };
        let architecture = self.architectures[self.packages[it.package.at()].architecture];
        let native = self.architectures.first().copied().unwrap_or_default();
        let meant = match spec.architecture.as_deref() {
            None | Some("native") => architecture == native,
            Some("any") => true,
            Some(wanted) => architecture == wanted,
        };
        meant
            && spec.names(name)
            && match &pin.criterion {
                Criterion::Version(wanted) => wanted.matches_version(Some(it.text)),
                Criterion::SourceVersion(wanted) => wanted.matches_version(Some(it.source_version)),
                criterion @ (Criterion::AnyRelease | Criterion::Release(_) | Criterion::Origin(_)) => {
                    it.files.iter().any(|file| self.files[*file].matches(criterion))
                }
            }
    }
}
