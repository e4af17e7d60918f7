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
    /// It shows no such repository: one that was deleted, or one that the credential may not read. Registries answer
    /// the same to both.
    NoRepository,
}

/// Why no tag of an app is removed for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// People look into what halted it.
    Halted,
    /// A rollout is open; its outcome decides what is needed.
    Rollout,
    /// A target no longer runs what lowtide put there, possibly an older release.
    Drifted,
    /// The last rollout got stuck, so it is not known what its target runs.
    Doubtful,
}

/// What becomes of an expired tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Remove,
    /// The registry has it no more.
    Gone,
    /// Someone else moved it: it is no longer ours.
    Moved,
    /// This other tag points to the same digest.
    Shared {
        with: String,
    },
    /// An index that stays contains it.
    Contained,
    /// It contains, or refers to, what stays.
    Refers,
}

/// What retention would do in one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    pub repository: Repository,
    /// Release tags that lowtide pushed there and that are remembered.
    pub pushed: usize,
    /// Those past the bounds, the newest first; or why it is not known what the repository has.
    pub expired: Result<Vec<(PushedTag, Verdict)>, String>,
}
