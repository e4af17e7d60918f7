//! The state of an app and its targets that outlives a run: the facts of the app's stream.

use crate::fleet::app::App;
use crate::kinds::list::KindName;
use jiff::{SignedDuration, Timestamp};
use lowtide_model::drift::Drift;
use lowtide_model::failure::{Failure, HaltReason};
use lowtide_model::freshness::{Because, Behind, Inputs};
use lowtide_model::halt::Form;
use lowtide_model::image::{ContentDigest, ImageId, ManifestDigest, Reference, Repository};
use lowtide_model::name::{ChannelName, RolloutId, RunId, TargetName};
use lowtide_model::policy::Unhealthy;
use lowtide_model::registry_tag::RegistryDrift;
use lowtide_model::release::Release;
use lowtide_model::rollout::RolloutConclusion;
use lowtide_model::window::Occurrence;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

mod folded;

pub use folded::{
    AppState, ChannelState, Failing, Probation, Record, Refused, RegistryDifference, TargetState, Unpromoted, Waits,
};

/// Fixes that are pending in the last release and that no rebuild can bring.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UnfixableUpdates {
    /// `package:architecture` → version that waits for a base or for another pin.
    pub packages: BTreeMap<String, String>,
    /// How many of them are security fixes.
    pub security: usize,
    /// Packages that the Dockerfile pins to a version that is gone → that version.
    pub unavailable_pins: BTreeMap<String, String>,
    /// Targets whose containers, which are not of the last release, lack something.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub running: BTreeMap<TargetName, Behind>,
}

impl UnfixableUpdates {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packages.is_empty() && self.unavailable_pins.is_empty() && self.running.is_empty()
    }
}

/// What a rollout left on a target, so that it can be recognised there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// The target's kind at that time.
    pub kind: KindName,
    /// In the words of the target's own host.
    pub image: String,
}

/// What is remembered of a rollout that changed something, for the next ones of its target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worked {
    pub units: usize,
    /// From the first change to the last, without bake. `None`: it was suspended or did not arrive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took: Option<SignedDuration>,
    /// The last opening it was under way in. `None`: an operator did not want to wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opening: Option<Occurrence>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
// The kind is the key around the fields, not one of them: otherwise serde buffers a whole checkpoint before it knows what it reads, and
// every start and command reads one for each app.
#[serde(rename_all = "snake_case")]
pub enum AppEvent {
    /// First sight of the app: nothing before this moment was missed.
    Tracked,
    /// A schedule's moment was taken up; it and all earlier ones never fire again.
    ScheduleFired {
        slot: Timestamp,
        run: RunId,
    },
    Released {
        release: Box<Release>,
    },
    /// The release has passed its tests again, beside images that had moved.
    Retested {
        release: RunId,
        /// As [`Release::sidecars`].
        sidecars: BTreeMap<String, String>,
    },
    /// Repositories the Dockerfile stands on: who is whose parent.
    BasesKnown {
        bases: Vec<Repository>,
    },
    /// Images that the followed repository has and no earlier run saw, as tags and our platform's digests.
    ImagesSeen {
        images: Vec<(String, ManifestDigest)>,
    },
    /// What a build was made from whose outcome is known: released, or found to change nothing.
    Judged {
        inputs: Box<Inputs>,
        #[serde(default)]
        because: Vec<Because>,
    },
    /// The fixes that no rebuild can bring have changed, and people were notified of the new ones.
    UnfixableUpdates {
        unfixable: Box<UnfixableUpdates>,
    },
    /// A run failed. `cause` is stable over nights; people are notified when it changes, not when it repeats.
    RunFailed {
        run: RunId,
        cause: String,
    },
    /// A run ended well after failed ones.
    RunRecovered {
        run: RunId,
    },
    /// The channel's moving tag is about to point at the release; repeating it is harmless.
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
    /// The channel does not have the release. `since`: begin of the trouble, the same over all its attempts.
    PromoteFailed {
        channel: ChannelName,
        release: RunId,
        since: Timestamp,
        failure: Failure,
    },
    /// Refused rollouts and failed promotions may be tried again: an operator requested it, a night came, the
    /// configuration changed, or lowtide started.
    Again {
        targets: Vec<TargetName>,
        channels: Vec<ChannelName>,
    },
    /// What ran on the target before our first release, as an image to roll back to. Its run id belongs to no run.
    Adopted {
        target: TargetName,
        image: Box<Release>,
    },
    RolloutOpened {
        target: TargetName,
        release: RunId,
        rollout: RolloutId,
    },
    RolloutEnded {
        target: TargetName,
        release: RunId,
        rollout: RolloutId,
        conclusion: RolloutConclusion,
        /// `None`: it touched nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        worked: Option<Worked>,
        /// What it left on the target; `None`: it did not arrive, or it cannot be queried.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        placed: Option<Placed>,
    },
    /// The target no longer runs what this rollout left there, or runs it again (`None`).
    Drifted {
        target: TargetName,
        rollout: RolloutId,
        drift: Option<Drift>,
    },
    /// Retention is about to remove these release tags from a registry; repeating it is harmless.
    TagsExpired {
        repository: Repository,
        tags: Vec<String>,
    },
    /// Release tags that retention removed are gone from the registry.
    TagsRemoved {
        repository: Repository,
        tags: Vec<String>,
    },
    /// A registry no longer has what lowtide put there for this release, or has it again (`None`).
    RegistryDrifted {
        /// The digest that runs, or a channel's moving tag.
        reference: Reference,
        release: RunId,
        drift: Option<RegistryDrift>,
    },
    Halted {
        reason: HaltReason,
        /// The app's configuration at that time; `None`: it was not known, or no incident caused the halt.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        settings: Option<Box<App>>,
    },
    Quarantined {
        content: ContentDigest,
        image: ImageId,
        digest: Option<ManifestDigest>,
    },
    /// An operator lets a quarantined content be released and rolled out again.
    Unquarantined {
        content: ContentDigest,
        by: String,
        why: String,
    },
    Resumed {
        by: String,
        why: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        form: Option<Box<Form>>,
        /// Rollouts that are watched twice as long from now on; 0: none more than before.
        #[serde(default)]
        probation: u32,
    },
    /// An operator requested a cycle now: windows are ignored until it is complete.
    Expedited {
        by: String,
        /// What becomes of a container that is not healthy.
        #[serde(default)]
        unhealthy: Unhealthy,
    },
    /// An operator cancels a run.
    Cancelled {
        run: RunId,
        by: String,
    },
    /// The cycle that an operator requested is complete: windows apply again.
    RequestCompleted,
    /// The state that all earlier facts fold to. A fold begins here, and the earlier facts may be deleted.
    Checkpoint {
        app_state: Box<AppState>,
    },
}

