//! Release tags in registries: what lowtide pushed, and how a registry differs from that.

use crate::image::{ManifestDigest, Repository, ServedDigest};
use crate::name::{AppName, RunId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An immutable tag of a release that lowtide pushed to a repository, according to its journal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PushedTag {
    pub app: AppName,
    pub repository: Repository,
    /// Run of the release.
    pub run: RunId,
    pub tag: String,
    pub digest: ManifestDigest,
}

impl PushedTag {
    /// When its run began: a run's id starts with its time.
    #[must_use]
    pub fn began(&self) -> Timestamp {
        let millisecond = i64::try_from(self.run.0.timestamp_ms()).unwrap_or(i64::MAX);
        Timestamp::from_millisecond(millisecond).unwrap_or(Timestamp::MAX)
    }
}

/// How a registry differs from what lowtide pushed there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "registry_drift")]
pub enum RegistryDrift {
    /// It no longer has the digest.
    Missing,
    /// The channel's moving tag points to another digest.
    Moved { to: ServedDigest },
    /// The channel's moving tag no longer exists.
    Untagged,
}
