//! What stays true of an app or a target between runs, told by the events of its own stream.

use super::failure::HaltReason;
use super::image::{ContentDigest, ImageId, ManifestDigest, Reference};
use super::inventory::Change;
use super::name::{ChannelName, RolloutId, RunId, TargetName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An image with all its evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    pub run: RunId,
    pub image: ImageId,
    pub content: ContentDigest,
    /// Full hex commit id.
    pub commit: String,
    /// Immutable tag, also without a registry (the engine's local tag).
    pub tag: String,
    /// Registry digest. `None`: the app has no `publish`.
    pub digest: Option<ManifestDigest>,
    /// `repository:tag` in the first channel, or `lowtide/<app>:<tag>` in the engine's store.
    pub reference: Reference,
    /// Against the release before.
    pub change: Option<Change>,
    pub at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum AppEvent {
    /// A schedule's moment was taken up; later moments before `slot` never fire.
    Fired {
        slot: Timestamp,
        run: RunId,
    },
    Released {
        release: Box<Release>,
    },
    /// A run ended without a release, told once per cause.
    RunFailed {
        run: RunId,
        cause: String,
    },
    RunRecovered {
        run: RunId,
    },
    /// The channel's moving tag is about to point at the release.
    PromoteStarted {
        channel: ChannelName,
        release: RunId,
        reference: Reference,
        digest: ManifestDigest,
    },
    Promoted {
        channel: ChannelName,
        release: RunId,
    },
    /// A revert took the channel back to what it held before.
    TakenBack {
        channel: ChannelName,
        release: RunId,
    },
    Halted {
        reason: HaltReason,
        rollout: Option<RolloutId>,
    },
    Quarantined {
        content: ContentDigest,
        digest: Option<ManifestDigest>,
        image: ImageId,
    },
    Resumed {
        by: String,
        why: String,
    },
    /// Every target of the channel has done its rollout of this release.
    TargetDone {
        target: TargetName,
        release: RunId,
        rollout: RolloutId,
    },
}
