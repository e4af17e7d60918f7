//! The list of kinds. A new kind is one line at the end of this file, one in `mod.rs`, and its two folders.

use super::command::policy::CommandPolicy;
use super::containers::policy::ContainersPolicy;
use super::kind::{About, Kind, KindOutcome, KindState, KindStep, LeftBehind, TargetSettings};
use super::self_update::policy::SelfUpdatePolicy;
use super::services::policy::ServicesPolicy;
use super::track::{Ended, EndedStep, Track};
use jiff::{SignedDuration, Timestamp};
use lowtide_model::journal::IllegalEvent;
use lowtide_model::rollout::Goal;
use lowtide_model::secret::SecretRef;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One thing that runs an app's release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetPolicy {
    #[serde(flatten)]
    pub settings: TargetSettings,
    pub kind: TargetKind,
}

/// How a step ended, as it is journalled.
pub type StepOutcome = Ended<Outcome>;

/// A kind that is in the list.
pub trait Listed:
    Kind<Step: Into<Step> + TryFrom<Step, Error = Step>, Outcome: Into<Outcome> + TryFrom<Outcome, Error = Outcome>>
{
    /// `None`: the rollout is one of another kind.
    fn track(of: &KindTrack) -> Option<&Track<Self>>;
}

/// Generates the enums over all kinds, and `each_kind!`, which runs the same code for any of them.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident: $policy:ty,)*) => {
        /// What a target is.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum TargetKind { $($(#[$doc])* $kind(Box<$policy>),)* }

        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum KindName { $($(#[$doc])* $kind,)* }

        /// A rollout's state of the kind that its target is.
        #[derive(Debug, Clone, PartialEq)]
        pub enum KindTrack { $($kind(Box<Track<$policy>>),)* }

        /// A step of any kind, as it is journalled.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Step { $($kind(<$policy as Kind>::Step),)* }

        /// How a step of any kind ended well, as it is journalled.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Outcome { $($kind(<$policy as Kind>::Outcome),)* }

        $(
            impl Listed for $policy {
                fn track(of: &KindTrack) -> Option<&Track<Self>> {
                    if let KindTrack::$kind(track) = of { Some(track) } else { None }
                }
            }
            impl From<<$policy as Kind>::Step> for Step {
                fn from(step: <$policy as Kind>::Step) -> Self { Step::$kind(step) }
            }
            impl TryFrom<Step> for <$policy as Kind>::Step {
                type Error = Step;
                fn try_from(step: Step) -> Result<Self, Step> {
                    if let Step::$kind(step) = step { Ok(step) } else { Err(step) }
                }
            }
            impl From<<$policy as Kind>::Outcome> for Outcome {
                fn from(outcome: <$policy as Kind>::Outcome) -> Self { Outcome::$kind(outcome) }
            }
            impl TryFrom<Outcome> for <$policy as Kind>::Outcome {
                type Error = Outcome;
                fn try_from(outcome: Outcome) -> Result<Self, Outcome> {
                    if let Outcome::$kind(outcome) = outcome { Ok(outcome) } else { Err(outcome) }
                }
            }
        )*

        impl TargetKind {
            #[must_use]
            pub fn name(&self) -> KindName {
                match self { $(TargetKind::$kind(_) => KindName::$kind,)* }
            }

            /// The state of a rollout that has just been opened.
            #[must_use]
            pub fn track(self) -> KindTrack {
                match self { $(TargetKind::$kind(policy) => KindTrack::$kind(Box::new(Track::new(*policy))),)* }
            }
        }

        impl KindTrack {
            #[must_use]
            pub fn kind(&self) -> KindName {
                match self { $(KindTrack::$kind(_) => KindName::$kind,)* }
            }
        }

        impl KindName {
            pub const ALL: &[KindName] = &[$(KindName::$kind,)*];

            /// Is what runs (`seen`) what a rollout left there?
            #[must_use]
            pub fn is_same_image(self, seen: &str, placed: &str) -> bool {
                match self { $(KindName::$kind => <$policy as Kind>::is_same_image(seen, placed),)* }
            }
        }

        kinds!(@each ($) $($kind)*);
    };
    (@each ($d:tt) $($kind:ident)*) => {
        /// `each_kind!(Step, value, it => …)` matches on the kind of `value` and evaluates the same expression for each.
        #[macro_export]
        macro_rules! each_kind {
            ($d list:ident, $d value:expr, $d it:ident => $d body:expr) => {
                match $d value { $($crate::kinds::list::$d list::$kind($d it) => $d body,)* }
            };
        }
        pub use each_kind;
    };
}

kinds! {
    /// Containers of a plain engine.
    Containers: ContainersPolicy,
    /// Services of Docker Swarm.
    Services: ServicesPolicy,
    /// lowtide's own container.
    SelfUpdate: SelfUpdatePolicy,
    /// One of the owner's commands.
    Command: CommandPolicy,
}

impl TargetPolicy {
    /// Does lowtide itself run there?
    #[must_use]
    pub fn is_own_container(&self) -> bool {
        self.kind.name() == KindName::SelfUpdate
    }

    /// How many containers, services or the like the configuration names.
    #[must_use]
    pub fn configured_units(&self) -> usize {
        each_kind!(TargetKind, &self.kind, policy => policy.configured_units())
    }

    /// Secrets that the target refers to, each with its place inside it.
    #[must_use]
    pub fn secret_refs(&self) -> Vec<(String, &SecretRef)> {
        each_kind!(TargetKind, &self.kind, policy => policy.secret_refs())
    }

    /// The longest that one unit can take.
    #[must_use]
    pub fn unit_limit(&self) -> SignedDuration {
        each_kind!(TargetKind, &self.kind, policy => policy.unit_limit(&self.settings))
    }
}

impl KindTrack {
    /// # Errors
    /// Another step is under way, or it is one of another kind of target.
    pub fn begin(&mut self, goal: Goal, attempt: u32, step: &Step) -> Result<(), IllegalEvent> {
        let foreign = |_| IllegalEvent {
            event: "step_started",
            why: "it is a step of another kind of target",
        };
        let step = step.clone();
        each_kind!(KindTrack, self, track => track.begin(goal, attempt, step.try_into().map_err(foreign)?))
    }

    /// # Errors
    /// No step is under way, or it cannot end like this.
    pub fn end(&mut self, goal: Goal, ended: &StepOutcome, at: Timestamp) -> Result<EndedStep<Step>, IllegalEvent> {
        let foreign = |_| IllegalEvent {
            event: "step_ended",
            why: "it ended as a step of another kind of target",
        };
        let ended = ended.clone();
        each_kind!(KindTrack, self, track => {
            let ended = ended.try_map(TryInto::try_into).map_err(foreign)?;
            Ok(track.end(goal, ended, at)?.map(Step::from))
        })
    }

    /// The step under way was cut off; returns it.
    ///
    /// # Errors
    /// No step is under way.
    pub fn abandon(&mut self) -> Result<Step, IllegalEvent> {
        each_kind!(KindTrack, self, track => track.abandon().map(Step::from))
    }

    /// The step under way.
    #[must_use]
    pub fn under_way(&self) -> Option<Step> {
        each_kind!(KindTrack, self, track => track.under_way().cloned().map(Step::from))
    }

    /// Forgets how the last step ended.
    pub fn settle(&mut self) {
        each_kind!(KindTrack, self, track => track.settle());
    }

    /// How many containers, services or the like the configuration names.
    #[must_use]
    pub fn configured_units(&self) -> usize {
        each_kind!(KindTrack, self, track => track.policy.configured_units())
    }

    /// The longest that one unit can take.
    #[must_use]
    pub fn unit_limit(&self, target: &TargetSettings) -> SignedDuration {
        each_kind!(KindTrack, self, track => track.policy.unit_limit(target))
    }

    /// How many units preflight has chosen; `None` before it.
    #[must_use]
    pub fn units(&self) -> Option<usize> {
        each_kind!(KindTrack, self, track => track.state.units())
    }

    /// Name of the unit at this position; `None`: it has no name of its own.
    #[must_use]
    pub fn unit_name(&self, unit: usize) -> Option<&str> {
        each_kind!(KindTrack, self, track => track.state.unit_name(unit))
    }

    /// How many units a message about the rollout names; 0: the target is one thing.
    #[must_use]
    pub fn counted_units(&self) -> usize {
        each_kind!(KindTrack, self, track => track.state.counted_units())
    }

    /// Log tails of what was rolled back.
    #[must_use]
    pub fn saved_logs(&self) -> Vec<String> {
        each_kind!(KindTrack, self, track => track.state.saved_logs())
    }

    /// Hashes of the sealed files that a rollback needs.
    #[must_use]
    pub fn snapshots(&self) -> Vec<&str> {
        each_kind!(KindTrack, self, track => track.state.snapshots())
    }
}

impl Step {
    #[must_use]
    pub fn about(&self) -> About {
        each_kind!(Step, self, step => step.about())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        each_kind!(Step, self, step => step.fmt(f))
    }
}

impl Outcome {
    /// What `show` says of it; empty: nothing.
    #[must_use]
    pub fn note(&self) -> String {
        each_kind!(Outcome, self, outcome => outcome.note())
    }

    /// What the new container left, of the step that saved it before it was removed.
    #[must_use]
    pub fn left_behind(&self) -> Option<LeftBehind<'_>> {
        each_kind!(Outcome, self, outcome => outcome.left_behind())
    }
}
