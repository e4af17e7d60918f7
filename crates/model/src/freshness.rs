//! Would a rebuild pick anything up? What is known before one, and the result.

use crate::name::TargetName;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// All that a rebuild depends on, as far as lowtide can see it without building. Equal inputs: a rebuild picks up nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Inputs {
    /// Full hex commit id. `None`: the image is not built by us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// As the Dockerfile names it, or the followed tag → digest of our platform's manifest, or the local image's id.
    pub bases: BTreeMap<String, String>,
    /// Hash of what the configuration says of the build.
    pub settings: String,
    /// `package:architecture` → version that a rebuild would bring.
    pub gains: BTreeMap<String, String>,
}

/// An upgrade that the package manager inside the image would make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingPackage {
    pub package: String,
    pub architecture: String,
    /// `None`: it would be newly installed, as a dependency.
    pub installed: Option<String>,
    pub candidate: String,
    /// As the package manager names it: `Debian-Security:12/stable-security`.
    pub origin: String,
    pub security: bool,
    /// Which of the image's layers brought the installed one, base first, counted from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<usize>,
    pub fix: Fix,
}

/// What has to happen before a pending package is updated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Fix {
    /// The next rebuild brings it. If that does not, the build is at fault.
    Rebuild,
    /// A rebuild may bring it: the Dockerfile is not understood well enough to be sure.
    Perhaps { why: String },
    /// It needs a new base image, and there is none yet: nothing in the Dockerfile upgrades the packages of the base.
    Base { reference: String },
    /// It is blocked by a version pin: someone has to change the version in the Dockerfile.
    Pin { version: String, line: usize },
}

/// A newer version that the package manager would leave alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptBack {
    pub package: String,
    pub architecture: String,
    pub installed: String,
    pub candidate: String,
    pub origin: String,
    pub security: bool,
    /// In words: it is held, it needs what no archive has.
    pub why: String,
}

/// A package source whose index is not known now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unknown {
    /// As sources.list has it.
    pub source: String,
    pub why: String,
}

/// What the package manager inside an image would do now, and what could not be queried.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Survey {
    /// Sorted by package and architecture.
    pub pending: Vec<PendingPackage>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept_back: Vec<KeptBack>,
    /// `package:architecture` of what an upgrade would remove.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removals: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<Unknown>,
    /// Why nothing is known of the packages inside; only a build can show it then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen: Option<String>,
    /// When the newest of the indexes was published, as its archive says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<Timestamp>,
}

/// What is pending in one requested image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outdated {
    /// As it was named.
    pub image: String,
    /// Of its manifest, or its id where it is in an engine's store only. `None`: it was not found.
    pub digest: Option<String>,
    /// `PRETTY_NAME` of its os-release.
    pub os: Option<String>,
    pub survey: Survey,
}

/// What the running containers of an engine lack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutdatedHost {
    /// By name.
    pub containers: Vec<RunningContainer>,
    /// Each image of theirs once; [`Outdated::digest`] is the id in the engine's store.
    pub images: Vec<Outdated>,
}

/// A running container, whoever started it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunningContainer {
    #[serde(rename = "container")]
    pub name: String,
    /// As whoever started it named it.
    pub image: String,
    pub image_id: String,
}

/// What is known before a rebuild.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RebuildAssessment {
    pub inputs: Inputs,
    /// Of the last release.
    pub survey: Survey,
    /// Versions that the Dockerfile pins and no archive has: a rebuild would fail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unavailable_pins: Vec<UnavailablePin>,
    /// What the targets run, where that is not the last release.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub running: BTreeMap<TargetName, Behind>,
    /// Images that the last release was tested beside, and that are others now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moved_sidecars: Vec<String>,
}

/// How far something is behind its archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Behind {
    pub packages: usize,
    pub security: usize,
}

/// `package=version` of an install that no package repository has any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnavailablePin {
    pub package: String,
    pub version: String,
    /// Of the Dockerfile, counted from 1.
    pub line: usize,
    /// The newest version there is.
    pub available: Option<String>,
}

impl Survey {
    /// Nothing is known of the packages inside.
    #[must_use]
    pub fn unseen(why: impl Into<String>) -> Self {
        Self {
            unseen: Some(why.into()),
            ..Self::default()
        }
    }

    #[must_use]
    pub fn behind(&self) -> Behind {
        Behind {
            packages: self.pending.len(),
            security: self.pending.iter().filter(|pending| pending.security).count(),
        }
    }

    /// What no rebuild brings while the base and the Dockerfile stay as they are.
    pub fn out_of_reach(&self) -> impl Iterator<Item = &PendingPackage> {
        self.pending.iter().filter(|pending| match pending.fix {
            Fix::Base { .. } | Fix::Pin { .. } => true,
            Fix::Rebuild | Fix::Perhaps { .. } => false,
        })
    }

    /// What a rebuild brings, or may bring.
    pub fn within_reach(&self) -> impl Iterator<Item = &PendingPackage> {
        self.pending.iter().filter(|pending| match pending.fix {
            Fix::Rebuild | Fix::Perhaps { .. } => true,
            Fix::Base { .. } | Fix::Pin { .. } => false,
        })
    }
}

/// Inputs of a build whose outcome is known: released, or found to change nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    pub inputs: Inputs,
    pub at: Timestamp,
    /// Why it was built.
    #[serde(default)]
    pub because: Vec<Because>,
}

/// Why a run builds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "because")]
pub enum Because {
    /// There is nothing to compare with.
    First,
    /// Someone requested a rebuild.
    Asked {
        by: String,
    },
    Commit {
        from: String,
        to: String,
    },
    Base {
        reference: String,
    },
    /// The followed image has a newer tag.
    Newer {
        from: String,
        to: String,
    },
    /// The followed tag has another image than before.
    Moved {
        tag: String,
    },
    Settings,
    /// What is inside cannot be compared with its archives.
    Unseen {
        why: String,
    },
    Pending {
        packages: usize,
        security: usize,
    },
    /// The last build is older than `build.max_age`: what lowtide cannot see may have changed.
    Age {
        limit: SignedDuration,
    },
}
