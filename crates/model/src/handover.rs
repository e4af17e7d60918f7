//! Which of the processes that share one state directory while lowtide is replaced has it, and who is next.

use crate::name::RolloutId;
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
