//! Moving containers of a plain engine: how far the units are.
//!
//! The order of steps makes sure that at every instant the old or the new container can serve, and that at most one of
//! them ever starts by itself.

use crate::model::failure::{Failure, FailureKind};
use crate::model::fleet::TargetPolicy;
use crate::model::image::ImageId;
use crate::model::journal::IllegalEvent;
use crate::model::rollout::{Goal, HookPhase, RouteChange, Step, StepOutcome, Unit, Which};
use jiff::Timestamp;
pub use order::Sequence;
pub(super) use order::reason;
use std::collections::{BTreeMap, BTreeSet};

pub(super) mod back;
pub(super) mod forward;
mod look;
mod names;
mod order;

/// The update order of a unit; stop-first if the configured start-first is not possible.
#[must_use]
pub fn sequence(target: &TargetPolicy, unit: &Unit) -> Sequence {
    order::order(target, unit).unwrap_or(Sequence::StopFirst)
}

/// The units of a rollout as its events tell them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Containers {
    pub units: Option<Vec<Unit>>,
    /// Id of the release's image on this host.
    pub image: Option<ImageId>,
    hooks: BTreeSet<(HookPhase, usize, usize)>,
    /// Units whose candidate may have been made.
    began: BTreeSet<usize>,
    /// Units whose candidate is complete: a create that was cut off may have left one without all its networks.
    made: BTreeSet<usize>,
    /// Containers that proved ready.
    ready: BTreeSet<String>,
    /// How often each container was started by us.
    starts: BTreeMap<String, u32>,
    /// New containers of which a process may have run.
    ran: BTreeSet<String>,
    /// New containers that exited and were started once more, as their own policy would have it.
    restarts: BTreeMap<String, Restarted>,
    /// Units whose host requirements were tried out.
    tried: BTreeSet<usize>,
    /// Containers we began to stop.
    stopped: BTreeSet<String>,
    /// New containers whose readiness we began to wait for. If such a container is found exited, the time of its
    /// exit is unknown.
    waited: BTreeSet<String>,
    /// When each new container has to be ready, as first planned: a kill gives it no more time.
    deadlines: BTreeMap<String, Timestamp>,
    attached: BTreeSet<String>,
    drained: BTreeSet<String>,
    /// The last router change for each container, and whether the router confirmed it.
    routed: BTreeMap<String, Told>,
    /// Units for which the router may be holding requests back; true: it certainly is.
    paused: BTreeMap<usize, bool>,
    /// Units whose old image is kept by a tag of ours.
    images_kept: BTreeSet<usize>,
    /// Tags of compose that may point at another image than before → what they point at.
    tags: BTreeMap<String, TagMove>,
    kept: BTreeMap<usize, (Vec<String>, i64)>,
    /// How often each chore was begun for each unit.
    chores: BTreeMap<(Chore, usize), u32>,
    /// The bake is over, and removal of old containers or of their images has begun. If the clock is set back now, the
    /// bake does not start again.
    pub(super) committed: bool,
}

/// A secondary step: a service does not wait for it if the engine keeps refusing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Chore {
    /// The old container is needed more urgently than its name.
    Rename,
    PauseRouter,
    KeepLog,
    RemoveCandidate,
    RemoveOld,
    LetImageGo,
}

/// After this many tries a chore is skipped. "Device or resource busy" can block a removal until the host is rebooted
/// (moby#22260).
const CHORES: u32 = 5;

impl Chore {
    fn of(step: &Step) -> Option<(Chore, usize)> {
        match step {
            Step::Rename { unit, .. } => Some((Chore::Rename, *unit)),
            Step::Route {
                unit,
                change: RouteChange::Pause,
                ..
            } => Some((Chore::PauseRouter, *unit)),
            Step::KeepLog { unit, .. } => Some((Chore::KeepLog, *unit)),
            Step::RemoveCandidate { unit, .. } => Some((Chore::RemoveCandidate, *unit)),
            Step::RemoveOld { unit, .. } => Some((Chore::RemoveOld, *unit)),
            Step::LetImageGo { unit } => Some((Chore::LetImageGo, *unit)),
            Step::Route {
                change: RouteChange::Join | RouteChange::Leave | RouteChange::Resume,
                ..
            }
            | Step::Preflight
            | Step::Pull
            | Step::TryOut { .. }
            | Step::RunHook { .. }
            | Step::CreateCandidate { .. }
            | Step::StopOld { .. }
            | Step::SetRestart { .. }
            | Step::Start { .. }
            | Step::Restart { .. }
            | Step::AwaitReady { .. }
            | Step::StopCandidate { .. }
            | Step::Attach { .. }
            | Step::Drain { .. }
            | Step::KeepImage { .. }
            | Step::RecreateOld { .. }
            | Step::MoveTag { .. }
            | Step::Service(_)
            | Step::SelfUpdate(_)
            | Step::Command(_) => None,
        }
    }
}

