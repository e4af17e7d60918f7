//! How far the containers of a rollout are, folded from its steps: one record per replica, and in it one per container.

use super::model::Unit;
use super::policy::ContainersPolicy;
use super::step::{ContainerOutcome, ContainerStep, RouteChange};
use crate::kinds::kind::KindState;
use jiff::Timestamp;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::image::ImageId;
use lowtide_model::journal::IllegalEvent;
use lowtide_model::rollout::{Goal, HookPhase, Which};
use std::collections::{BTreeMap, BTreeSet};

/// The replicas of a rollout, folded from its steps.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Containers {
    pub units: Option<Vec<Unit>>,
    /// Id of the release's image on this host.
    pub image: Option<ImageId>,
    replicas: Vec<Replica>,
    /// Tags of compose that may point at another image than before. Replicas of one service share a tag.
    tags: BTreeMap<String, TagMove>,
    /// The bake is over, and removal of old containers or of their images has begun. If the clock is set back now, the
    /// bake does not start again.
    committed: bool,
}

/// How far one replica is: what was done to it, and what is known of its containers.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Replica {
    /// Hooks that passed: phase and position.
    pub(super) hooks: BTreeSet<(HookPhase, usize)>,
    /// Its host requirements were tried out.
    pub(super) tried: bool,
    /// Its new container may have been made.
    began: bool,
    /// Its new container is complete: a create that was cut off may have left one without all its networks.
    pub(super) made: bool,
    /// Whether the router holds its requests.
    pub(super) router: RouterHold,
    /// Its old image is retained by a tag of ours.
    pub(super) image_retained: bool,
    /// The end of its new container's log, saved before the container is removed.
    pub(super) saved_log: Option<Vec<String>>,
    /// How often each chore was begun.
    chores: BTreeMap<Chore, u32>,
    /// By engine id: the old one, and every new one that was made.
    containers: BTreeMap<String, ContainerRecord>,
}

