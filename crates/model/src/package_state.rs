//! The parts of an image that decide which upgrades are pending.

use crate::image::Reference;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Stored with an image's content, so that a later night need not read the image to find what is pending in it. Its
/// files are stored beside the rest, as they are (`store::packed`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageState {
    /// Package databases, package sources, settings and keyrings: path (without leading slash) → content.
    #[serde(skip)]
    pub files: BTreeMap<String, Vec<u8>>,
    /// Paths of such files whose content is unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uncaptured: Vec<String>,
    /// `package:architecture` → which of the image's layers brought it, base first, counted from 0.
    pub layers: BTreeMap<String, usize>,
    pub lineage: Lineage,
    /// What the build that made the image did about packages. `None`: someone else built it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doing: Option<Doing>,
}

impl Pinned {
    /// The version without which the build is sure to fail. A line that may not run, or a version that cannot be read,
    /// foretells nothing.
    #[must_use]
    pub fn needed(&self) -> Option<&str> {
        self.version.as_deref().filter(|_| self.sure)
    }

    /// Could the line take this version? apt matches as a shell does (apt-get(8), "install"; glob(7)).
    #[must_use]
    pub fn admits(&self, version: &str) -> bool {
        let Some(pattern) = &self.version else { return true };
        let mut parts = pattern.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = version.strip_prefix(first) else {
            return false;
        };
        let mut parts: Vec<&str> = parts.collect();
        let Some(last) = parts.pop() else {
            return rest.is_empty();
        };
        for part in parts {
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

/// What a build does about packages.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Doing {
    pub refresh: Refresh,
    /// `build.upgrade` of the configuration: everything is upgraded at the end, pins included.
    pub upgrade: bool,
}

/// What the RUN lines of the stages whose filesystem becomes the image's take from package repositories.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Refresh {
    /// The image from outside that the target stands on. `None`: `scratch`.
    pub base: Option<Reference>,
    /// Whether all installed packages are sure to be upgraded, those of the base image included.
    pub upgrades: Upgrades,
    /// Some install is sure to happen.
    pub installs: bool,
    /// Packages that are sure to be brought up to date, because the build names them.
    pub newest: BTreeSet<String>,
    /// Packages that may be.
    pub perhaps: BTreeSet<String>,
    /// Packages that are pinned to one version.
    pub pinned: BTreeMap<String, Pinned>,
    /// Packages that the build holds; before that it may have brought them up to date.
    pub held: BTreeSet<String>,
    /// Instructions whose effect on packages is unknown, in the order of the build.
    pub doubts: Vec<Doubt>,
}

/// An instruction that is not fully understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubt {
    /// Of the Dockerfile: where it begins, counted from 1.
    pub line: usize,
    /// In words.
    pub why: String,
}

/// How far an upgrade of everything goes; the furthest of several counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Upgrades {
    #[default]
    None,
    /// `apt-get upgrade`: a package stays if its upgrade needs a new package, or the removal of another (apt-get(8)).
    WithoutNew,
    /// `apt upgrade`: a package stays if its upgrade needs the removal of another (apt(8)).
    WithoutRemovals,
    All,
}

/// `package=version` of an install.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    /// With stars for any part of it, as apt takes them: `1.22.*`. `None`: which one is not known.
    pub version: Option<String>,
    /// As far as it can be read.
    pub written: String,
    /// Of the Dockerfile: where its RUN begins, counted from 1.
    pub line: usize,
    /// The build fails without it.
    pub sure: bool,
    /// No later instruction is known to be able to bring another version.
    pub last: bool,
}

/// Which layers come from the base image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "lineage")]
pub enum Lineage {
    /// The first `layers` layers are those of the base. `triggers`: it has ONBUILD instructions, which ran after them.
    Base {
        reference: String,
        layers: usize,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        triggers: bool,
    },
    /// The target begins with `FROM scratch`: what is inside was copied from elsewhere.
    Scratch,
    /// Not known: an image that someone else built, or one that does not show its base's layers.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_part_of_a_version() {
        let admits = |pattern: &str, version: &str| {
            let pinned = Pinned {
                version: Some(pattern.to_owned()),
                written: pattern.to_owned(),
                line: 1,
                sure: true,
                last: true,
            };
            pinned.admits(version)
        };
        for (pattern, version, expected) in [
            ("1.2-3", "1.2-3", true),
            ("1.2-3", "1.2-30", false),
            ("1.2*", "1.2-3", true),
            ("1.2*", "1.3-1", false),
            ("*", "9", true),
            ("1.*-2", "1.5.6-2", true),
            ("1.*-2", "1.5.6-3", false),
            ("1*1", "1", false),
            ("1*2*3", "1a2b3", true),
            ("1*2*3", "1a3", false),
        ] {
            assert_eq!(admits(pattern, version), expected, "{pattern} {version}");
        }
    }

    #[test]
    fn only_what_is_sure_to_be_installed_is_forecast() {
        let needed = |version: Option<&str>, sure: bool| {
            let pinned = Pinned {
                version: version.map(ToOwned::to_owned),
                written: String::new(),
                line: 1,
                sure,
                last: false,
            };
            pinned.needed().map(ToOwned::to_owned)
        };
        assert_eq!(needed(Some("1"), true).as_deref(), Some("1"));
        assert_eq!(needed(Some("1"), false), None);
        assert_eq!(needed(None, true), None);
    }
}
