//! The state that the facts of an app's stream fold to. The rules are in `decide::app_state`; the types are here, since
//! a checkpoint stores them in the journal.

use super::UnfixableUpdates;
use crate::fleet::app::App;
use crate::fleet::app_state::Placed;
use jiff::{SignedDuration, Timestamp};
use lowtide_model::drift::Drift;
use lowtide_model::failure::{Failure, HaltReason};
use lowtide_model::freshness::Judged;
use lowtide_model::halt::{OpenIncident, OperatorRollback};
use lowtide_model::image::{ContentDigest, Reference, Repository};
use lowtide_model::name::{ChannelName, RolloutId, RunId, TargetName};
use lowtide_model::policy::Unhealthy;
use lowtide_model::registry_tag::RegistryDrift;
use lowtide_model::release::Release;
use lowtide_model::rollout::RolloutConclusion;
use lowtide_model::stages::pull::SeenImage;
use lowtide_model::window::Occurrence;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// An app, folded from its events.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AppState {
    /// First sight: nothing before it was missed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracked: Option<Timestamp>,
    /// Last schedule moment taken up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule_fired: Option<Timestamp>,
    /// Newest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub releases: Vec<Release>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub channels: BTreeMap<ChannelName, ChannelState>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub targets: BTreeMap<TargetName, TargetState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub halted: Option<(Timestamp, HaltReason)>,
    /// The last rollout that ended badly: the mail about a resume goes to its thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub halted_by: Option<RolloutId>,
    /// Rollouts that halted the app and whose halt was not lifted yet, oldest first. A halt by an operator is not among them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub incidents: Vec<OpenIncident>,
    /// How the app was configured when the last of them halted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<Box<App>>,
    /// Releases an operator took back, newest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub operator_rollbacks: Vec<OperatorRollback>,
    /// Rollouts that are watched more closely than configured.
    pub probation: Probation,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quarantine: Vec<ContentDigest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing: Option<Failing>,
    /// Set while a cycle that an operator requested with `--now` is in progress: how to treat an unhealthy container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expedited: Option<Unhealthy>,
    /// Repositories its Dockerfile stands on, as of the last run that read it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bases: Vec<Repository>,
    /// Images of the followed repository and when they were first seen, newest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<SeenImage>,
    /// What the last build was made from whose outcome is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judged: Option<Judged>,
    /// The release that this build became; `None`: it changed nothing, or its content is quarantined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_release: Option<RunId>,
    /// Fixes that no rebuild can bring, and since when there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unfixable: Option<(Timestamp, UnfixableUpdates)>,
    /// Where registries differ from what lowtide put there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub registry: Vec<RegistryDifference>,
}

/// A registry no longer has what lowtide put there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryDifference {
    /// The digest that runs, or a channel's moving tag.
    pub reference: Reference,
    pub since: Timestamp,
    pub release: RunId,
    pub drift: RegistryDrift,
}

/// An open incident of failing runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// The run that began it; names the incident.
    pub first: RunId,
    pub since: Timestamp,
    pub cause: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ChannelState {
    /// The release that the channel has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<RunId>,
    /// The one that it had before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<RunId>,
    /// A promotion that did not come through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing: Option<Box<Unpromoted>>,
}

/// A release that its channel does not have. It lasts until a promotion to the channel comes through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unpromoted {
    pub release: RunId,
    /// Begin of the trouble; names the incident.
    pub since: Timestamp,
    /// Why the last attempt failed, and when.
    pub failure: Failure,
    pub at: Timestamp,
    /// Attempts since an operator, a night, a changed configuration or a start of lowtide last caused one; 0: one is
    /// due now.
    pub attempts: u32,
    /// The cause that people were first notified of (see `decide::notify::trouble`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TargetState {
    /// The rollout under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open: Option<(RolloutId, RunId)>,
    /// When the last rollout was opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tried: Option<Timestamp>,
    /// The open rollout bakes twice as long.
    pub probation: bool,
    /// What the target runs as far as we put it there: the last known good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<RunId>,
    /// The one before it: where `revert` goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<RunId>,
    /// The image that its owner had put there before our first release arrived. It is rolled back to, never rolled out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adopted: Option<Box<Release>>,
    /// The release it runs was rolled back while its rollout was in progress, too late for that rollout to turn back.
    pub overtaken: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<(RunId, RolloutConclusion)>,
    /// A release that it did not take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Box<Refused>>,
    /// Whether this record is reliable, for a target that cannot be queried.
    pub record: Record,
    /// What the last rollout that arrived left there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placed: Option<(RolloutId, Placed)>,
    /// Since when that is no longer what it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift: Option<(Timestamp, Drift)>,
    /// An operator wants back what the last rollout left there.
    pub restore: bool,
    /// The rollout that ended last, and what it brought.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<(RolloutId, RunId)>,
    /// Since when a release has been waiting to arrive. A release that supersedes another inherits its waiting time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits: Option<Waits>,
    /// How long earlier rollouts worked, newest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub took: Vec<SignedDuration>,
    /// Containers, as of the last rollout.
    pub units: usize,
    /// The opening in which a rollout of this release last began: it is not used twice for the same release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opening: Option<(RunId, Occurrence)>,
}

/// Whether what is remembered of a target can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    #[default]
    Certain,
    /// The last rollout got stuck, and none has ended well since.
    Doubtful,
}

/// A release that is not there yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waits {
    pub since: Timestamp,
    /// It brings security fixes, or one that it took the place of did.
    pub security: bool,
}

/// A release that a target did not take although nothing is wrong with the release: its rollout was refused, or rolled
/// back because its window closed. It lasts, over all retries, until a release arrives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Refused {
    /// The rollout that began it; names the incident.
    pub first: RolloutId,
    pub since: Timestamp,
    /// Of the first one; see `decide::notify::trouble`.
    pub cause: String,
    pub release: RunId,
    /// Why the last one ended.
    pub failure: Failure,
}

/// Each target has to take the same number of new releases. Releases on another target, and rollbacks, do not count.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Probation {
    /// New releases that have to arrive on each target.
    pub(crate) each: u32,
    /// Those that have.
    pub(crate) arrived: BTreeMap<TargetName, BTreeSet<RunId>>,
}