/// What was done to one container, and what it has shown.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct ContainerRecord {
    /// How often we started it.
    pub(super) starts: u32,
    /// A new one of which a process may have run.
    ran: bool,
    /// It proved ready.
    pub(super) ready: bool,
    /// A new one that exited and was started once more, as its own policy would have it.
    pub(super) restarted: Option<Restarted>,
    /// We began to stop it.
    pub(super) stop_begun: bool,
    /// A new one whose readiness we began to wait for. If it is found exited, the time of its exit is unknown.
    pub(super) waited: bool,
    /// When it has to be ready, as first planned: a kill gives it no more time.
    pub(super) deadline: Option<Timestamp>,
    pub(super) attached: bool,
    pub(super) drained: bool,
    /// The last router change for it.
    routed: Option<Routed>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum RouterHold {
    #[default]
    No,
    Perhaps,
    Yes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Restarted {
    /// How often the engine had restarted it by then.
    pub(super) by_engine: u64,
    pub(super) done: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Routed {
    change: RouteChange,
    confirmed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct TagMove {
    to: Option<ImageId>,
    done: bool,
}

/// A secondary step: a service does not wait for it if the engine refuses it repeatedly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Chore {
    /// The old container is needed more urgently than its name.
    Rename,
    PauseRouter,
    SaveLog,
    RemoveCandidate,
    RemoveOld,
    DropImage,
}

/// After this many tries a chore is skipped. "Device or resource busy" can block a removal until the host is rebooted
/// (moby#22260).
const CHORES: u32 = 5;

impl Chore {
    fn of(step: &ContainerStep) -> Option<(Chore, usize)> {
        match step {
            ContainerStep::Rename { unit, .. } => Some((Chore::Rename, *unit)),
            ContainerStep::Route {
                unit,
                change: RouteChange::Pause,
                ..
            } => Some((Chore::PauseRouter, *unit)),
            ContainerStep::SaveLog { unit, .. } => Some((Chore::SaveLog, *unit)),
            ContainerStep::RemoveCandidate { unit, .. } => Some((Chore::RemoveCandidate, *unit)),
            ContainerStep::RemoveOld { unit, .. } => Some((Chore::RemoveOld, *unit)),
            ContainerStep::DropImage { unit } => Some((Chore::DropImage, *unit)),
            ContainerStep::Route {
                change: RouteChange::Join | RouteChange::Leave | RouteChange::Resume,
                ..
            }
            | ContainerStep::Preflight
            | ContainerStep::Pull
            | ContainerStep::TryOut { .. }
            | ContainerStep::RunHook { .. }
            | ContainerStep::CreateCandidate { .. }
            | ContainerStep::StopOld { .. }
            | ContainerStep::SetRestart { .. }
            | ContainerStep::Start { .. }
            | ContainerStep::Restart { .. }
            | ContainerStep::AwaitReady { .. }
            | ContainerStep::StopCandidate { .. }
            | ContainerStep::Attach { .. }
            | ContainerStep::Drain { .. }
            | ContainerStep::RetainImage { .. }
            | ContainerStep::RecreateOld { .. }
            | ContainerStep::MoveTag { .. } => None,
        }
    }
}

/// Can the rollout reach its goal without this step?
pub(super) fn is_dispensable(goal: Goal, step: &ContainerStep) -> bool {
    Chore::of(step).is_some_and(|(chore, _)| match (goal, chore) {
        // Requests that fail for a moment are better than a bad release that stays.
        (Goal::Back, Chore::PauseRouter | Chore::SaveLog | Chore::RemoveCandidate | Chore::DropImage)
        | (Goal::Forward, Chore::RemoveOld | Chore::DropImage) => true,
        (Goal::Forward, Chore::Rename | Chore::PauseRouter | Chore::SaveLog | Chore::RemoveCandidate)
        | (Goal::Back, Chore::Rename | Chore::RemoveOld) => false,
    })
}

impl KindState<ContainersPolicy> for Containers {
    fn begin(&mut self, _goal: Goal, step: &ContainerStep) {
        if let Some((chore, unit)) = Chore::of(step) {
            *self.replica_mut(unit).chores.entry(chore).or_default() += 1;
        }
        match step {
            ContainerStep::Start { unit, container, which } => self.begin_start(*unit, container, *which),
            ContainerStep::Restart {
                unit,
                container,
                restarts,
            } => self.begin_restart(*unit, container, *restarts),
            ContainerStep::StopOld { unit, container } => self.container_mut(*unit, container).stop_begun = true,
            // A `--rm` container, which its stop deleted, can be recreated only while its image is retained.
            ContainerStep::RemoveOld { .. } | ContainerStep::DropImage { .. } => self.committed = true,
            ContainerStep::AwaitReady {
                unit,
                container,
                which: Which::New,
                deadline,
            } => {
                let record = self.container_mut(*unit, container);
                record.waited = true;
                record.deadline.get_or_insert(*deadline);
            }
            ContainerStep::CreateCandidate { unit } => self.replica_mut(*unit).began = true,
            ContainerStep::Route {
                unit,
                container,
                change,
            } => self.begin_route(*unit, container, *change),
            // Attaching may replace its connections, so it has to prove readiness again.
            ContainerStep::Attach { unit, container } => self.container_mut(*unit, container).ready = false,
            ContainerStep::MoveTag { tag, image, .. } => {
                let moved = TagMove {
                    to: image.clone(),
                    done: false,
                };
                self.tags.insert(tag.clone(), moved);
            }
            ContainerStep::AwaitReady { which: Which::Old, .. }
            | ContainerStep::Preflight
            | ContainerStep::Pull
            | ContainerStep::TryOut { .. }
            | ContainerStep::RunHook { .. }
            | ContainerStep::RemoveCandidate { .. }
            | ContainerStep::SetRestart { .. }
            | ContainerStep::Rename { .. }
            | ContainerStep::StopCandidate { .. }
            | ContainerStep::SaveLog { .. }
            | ContainerStep::Drain { .. }
            | ContainerStep::RetainImage { .. }
            | ContainerStep::RecreateOld { .. } => {}
        }
    }

    fn end(&mut self, _goal: Goal, step: &ContainerStep, outcome: &ContainerOutcome) -> Result<(), IllegalEvent> {
        match outcome {
            ContainerOutcome::Preflighted { units } => self.units = Some(units.clone()),
            ContainerOutcome::Pulled { image, .. } => self.image = Some(image.clone()),
            ContainerOutcome::LogSaved { log, .. } => {
                let ContainerStep::SaveLog { unit, .. } = step else {
                    return Err(IllegalEvent {
                        event: "step_ended",
                        why: "only save_log saves a log",
                    });
                };
                self.replica_mut(*unit).saved_log = Some(log.clone());
            }
            ContainerOutcome::Done => self.done(step),
            ContainerOutcome::Unchanged => {
                self.done(step);
                if let ContainerStep::Attach { unit, container } = step {
                    self.container_mut(*unit, container).ready = true;
                }
            }
        }
        Ok(())
    }

    fn fail(&mut self, step: &ContainerStep, failure: &Failure) {
        let ContainerStep::Start { unit, container, .. } = step else {
            return;
        };
        let record = self.container_mut(*unit, container);
        if record.starts == 1 && matches!(failure.kind, FailureKind::StartFailed | FailureKind::NotExecutable) {
            record.ran = false;
        }
    }

    fn units(&self) -> Option<usize> {
        self.units.as_ref().map(Vec::len)
    }

    fn unit_name(&self, unit: usize) -> Option<&str> {
        Some(&self.units.as_ref()?.get(unit)?.name)
    }

    fn ran(&self) -> bool {
        self.records().any(|record| record.ran)
    }

    fn is_committed(&self) -> bool {
        self.committed
    }

    fn saved_logs(&self) -> Vec<String> {
        let logs = self.replicas.iter().filter_map(|replica| replica.saved_log.as_ref());
        logs.flatten().cloned().collect()
    }

    fn snapshots(&self) -> Vec<&str> {
        let units = self.units.iter().flatten();
        units.map(|unit| unit.snapshot.as_str()).collect()
    }
}

impl Containers {
    /// What is known of the replica at this position.
    pub(super) fn replica(&self, unit: usize) -> &Replica {
        self.replicas.get(unit).unwrap_or(&UNTOUCHED_REPLICA)
    }

    /// What is known of one of its containers.
    pub(super) fn container(&self, unit: &Unit, id: &str) -> &ContainerRecord {
        let known = self.replica(unit.index).containers.get(id);
        known.unwrap_or(&UNTOUCHED_CONTAINER)
    }

    /// Was anything started that would have to be rolled back?
    pub(crate) fn moved(&self) -> bool {
        self.replicas.iter().any(|replica| replica.began)
    }

    /// Does the tag certainly point at this image?
    pub(super) fn points(&self, tag: &str, image: Option<&ImageId>) -> bool {
        self.tags
            .get(tag)
            .is_some_and(|moved| moved.done && moved.to.as_ref() == image)
    }

    /// Was the tag moved, or may it have been?
    pub(super) fn may_have_moved(&self, tag: &str) -> bool {
        self.tags.contains_key(tag)
    }

    fn records(&self) -> impl Iterator<Item = &ContainerRecord> {
        self.replicas.iter().flat_map(|replica| replica.containers.values())
    }

    fn replica_mut(&mut self, unit: usize) -> &mut Replica {
        if self.replicas.len() <= unit {
            self.replicas.resize_with(unit + 1, Replica::default);
        }
        &mut self.replicas[unit]
    }

    fn container_mut(&mut self, unit: usize, id: &str) -> &mut ContainerRecord {
        self.replica_mut(unit).containers.entry(id.to_owned()).or_default()
    }

    fn begin_start(&mut self, unit: usize, container: &str, which: Which) {
        let record = self.container_mut(unit, container);
        record.starts += 1;
        record.ran |= which == Which::New;
        record.prove_again();
        // An explicit start resets the engine's restart count.
        if let Some(restarted) = &mut record.restarted {
            restarted.by_engine = 0;
        }
    }

    fn begin_restart(&mut self, unit: usize, container: &str, by_engine: u64) {
        let record = self.container_mut(unit, container);
        record.restarted = Some(Restarted { by_engine, done: false });
        record.prove_again();
    }

    fn begin_route(&mut self, unit: usize, container: &str, change: RouteChange) {
        match change {
            RouteChange::Pause | RouteChange::Resume => self.replica_mut(unit).router = RouterHold::Perhaps,
            RouteChange::Join | RouteChange::Leave => {}
        }
        let record = self.container_mut(unit, container);
        record.routed = Some(Routed {
            change,
            confirmed: false,
        });
        record.drained = false;
    }

    fn done(&mut self, step: &ContainerStep) {
        match step {
            ContainerStep::RunHook { phase, unit, hook } => {
                self.replica_mut(*unit).hooks.insert((*phase, *hook));
            }
            ContainerStep::TryOut { unit } => self.replica_mut(*unit).tried = true,
            ContainerStep::Restart { unit, container, .. } => {
                if let Some(restarted) = &mut self.container_mut(*unit, container).restarted {
                    restarted.done = true;
                }
            }
            ContainerStep::CreateCandidate { unit } => self.replica_mut(*unit).made = true,
            ContainerStep::RemoveCandidate { unit, .. } => self.replica_mut(*unit).made = false,
            ContainerStep::AwaitReady { unit, container, .. } => self.container_mut(*unit, container).ready = true,
            ContainerStep::Attach { unit, container } => self.container_mut(*unit, container).attached = true,
            ContainerStep::Drain { unit, container, .. } => self.container_mut(*unit, container).drained = true,
            ContainerStep::Route {
                unit,
                container,
                change,
            } => {
                match change {
                    RouteChange::Pause => self.replica_mut(*unit).router = RouterHold::Yes,
                    RouteChange::Resume => self.replica_mut(*unit).router = RouterHold::No,
                    RouteChange::Join | RouteChange::Leave => {}
                }
                if let Some(routed) = &mut self.container_mut(*unit, container).routed {
                    routed.confirmed = true;
                }
            }
            ContainerStep::RetainImage { unit } => self.replica_mut(*unit).image_retained = true,
            ContainerStep::DropImage { unit } => self.replica_mut(*unit).image_retained = false,
            ContainerStep::MoveTag { tag, .. } => {
                if let Some(moved) = self.tags.get_mut(tag) {
                    moved.done = true;
                }
            }
            ContainerStep::Preflight
            | ContainerStep::Pull
            | ContainerStep::StopOld { .. }
            | ContainerStep::SetRestart { .. }
            | ContainerStep::Start { .. }
            | ContainerStep::Rename { .. }
            | ContainerStep::StopCandidate { .. }
            | ContainerStep::SaveLog { .. }
            | ContainerStep::RemoveOld { .. }
            | ContainerStep::RecreateOld { .. } => {}
        }
    }
}

static UNTOUCHED_REPLICA: Replica = Replica {
    hooks: BTreeSet::new(),
    tried: false,
    began: false,
    made: false,
    router: RouterHold::No,
    image_retained: false,
    saved_log: None,
    chores: BTreeMap::new(),
    containers: BTreeMap::new(),
};

impl Replica {
    /// Was the chore tried so often that it is now skipped?
    pub(super) fn skips(&self, chore: Chore) -> bool {
        self.chores.get(&chore).is_some_and(|tries| *tries >= CHORES)
    }
}

static UNTOUCHED_CONTAINER: ContainerRecord = ContainerRecord {
    starts: 0,
    ran: false,
    ready: false,
    restarted: None,
    stop_begun: false,
    waited: false,
    deadline: None,
    attached: false,
    drained: false,
    routed: None,
};

impl ContainerRecord {
    /// Is this the last router change for it, and did the router confirm it?
    pub(super) fn is_confirmed(&self, change: RouteChange) -> bool {
        self.routed
            .is_some_and(|routed| routed.change == change && routed.confirmed)
    }

    /// Is this the last router change for it, whether or not the router confirmed it?
    pub(super) fn is_requested(&self, change: RouteChange) -> bool {
        self.routed.is_some_and(|routed| routed.change == change)
    }

    /// Was this the last router change for it, and did the router not confirm it?
    pub(super) fn is_unconfirmed(&self, change: RouteChange) -> bool {
        self.is_requested(change) && !self.is_confirmed(change)
    }

    /// It starts afresh, and so does its time to become ready.
    fn prove_again(&mut self) {
        self.ready = false;
        self.deadline = None;
        self.waited = false;
    }
}
