//! Rolls back to the containers of the snapshot. Never gated by windows, halts or pauses. The service is restored
//! first, cleanup comes after.

use super::look::{alive, groups, policy_stands, step};
use super::order::{Sequence, order};
use super::{Chore, Containers, names};
use crate::decide::rollout::{Next, Progress, RolloutState, diverged, returned};
use crate::model::failure::{Failure, FailureKind};
use crate::model::fleet::Router;
use crate::model::rollout::{
    ObservedContainer, ObservedUnit, OnExit, Part, RestartPolicy, RolloutConclusion, RouteChange, Step, Unit, Which,
};
use jiff::Timestamp;

/// How often an old container that does not stay up is started. A dependency of it may come back; if its data was
/// changed, it will never stay up.
const STARTS: u32 = 5;

pub(in crate::decide::rollout) fn next(
    state: &RolloutState,
    containers: &Containers,
    observed: &[ObservedUnit],
    reason: Failure,
    now: Timestamp,
) -> Next {
    let Some(units) = &containers.units else {
        return returned(state, reason);
    };
    if units.len() != observed.len() {
        return diverged("the containers could not be looked at".to_owned());
    }
    let way = Back { state, containers, now };
    let of = |n: &usize| (&units[*n], &observed[*n]);
    for group in groups(units).iter().rev() {
        // Units that depend on others are retired first and restored last.
        for (unit, seen) in group.iter().rev().map(of) {
            if let Some(next) = way.make_room(unit, seen) {
                return next;
            }
        }
        for (unit, seen) in group.iter().map(of) {
            if let Some(next) = way.restore(unit, seen) {
                return next;
            }
        }
    }
    for (unit, seen) in units.iter().zip(observed).rev() {
        if let Some(next) = way.clean(unit, seen) {
            return next;
        }
    }
    returned(state, reason)
}

struct Back<'a> {
    state: &'a RolloutState,
    containers: &'a Containers,
    now: Timestamp,
}