/// How long the journal retains an event of an app after a checkpoint replaced it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventRetention {
    /// A week.
    Facts,
    /// A week, and a copy of it for `retention.audit`.
    Audit,
    /// Until the next checkpoint, which contains the same state.
    Checkpoint,
}

/// What an operator did to the whole fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FleetEvent {
    /// No rollout and no promotion goes forward.
    Paused { by: String },
    /// Rollouts and promotions are resumed.
    Unpaused { by: String },
}

impl FleetEvent {
    /// What the audit log says of it.
    #[must_use]
    pub fn act(&self) -> Act<'_> {
        match self {
            FleetEvent::Paused { by } => Act::Paused { by },
            FleetEvent::Unpaused { by } => Act::Unpaused { by },
        }
    }
}

/// An entry of the audit log.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Act<'a> {
    Halted {
        reason: &'a HaltReason,
    },
    Quarantined {
        image: &'a ImageId,
        digest: Option<&'a ManifestDigest>,
    },
    Unquarantined {
        by: &'a str,
        content: &'a ContentDigest,
        why: &'a str,
    },
    Resumed {
        by: &'a str,
        why: &'a str,
    },
    Expedited {
        by: &'a str,
    },
    Cancelled {
        by: &'a str,
        run: RunId,
    },
    Paused {
        by: &'a str,
    },
    Unpaused {
        by: &'a str,
    },
}

impl AppEvent {
    #[must_use]
    pub fn retention(&self) -> EventRetention {
        if let AppEvent::Checkpoint { .. } = self {
            EventRetention::Checkpoint
        } else if self.act().is_some() {
            EventRetention::Audit
        } else {
            EventRetention::Facts
        }
    }

    /// What the audit log says of it; `None`: nothing.
    #[must_use]
    pub fn act(&self) -> Option<Act<'_>> {
        match self {
            AppEvent::Halted { reason, .. } => Some(Act::Halted { reason }),
            AppEvent::Quarantined { image, digest, .. } => Some(Act::Quarantined {
                image,
                digest: digest.as_ref(),
            }),
            AppEvent::Unquarantined { by, content, why } => Some(Act::Unquarantined { by, content, why }),
            AppEvent::Resumed { by, why, .. } => Some(Act::Resumed { by, why }),
            AppEvent::Expedited { by, .. } => Some(Act::Expedited { by }),
            AppEvent::Cancelled { by, run } => Some(Act::Cancelled { by, run: *run }),
            AppEvent::Tracked
            | AppEvent::ScheduleFired { .. }
            | AppEvent::Released { .. }
            | AppEvent::BasesKnown { .. }
            | AppEvent::Retested { .. }
            | AppEvent::Judged { .. }
            | AppEvent::ImagesSeen { .. }
            | AppEvent::UnfixableUpdates { .. }
            | AppEvent::RunFailed { .. }
            | AppEvent::RunRecovered { .. }
            | AppEvent::PromoteStarted { .. }
            | AppEvent::Promoted { .. }
            | AppEvent::PromoteFailed { .. }
            | AppEvent::Again { .. }
            | AppEvent::Adopted { .. }
            | AppEvent::RolloutOpened { .. }
            | AppEvent::RolloutEnded { .. }
            | AppEvent::Drifted { .. }
            | AppEvent::TagsExpired { .. }
            | AppEvent::TagsRemoved { .. }
            | AppEvent::RegistryDrifted { .. }
            | AppEvent::RequestCompleted
            | AppEvent::Checkpoint { .. } => None,
        }
    }
}

/// What is quarantined, under the name that people know best.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    pub content: ContentDigest,
    /// Of its release; `None`: the release is no longer remembered, or there never was one.
    pub tag: Option<String>,
}

/// What an operator takes back, and how each target leaves it.
#[derive(Debug, Clone, PartialEq)]
pub struct Withdrawal<'a> {
    /// What is rolled back.
    pub release: &'a Release,
    /// Targets that run it, and what each goes back to.
    pub back: Vec<(TargetName, &'a Release)>,
    /// Targets whose rollout of the release is in progress. That rollout turns back itself, since two rollouts must
    /// never move the same containers.
    pub turning: Vec<TargetName>,
    /// Targets that go on running it: they were not named, or have nothing to go back to.
    pub stay: Vec<TargetName>,
}
