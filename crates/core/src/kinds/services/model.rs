//! A Docker Swarm service that is rolled: as it was, what we request of Swarm, and what is really there.

use jiff::{SignedDuration, Timestamp};
use lowtide_model::image::Reference;
use lowtide_model::release::Release;
use lowtide_model::rollout::UpdateOrder;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// One service that is to be moved, as it was before anything was touched. The raw body, which may hold secrets in its
/// environment, is a sealed file of the store; the journal knows only its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceUnit {
    /// Position in the rollout, from 0.
    pub index: usize,
    pub name: String,
    /// Swarm's id of the service. A recreated service of the same name has another id.
    pub id: String,
    /// Swarm's version index of the snapshot.
    pub version: u64,
    pub mode: ServiceMode,
    /// `ContainerSpec.Image`, letter by letter.
    pub old_image: String,
    pub order: UpdateOrder,
    /// Of a global service: the nodes it ran on.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub nodes: BTreeSet<String>,
    /// Tasks that already ran the release's image before this rollout: how they ended says nothing about it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub past: BTreeSet<String>,
    /// Hex sha256 of the sealed body.
    pub snapshot: String,
}

impl ServiceUnit {
    /// It runs the release's bits already, under whatever tag.
    #[must_use]
    pub fn runs(&self, release: &Release) -> bool {
        is_same_service_image(&self.old_image, &release.service_image())
    }

    /// Tasks that were wanted before the rollout, at least one.
    #[must_use]
    pub fn size(&self) -> u64 {
        let size = match self.mode {
            ServiceMode::Replicated { replicas } => replicas,
            ServiceMode::Global => self.nodes.len() as u64,
        };
        size.max(1)
    }
}

/// How many tasks a service has. Jobs are none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "mode")]
pub enum ServiceMode {
    Replicated {
        replicas: u64,
    },
    /// One on each node that may run it.
    Global,
}

/// What Swarm does when tasks of an update fail. Never its own rollback: lowtide does the rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// No more tasks are replaced.
    Pause,
    /// For a rollback, where there is nothing to wait for.
    Continue,
}

/// `UpdateConfig` of one update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateKnobs {
    /// Tasks at once.
    pub parallelism: u64,
    /// After each task. Not shorter than `monitor`, or the next task is replaced before the last one proved itself.
    pub delay: SignedDuration,
    /// How long a task that runs can still fail the update.
    pub monitor: SignedDuration,
    pub order: UpdateOrder,
    pub on_failure: OnFailure,
}

/// The observed state of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObservedService {
    /// No service has the snapshot's id.
    Gone,
    Found(FoundService),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundService {
    pub version: u64,
    /// `ContainerSpec.Image`, letter by letter.
    pub image: String,
    pub mark: ServiceMark,
    pub update: UpdateState,
    /// Swarm's words on the update.
    pub said: String,
    pub mode: ServiceMode,
    pub tasks: Vec<ObservedTask>,
    /// Nodes that are up and accept tasks. Empty if they were not queried: only the verdict on a global service depends
    /// on them.
    pub nodes: BTreeSet<String>,
}

/// Whose label a service carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceMark {
    None,
    /// This rollout's.
    Ours,
    /// Another rollout's.
    Other,
}

/// `UpdateStatus.State`. Every update call clears it, and it stays absent when no task has to be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateState {
    Absent,
    Updating,
    Completed,
    Paused,
    RollbackStarted,
    RollbackCompleted,
    RollbackPaused,
    /// A word we do not know.
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedTask {
    pub id: String,
    pub place: TaskPlace,
    /// The image of the task's own spec: what the task runs, whatever the service's spec says by now.
    pub image: String,
    pub state: TaskState,
    pub wanted: TaskWanted,
    /// When it came into this state; the later of the node's clock and the manager's.
    pub since: Timestamp,
    /// Swarm's words on its state: the error, or else the message.
    pub said: String,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum TaskPlace {
    /// Of a replicated service.
    Slot(u64),
    /// Of a global service: the node's id.
    Node(String),
}

/// swarmkit's task states (`api/types.proto`), as far as they make a difference here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskState {
    /// `new`, `allocated`, `pending`: no node has it yet.
    Unplaced,
    /// `assigned` to `starting`: a node is at it. With a HEALTHCHECK, until it is healthy.
    Preparing,
    Running,
    /// It ended by itself with exit code 0.
    Complete,
    /// Swarm stopped it.
    Shutdown,
    Failed,
    /// The node could not start the task at all, for example because it lacks the image.
    Rejected,
    /// Its node has been gone for a day, or it is being removed.
    Lost,
    /// A word we do not know.
    Unknown,
}

/// `DesiredState` of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskWanted {
    /// `ready` or `running`: it counts.
    Running,
    /// `shutdown`, `remove`: history.
    Stopped,
}

/// Does a Swarm service run these bits, under whatever tag?
#[must_use]
pub fn is_same_service_image(runs: &str, planned: &str) -> bool {
    runs == planned
        || match (runs.parse::<Reference>(), planned.parse::<Reference>()) {
            (Ok(runs), Ok(planned)) => {
                planned.digest.is_some() && runs.digest == planned.digest && runs.repository == planned.repository
            }
            (Ok(_) | Err(_), Ok(_) | Err(_)) => false,
        }
}