impl Back<'_> {
    fn make_room(&self, unit: &Unit, seen: &ObservedUnit) -> Option<Next> {
        let first = order(&self.state.target, unit).unwrap_or(Sequence::StopFirst);
        seen.candidates.iter().find_map(|new| match first {
            Sequence::StopFirst => self
                .hold_requests(unit, seen, new)
                .or_else(|| self.retire(unit, seen, new)),
            Sequence::StartFirst => never_by_itself(unit, new)
                .or_else(|| self.relieve(unit, seen, new))
                .or_else(|| self.retire(unit, seen, new)),
        })
    }

    /// A stop-first rollback has a gap too, so the router holds requests back.
    fn hold_requests(&self, unit: &Unit, seen: &ObservedUnit, new: &ObservedContainer) -> Option<Next> {
        self.router(unit).filter(|router| !router.pause.is_empty())?;
        let gap = unit.was_running && alive(new) && !seen.old.as_ref().is_some_and(alive);
        let holds = self.containers.paused.get(&unit.index) == Some(&true)
            || self.containers.is_left(Chore::PauseRouter, unit.index);
        (gap && !holds).then(|| route(unit, new, RouteChange::Pause))
    }

    /// A start-first rollback: the old container serves before the new one is stopped.
    fn relieve(&self, unit: &Unit, seen: &ObservedUnit, new: &ObservedContainer) -> Option<Next> {
        let old = seen.old.as_ref().filter(|_| unit.was_running)?;
        if let Some(next) = self.serve_again(unit, old) {
            return Some(next);
        }
        let router = self.router(unit)?;
        if self.containers.told(&old.id, RouteChange::Leave) || self.unheard(&old.id, RouteChange::Join) {
            return Some(route(unit, old, RouteChange::Join));
        }
        let joined = self.containers.told(&new.id, RouteChange::Join) || self.unheard(&new.id, RouteChange::Leave);
        if joined && !router.leave.is_empty() {
            return Some(route(unit, new, RouteChange::Leave));
        }
        let left = self.containers.heard(&new.id, RouteChange::Leave);
        let drains = left && alive(new) && router.drain.is_positive() && !self.containers.drained.contains(&new.id);
        drains.then(|| {
            step(Step::Drain {
                unit: unit.index,
                container: new.id.clone(),
                until: self.now + router.drain,
            })
        })
    }

    fn unheard(&self, container: &str, change: RouteChange) -> bool {
        self.containers.told(container, change) && !self.containers.heard(container, change)
    }

    /// Retires the new container: no restart policy, stopped, and renamed so that the service's name is free.
    fn retire(&self, unit: &Unit, seen: &ObservedUnit, new: &ObservedContainer) -> Option<Next> {
        let index = unit.index;
        let id = new.id.clone();
        // Policy first: a crash-looping container would come back between its stop and its removal.
        if let Some(next) = never_by_itself(unit, new) {
            return Some(next);
        }
        if alive(new) {
            return Some(step(Step::StopCandidate {
                unit: index,
                container: id,
            }));
        }
        let waits = self.comes_before_its_name(unit, seen.old.as_ref());
        (new.name == unit.name && !waits).then(|| {
            step(Step::Rename {
                unit: index,
                container: id,
                to: names::failed(unit, self.state.id),
            })
        })
    }

    /// If the rename fails again and again, the old container starts under its current name.
    fn comes_before_its_name(&self, unit: &Unit, old: Option<&ObservedContainer>) -> bool {
        unit.was_running && old.is_some_and(|old| !alive(old)) && self.containers.is_left(Chore::Rename, unit.index)
    }

    /// Gives the old container its name back → starts it → restores its restart policy → waits until it is ready.
    fn restore(&self, unit: &Unit, seen: &ObservedUnit) -> Option<Next> {
        if let Some(stranger) = &seen.stranger {
            return Some(diverged(format!("container {stranger} took the name {}", unit.name)));
        }
        let Some(old) = &seen.old else {
            return Some(match unit.on_exit {
                OnExit::Removed => step(Step::RecreateOld { unit: unit.index }),
                OnExit::Stays => lost(format!("the old container of {} is gone", unit.name)),
            });
        };
        if old.name != unit.name && !self.comes_before_its_name(unit, Some(old)) {
            return Some(step(Step::Rename {
                unit: unit.index,
                container: old.id.clone(),
                to: unit.name.clone(),
            }));
        }
        if unit.was_running && !alive(old) {
            return Some(self.start(unit, old));
        }
        if !policy_stands(unit, old, &unit.restart) {
            return Some(step(Step::SetRestart {
                unit: unit.index,
                container: old.id.clone(),
                policy: unit.restart.clone(),
            }));
        }
        if unit.was_running
            && let Some(next) = self.serve_again(unit, old)
        {
            return Some(next);
        }
        if self.containers.paused.contains_key(&unit.index) {
            return Some(route(unit, old, RouteChange::Resume));
        }
        self.move_tag(unit)
    }

    fn serve_again(&self, unit: &Unit, old: &ObservedContainer) -> Option<Next> {
        if !alive(old) {
            return Some(self.start(unit, old));
        }
        // A container we never stopped need not prove itself again.
        let disturbed = self.containers.starts.contains_key(&old.id);
        (disturbed && !self.containers.ready.contains(&old.id)).then(|| {
            step(Step::AwaitReady {
                unit: unit.index,
                container: old.id.clone(),
                which: Which::Old,
                deadline: self.now + self.state.target.ready.timeout.max(old.warm_up),
            })
        })
    }

    fn start(&self, unit: &Unit, old: &ObservedContainer) -> Next {
        if self.containers.starts.get(&old.id).copied().unwrap_or(0) >= STARTS {
            return lost(match self.refusal(unit) {
                Some(why) => format!("the old container of {} cannot be started: {why}", unit.name),
                None => format!(
                    "the old container of {} does not stay up: it exited with code {}",
                    unit.name, old.exit_code
                ),
            });
        }
        step(Step::Start {
            unit: unit.index,
            container: old.id.clone(),
            which: Which::Old,
        })
    }

    /// Why the engine refused the last start of the old container.
    fn refusal(&self, unit: &Unit) -> Option<&str> {
        match &self.state.progress {
            Progress::Failed {
                step: step @ Step::Start { which: Which::Old, .. },
                failure,
                ..
            } if step.unit() == Some(unit.index) => Some(&failure.detail),
            Progress::Idle | Progress::Started { .. } | Progress::Busy { .. } | Progress::Failed { .. } => None,
        }
    }

    fn move_tag(&self, unit: &Unit) -> Option<Next> {
        let tag = unit.tag.as_ref()?;
        let moved = self.containers.tags.contains_key(&tag.reference)
            && !self.containers.points(&tag.reference, tag.before.as_ref());
        (moved && unit.part == Part::Release).then(|| {
            step(Step::MoveTag {
                unit: unit.index,
                tag: tag.reference.clone(),
                image: tag.before.clone(),
            })
        })
    }

    fn clean(&self, unit: &Unit, seen: &ObservedUnit) -> Option<Next> {
        let leaves = |chore| self.containers.is_left(chore, unit.index);
        let Some(new) = seen.candidates.first() else {
            let kept = self.containers.images_kept.contains(&unit.index) && !leaves(Chore::LetImageGo);
            return kept.then(|| step(Step::LetImageGo { unit: unit.index }));
        };
        let started = self.containers.starts.contains_key(&new.id);
        if started && !self.containers.kept.contains_key(&unit.index) && !leaves(Chore::KeepLog) {
            return Some(step(Step::KeepLog {
                unit: unit.index,
                container: new.id.clone(),
            }));
        }
        (!leaves(Chore::RemoveCandidate)).then(|| {
            step(Step::RemoveCandidate {
                unit: unit.index,
                container: new.id.clone(),
            })
        })
    }

    fn router(&self, unit: &Unit) -> Option<&Router> {
        self.state.target.router.as_ref().filter(|_| unit.part == Part::Release)
    }
}

fn never_by_itself(unit: &Unit, new: &ObservedContainer) -> Option<Next> {
    (!policy_stands(unit, new, &RestartPolicy::none())).then(|| {
        step(Step::SetRestart {
            unit: unit.index,
            container: new.id.clone(),
            policy: RestartPolicy::none(),
        })
    })
}

fn route(unit: &Unit, container: &ObservedContainer, change: RouteChange) -> Next {
    step(Step::Route {
        unit: unit.index,
        container: container.id.clone(),
        change,
    })
}

fn lost(detail: String) -> Next {
    let failure = Failure::new(FailureKind::RevertFailed, detail);
    Next::Finish(RolloutConclusion::Stuck { failure })
}
