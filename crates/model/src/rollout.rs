//! A rollout: moving one target to one release, one step at a time.

use crate::failure::Failure;
use crate::name::RunId;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a rollout is headed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// To the release.
    Forward,
    /// Back to the containers of the snapshot.
    Back,
}

/// Why a rollout was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// A new release.
    #[default]
    Release,
    /// A new release, and one of the first rollouts after an incident: it bakes twice as long as configured.
    Probation,
    /// An operator wants the release before back: no window, halt or pause stands in its way.
    Revert,
}

/// Why a container is part of the rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// It is to run the release.
    #[default]
    Release,
    /// It depends on a container that is to run the release. It is recreated from its own image, or it would refer to a
    /// container that is gone.
    Dependent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    Old,
    New,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HookPhase {
    Before,
    After,
}

/// How a rollout ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "conclusion")]
pub enum RolloutConclusion {
    Done,
    /// The target already ran this image.
    AlreadyThere,
    /// Nothing was touched, or what was touched was put back: the old one runs (again), and nothing is wrong with the
    /// release. No halt, no quarantine; it is tried again.
    Refused {
        failure: Failure,
    },
    /// A newer release took its place before anything was touched.
    Superseded {
        by: RunId,
    },
    Reverted {
        failure: Failure,
    },
    /// Stopped where it was; a person decides.
    Stuck {
        failure: Failure,
    },
}

impl RolloutConclusion {
    /// Every word that [`RolloutConclusion::word`] has.
    pub const WORDS: [&str; 6] = ["done", "already_there", "refused", "superseded", "reverted", "stuck"];

    /// As the journal's JSON and the metrics have it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            RolloutConclusion::Done => "done",
            RolloutConclusion::AlreadyThere => "already_there",
            RolloutConclusion::Refused { .. } => "refused",
            RolloutConclusion::Superseded { .. } => "superseded",
            RolloutConclusion::Reverted { .. } => "reverted",
            RolloutConclusion::Stuck { .. } => "stuck",
        }
    }
}

/// Which task of a slot goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpdateOrder {
    /// The old one stops when the new one runs: nothing may be held by one task alone.
    StartFirst,
    /// The new one starts when the old one has stopped.
    StopFirst,
}

impl UpdateOrder {
    /// As Swarm's API and configuration write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            UpdateOrder::StartFirst => "start-first",
            UpdateOrder::StopFirst => "stop-first",
        }
    }
}

/// Why a container cannot run beside its successor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "bar")]
pub enum Bar {
    /// A fixed port of the host: one container at a time can have it.
    PublishedPort {
        port: String,
    },
    /// `host` or another container's network: ports are shared there.
    SharedNetwork,
    StaticAddress {
        network: String,
    },
    FixedMac,
    /// A device only one container can use.
    Device,
    /// Others live in its namespaces.
    Held,
    /// It is deleted when it ends.
    AutoRemove,
    /// Both containers would write to it. An explicit `order: start-first` permits that.
    WritableVolume {
        path: String,
    },
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bar::PublishedPort { port } => write!(f, "port {port} of the host is published"),
            Bar::SharedNetwork => f.write_str("it has no network of its own"),
            Bar::StaticAddress { network } => write!(f, "it has a fixed address in {network}"),
            Bar::FixedMac => f.write_str("it has a fixed MAC address"),
            Bar::Device => f.write_str("it uses a device"),
            Bar::Held => f.write_str("other containers hold on to it"),
            Bar::AutoRemove => f.write_str("its end deletes it"),
            Bar::WritableVolume { path } => write!(f, "it writes to the volume at {path}"),
        }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Which::Old => "old",
            Which::New => "new",
        })
    }
}
