//! What lies ahead of a rollout, for people: what it moves and in which order, its steps, the opening it moves in.

use crate::rollout::UpdateOrder;
use crate::rollout::{Bar, Part, RolloutConclusion};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// A rollout from its beginning to its end: what was done, and what follows if every step goes well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutPreview {
    pub chosen: Chosen,
    pub moves: Vec<Move>,
    /// In the order in which they were, are, and would be taken.
    pub steps: Vec<Planned>,
    /// How it ends if every step goes well; `None`: not known.
    pub ends: Option<RolloutConclusion>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Chosen {
    /// Preflight has run: these are the actual containers or services.
    Preflighted,
    /// Preflight has not run yet: one unit stands for all of them.
    Assumed,
}

/// One container or service that is moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    pub name: String,
    pub part: Part,
    /// What it ran before: the tag of a release of ours, else the image as the engine names it. `None`: not looked at yet.
    pub from: Option<String>,
    /// `None`: nobody has looked at the service yet.
    pub order: Option<UpdateOrder>,
    #[serde(flatten)]
    pub why: OrderReason,
    /// Of a service: how many.
    pub tasks: Option<u64>,
    pub phase: Phase,
}

/// Why a unit is moved in its order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "why")]
pub enum OrderReason {
    /// `order` says so.
    Configured,
    /// It holds on to another one that is moved.
    Dependent,
    /// No router would send requests to a new container.
    NoRouter,
    /// The router only holds requests back.
    RouterPauses,
    /// A router adds new containers, and nothing prevents start-first.
    RouterTakesUp,
    Bars {
        bars: Vec<Bar>,
    },
    /// `order: start-first`, and something bars it: preflight refuses it.
    Refused {
        bars: Vec<Bar>,
    },
    /// What preflight found of a service's tasks decides.
    Service,
    /// A command moves it, in its own way.
    Command,
}

/// How far a unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Its turn has not come.
    Waiting,
    Moving,
    /// It runs the release.
    Moved,
    /// It runs the release and is watched, together with the others.
    Baking,
    /// The retained old container is removed.
    Finishing,
    /// It goes back.
    Returning,
    /// It runs what it ran before.
    Returned,
    /// The rollout is rolling back and has not reached this unit.
    Untouched,
}

impl Phase {
    /// As in JSON; classes of the status page, too.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Phase::Waiting => "waiting",
            Phase::Moving => "moving",
            Phase::Moved => "moved",
            Phase::Baking => "baking",
            Phase::Finishing => "finishing",
            Phase::Returning => "returning",
            Phase::Returned => "returned",
            Phase::Untouched => "untouched",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Position of the unit; `None`: of all of them.
    pub unit: Option<usize>,
    pub what: What,
    pub state: PlannedState,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum What {
    /// In the words of the journal.
    Step {
        step: String,
    },
    /// Swarm replaces a service's tasks.
    Tasks {
        total: u64,
    },
    Bake {
        lasts: SignedDuration,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlannedState {
    Done {
        took: SignedDuration,
    },
    Running {
        since: Timestamp,
    },
    Failed,
    /// lowtide ended during it; it was decided anew.
    Abandoned,
    Ahead,
}

impl PlannedState {
    /// As in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            PlannedState::Done { .. } => "done",
            PlannedState::Running { .. } => "running",
            PlannedState::Failed => "failed",
            PlannedState::Abandoned => "abandoned",
            PlannedState::Ahead => "ahead",
        }
    }
}

/// The opening that a rollout moves in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    At {
        /// `None`: it is open now.
        opens: Option<Timestamp>,
        until: Timestamp,
    },
    /// Windows do not matter to it: an operator did not want to wait, or it goes back.
    Ignored,
    /// None, or not known.
    Unknown,
}
