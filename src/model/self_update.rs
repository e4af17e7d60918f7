//! lowtide's own container as a target: who acts, and what is handed from one to the next.

use super::name::RolloutId;
use super::rollout::{ObservedContainer, ObservedUnit};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The three containers that share one state directory while lowtide is replaced. One of them holds its lock and acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateOwner {
    /// The one that is to be replaced.
    Old,
    /// The update helper, made from the old container's image and settings for the duration of the rollout: the old
    /// container cannot start anything after its own stop.
    Helper,
    /// Made from the release.
    New,
}

/// One thing done because the container is lowtide's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum SelfUpdateStep {
    /// Make the update helper, or find the one that was made, and start it.
    Keep,
    /// Release the state directory, and with it the rollout: the next owner ends this step.
    Yield {
        to: StateOwner,
        /// When the others may take the state themselves.
        deadline: Timestamp,
    },
    /// Stop and remove the update helper. From here on no rollback is possible.
    Dismiss,
}

/// What is really there, of lowtide's own container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedSelfUpdate {
    /// Who looks; `None`: someone else's container, or none.
    pub owner: Option<StateOwner>,
    pub units: Vec<ObservedUnit>,
    pub helper: Option<ObservedContainer>,
}

/// Lies in the state directory while lowtide is replaced, for the waiting processes. They cannot read the journal,
/// whose format is that of the current owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handover {
    pub rollout: RolloutId,
    /// Who is to take the state.
    pub to: StateOwner,
    /// When the other processes may take it instead.
    pub deadline: Timestamp,
    /// When the rollout must be over, whoever has the state.
    pub overdue: Timestamp,
    /// Engine ids.
    pub old: String,
    pub helper: String,
    /// `None`: it is not made yet.
    pub new: Option<String>,
    /// The deadline of the handover to the new container, once that was attempted. It is not attempted again, and from
    /// then on the database may have the new version's format.
    #[serde(default)]
    pub tried: Option<Timestamp>,
}

impl Handover {
    /// Who the container with this engine id is.
    #[must_use]
    pub fn role(&self, container: &str) -> Option<StateOwner> {
        if container == self.old {
            Some(StateOwner::Old)
        } else if container == self.helper {
            Some(StateOwner::Helper)
        } else {
            (self.new.as_deref() == Some(container)).then_some(StateOwner::New)
        }
    }
}

impl fmt::Display for StateOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StateOwner::Old => "the old lowtide",
            StateOwner::Helper => "the helper",
            StateOwner::New => "the new lowtide",
        })
    }
}

impl fmt::Display for SelfUpdateStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SelfUpdateStep::Keep => f.write_str("start the helper"),
            SelfUpdateStep::Yield { to, .. } => write!(f, "hand over to {to}"),
            SelfUpdateStep::Dismiss => f.write_str("remove the helper"),
        }
    }
}
