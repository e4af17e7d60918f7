//! Judges a service by its tasks.

use super::model::{
    FoundService, ObservedTask, ServiceMode, ServiceUnit, TaskPlace, TaskState, TaskWanted, UpdateState,
};
use jiff::{SignedDuration, Timestamp};
use lowtide_model::failure::{Failure, FailureKind};
use std::collections::BTreeSet;

/// How far a service is on its way to an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reached {
    /// Every slot or node has run the image for long enough, and Swarm wants no task of another image any more.
    All,
    Some {
        done: u64,
        total: u64,
        /// Why a task of the new image does not run, if its state says so.
        behind: Option<Behind>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Behind {
    pub(super) kind: FailureKind,
    pub(super) said: String,
}

pub(super) fn reached(
    unit: &ServiceUnit,
    found: &FoundService,
    image: &str,
    settle: SignedDuration,
    now: Timestamp,
) -> Reached {
    let wanted = || found.tasks.iter().filter(|task| task.wanted == TaskWanted::Running);
    let serves = |task: &&ObservedTask| {
        task.image == image && task.state == TaskState::Running && now.duration_since(task.since) >= settle
    };
    let served: BTreeSet<&TaskPlace> = wanted().filter(serves).map(|task| &task.place).collect();
    let (done, total) = match found.mode {
        ServiceMode::Replicated { replicas } => (served.len() as u64, replicas),
        // A node that is down, paused or drained is not waited for: it gets the service's current spec when it is back.
        ServiceMode::Global => {
            let places = wanted().filter_map(|task| match &task.place {
                TaskPlace::Node(node) => Some(node),
                TaskPlace::Slot(_) => None,
            });
            let nodes: BTreeSet<&String> = unit
                .nodes
                .iter()
                .chain(places)
                .filter(|n| found.nodes.contains(*n))
                .collect();
            let done = nodes
                .iter()
                .filter(|node| served.contains(&TaskPlace::Node((**node).clone())));
            (done.count() as u64, nodes.len() as u64)
        }
    };
    let here = |task: &&ObservedTask| match &task.place {
        TaskPlace::Slot(_) => true,
        TaskPlace::Node(node) => found.nodes.contains(node),
    };
    let leftover = wanted().filter(here).any(|task| task.image != image);
    if done >= total && !leftover {
        return Reached::All;
    }
    let behind = wanted().filter(|task| task.image == image).find_map(behind);
    Reached::Some { done, total, behind }
}

fn behind(task: &ObservedTask) -> Option<Behind> {
    let kind = match task.state {
        TaskState::Unplaced => FailureKind::NotScheduled,
        TaskState::Preparing => FailureKind::UnhealthyAfterRoll,
        TaskState::Rejected => FailureKind::StartFailed,
        TaskState::Failed | TaskState::Complete => FailureKind::ContainerExited,
        TaskState::Running | TaskState::Shutdown | TaskState::Lost | TaskState::Unknown => return None,
    };
    let said = task.said.clone();
    Some(Behind { kind, said })
}

/// The first task of the new image that ended by itself. No such task is tolerated. Swarm's own failure count is not
/// used: it is in the memory of a manager, and does not cover failures after the monitor period.
pub(super) fn failed(unit: &ServiceUnit, found: &FoundService, image: &str) -> Option<Failure> {
    let new = found
        .tasks
        .iter()
        .filter(|task| task.image == image && !unit.past.contains(&task.id));
    let fell = |task: &ObservedTask| {
        let kind = match task.state {
            TaskState::Failed if task.said.contains("unhealthy") => FailureKind::UnhealthyAfterRoll,
            TaskState::Failed | TaskState::Complete => FailureKind::ContainerExited,
            TaskState::Rejected => FailureKind::StartFailed,
            TaskState::Unplaced
            | TaskState::Preparing
            | TaskState::Running
            | TaskState::Shutdown
            | TaskState::Lost
            | TaskState::Unknown => return None,
        };
        let what = match task.state {
            TaskState::Complete => "ended",
            TaskState::Rejected => "could not be started",
            TaskState::Failed
            | TaskState::Unplaced
            | TaskState::Preparing
            | TaskState::Running
            | TaskState::Shutdown
            | TaskState::Lost
            | TaskState::Unknown => "failed",
        };
        let detail = format!("{}: {what}: {}", place(unit, task), task.said);
        Some(Failure::new(kind, detail))
    };
    new.filter_map(fell).next()
}

/// Swarm has paused the update, or the service was rolled back.
pub(super) fn halted(unit: &ServiceUnit, found: &FoundService) -> Option<Failure> {
    let what = match found.update {
        UpdateState::Paused => "Swarm paused the update",
        UpdateState::RollbackStarted | UpdateState::RollbackCompleted | UpdateState::RollbackPaused => {
            "the service was rolled back"
        }
        UpdateState::Absent | UpdateState::Updating | UpdateState::Completed | UpdateState::Unknown => return None,
    };
    let detail = format!("{}: {what}: {}", unit.name, found.said);
    Some(Failure::new(FailureKind::UnhealthyAfterRoll, detail))
}

fn place(unit: &ServiceUnit, task: &ObservedTask) -> String {
    match &task.place {
        TaskPlace::Slot(slot) => format!("task {}.{slot}", unit.name),
        TaskPlace::Node(node) => format!("task of {} on node {node}", unit.name),
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