/// Can the rollout reach its goal without this step?
pub(super) fn is_dispensable(goal: Goal, step: &Step) -> bool {
    Chore::of(step).is_some_and(|(chore, _)| match (goal, chore) {
        // Requests that fail for a moment are better than a bad release that stays.
        (Goal::Back, Chore::PauseRouter | Chore::KeepLog | Chore::RemoveCandidate | Chore::LetImageGo)
        | (Goal::Forward, Chore::RemoveOld | Chore::LetImageGo) => true,
        (Goal::Forward, Chore::Rename | Chore::PauseRouter | Chore::KeepLog | Chore::RemoveCandidate)
        | (Goal::Back, Chore::Rename | Chore::RemoveOld) => false,
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Restarted {
    /// How often the engine had restarted it by then.
    by_engine: u64,
    done: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    change: RouteChange,
    heard: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct TagMove {
    to: Option<ImageId>,
    done: bool,
}

impl Containers {
    /// Records what a started step may have done, whether or not its end is ever known.
    pub(super) fn begin(&mut self, step: &Step) {
        if let Some(chore) = Chore::of(step) {
            *self.chores.entry(chore).or_default() += 1;
        }
        match step {
            Step::Start { container, which, .. } => self.begin_start(container, *which),
            Step::Restart {
                container, restarts, ..
            } => self.begin_restart(container, *restarts),
            Step::StopOld { container, .. } => {
                self.stopped.insert(container.clone());
            }
            // A `--rm` container, which its stop deleted, can be recreated only while its image is retained.
            Step::RemoveOld { .. } | Step::LetImageGo { .. } => self.committed = true,
            Step::AwaitReady {
                container,
                which: Which::New,
                deadline,
                ..
            } => {
                self.waited.insert(container.clone());
                self.deadlines.entry(container.clone()).or_insert(*deadline);
            }
            Step::CreateCandidate { unit } => {
                self.began.insert(*unit);
            }
            Step::Route {
                unit,
                container,
                change,
            } => self.begin_route(*unit, container, *change),
            Step::Attach { container, .. } => {
                // Attaching may replace its connections, so it has to prove readiness again.
                self.ready.remove(container);
            }
            Step::MoveTag { tag, image, .. } => {
                let moved = TagMove {
                    to: image.clone(),
                    done: false,
                };
                self.tags.insert(tag.clone(), moved);
            }
            Step::AwaitReady { which: Which::Old, .. }
            | Step::Preflight
            | Step::Pull
            | Step::TryOut { .. }
            | Step::RunHook { .. }
            | Step::RemoveCandidate { .. }
            | Step::SetRestart { .. }
            | Step::Rename { .. }
            | Step::StopCandidate { .. }
            | Step::KeepLog { .. }
            | Step::Service(_)
            | Step::SelfUpdate(_)
            | Step::Command(_)
            | Step::Drain { .. }
            | Step::KeepImage { .. }
            | Step::RecreateOld { .. } => {}
        }
    }

    fn begin_start(&mut self, container: &str, which: Which) {
        *self.starts.entry(container.to_owned()).or_default() += 1;
        match which {
            Which::New => drop(self.ran.insert(container.to_owned())),
            Which::Old => {}
        }
        self.prove_again(container);
        // An explicit start resets the engine's restart count.
        if let Some(restarted) = self.restarts.get_mut(container) {
            restarted.by_engine = 0;
        }
    }

    fn begin_restart(&mut self, container: &str, by_engine: u64) {
        let restarted = Restarted { by_engine, done: false };
        self.restarts.insert(container.to_owned(), restarted);
        self.prove_again(container);
    }

    fn begin_route(&mut self, unit: usize, container: &str, change: RouteChange) {
        match change {
            RouteChange::Pause | RouteChange::Resume => {
                self.paused.insert(unit, false);
            }
            RouteChange::Join | RouteChange::Leave => {}
        }
        let told = Told { change, heard: false };
        self.routed.insert(container.to_owned(), told);
        self.drained.remove(container);
    }

    /// The container starts afresh, and so does its time to become ready.
    fn prove_again(&mut self, container: &str) {
        self.ready.remove(container);
        self.deadlines.remove(container);
        self.waited.remove(container);
    }

    /// Records what a failed step certainly has not done.
    pub(super) fn fail(&mut self, step: &Step, failure: &Failure) {
        let Step::Start { container, .. } = step else { return };
        let first = self.starts.get(container) == Some(&1);
        if first && matches!(failure.kind, FailureKind::StartFailed | FailureKind::NotExecutable) {
            self.ran.remove(container);
        }
    }

    /// Records what a successful step has done.
    ///
    /// # Errors
    /// An outcome that is not of this step.
    pub(super) fn end(&mut self, step: &Step, outcome: &StepOutcome) -> Result<(), IllegalEvent> {
        match outcome {
            StepOutcome::Preflighted { units } => self.units = Some(units.clone()),
            StepOutcome::Pulled { image, .. } => self.image = Some(image.clone()),
            StepOutcome::Kept { log, exit_code } => {
                let Step::KeepLog { unit, .. } = step else {
                    return Err(IllegalEvent {
                        event: "step_ended",
                        why: "only keep_log keeps a log",
                    });
                };
                self.kept.insert(*unit, (log.clone(), *exit_code));
            }
            StepOutcome::Done => self.done(step),
            StepOutcome::Unchanged => {
                self.done(step);
                if let Step::Attach { container, .. } = step {
                    self.ready.insert(container.clone());
                }
            }
            StepOutcome::Busy { .. }
            | StepOutcome::Failed { .. }
            | StepOutcome::ServicesPreflighted { .. }
            | StepOutcome::CommandPreflighted { .. }
            | StepOutcome::Ran { .. }
            | StepOutcome::Prepulled { .. } => {}
        }
        Ok(())
    }

    fn done(&mut self, step: &Step) {
        match step {
            Step::RunHook { phase, unit, hook } => {
                self.hooks.insert((*phase, *unit, *hook));
            }
            Step::TryOut { unit } => {
                self.tried.insert(*unit);
            }
            Step::Restart { container, .. } => {
                if let Some(restarted) = self.restarts.get_mut(container) {
                    restarted.done = true;
                }
            }
            Step::CreateCandidate { unit } => {
                self.made.insert(*unit);
            }
            Step::RemoveCandidate { unit, .. } => {
                self.made.remove(unit);
            }
            Step::AwaitReady { container, .. } => {
                self.ready.insert(container.clone());
            }
            Step::Attach { container, .. } => {
                self.attached.insert(container.clone());
            }
            Step::Drain { container, .. } => {
                self.drained.insert(container.clone());
            }
            Step::Route {
                unit,
                container,
                change,
            } => {
                match change {
                    RouteChange::Pause => drop(self.paused.insert(*unit, true)),
                    RouteChange::Resume => drop(self.paused.remove(unit)),
                    RouteChange::Join | RouteChange::Leave => {}
                }
                if let Some(told) = self.routed.get_mut(container) {
                    told.heard = true;
                }
            }
            Step::KeepImage { unit } => {
                self.images_kept.insert(*unit);
            }
            Step::LetImageGo { unit } => {
                self.images_kept.remove(unit);
            }
            Step::MoveTag { tag, .. } => {
                if let Some(moved) = self.tags.get_mut(tag) {
                    moved.done = true;
                }
            }
            Step::Preflight
            | Step::Pull
            | Step::StopOld { .. }
            | Step::SetRestart { .. }
            | Step::Start { .. }
            | Step::Rename { .. }
            | Step::StopCandidate { .. }
            | Step::KeepLog { .. }
            | Step::RemoveOld { .. }
            | Step::Service(_)
            | Step::SelfUpdate(_)
            | Step::Command(_)
            | Step::RecreateOld { .. } => {}
        }
    }

    /// Did a process of a new container ever run? Then it may have changed data.
    pub(super) fn ran(&self) -> bool {
        !self.ran.is_empty()
    }

    /// Was anything started that would have to be rolled back?
    pub(super) fn moved(&self) -> bool {
        !self.began.is_empty()
    }

    /// Log tails of the candidates that were rolled back.
    #[must_use]
    pub fn kept_logs(&self) -> Vec<String> {
        self.kept.values().flat_map(|(log, _)| log.iter().cloned()).collect()
    }

    /// Exit codes of the candidates that were rolled back, by position.
    #[must_use]
    pub fn exit_codes(&self) -> BTreeMap<usize, i64> {
        self.kept.iter().map(|(unit, (_, code))| (*unit, *code)).collect()
    }

    /// Was the chore tried so often that it is now skipped?
    fn is_left(&self, chore: Chore, unit: usize) -> bool {
        self.chores.get(&(chore, unit)).is_some_and(|tries| *tries >= CHORES)
    }

    /// Is this the last router change for the container, and did the router confirm it?
    fn heard(&self, container: &str, change: RouteChange) -> bool {
        self.routed.get(container) == Some(&Told { change, heard: true })
    }

    /// Is this the last router change for the container, whether or not the router confirmed it?
    fn told(&self, container: &str, change: RouteChange) -> bool {
        self.routed.get(container).is_some_and(|told| told.change == change)
    }

    fn points(&self, tag: &str, image: Option<&ImageId>) -> bool {
        self.tags
            .get(tag)
            .is_some_and(|moved| moved.done && moved.to.as_ref() == image)
    }
}

#[cfg(test)]
pub(super) mod tests;
