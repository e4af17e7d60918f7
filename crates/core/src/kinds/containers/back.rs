//! Rolls back to the containers of the snapshot. Never gated by windows, halts or pauses. The service is restored
//! first, cleanup comes after.

use super::look::{alive, groups, policy_stands, step};
use super::model::{ObservedContainer, ObservedUnit, OnExit, RestartPolicy, Unit};
use super::names;
use super::order::{Sequence, order};
use super::policy::{ContainersPolicy, Router};
use super::state::{Chore, ContainerRecord, Replica, RouterHold};
use super::step::{ContainerStep, RouteChange};
use crate::kinds::kind::{KindStep, Plan, View};
use jiff::Timestamp;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::rollout::{Part, Which};

type Next = Plan<ContainerStep>;

/// How often an old container that does not stay up is started. A dependency of it may come back; if its data was
/// changed, it will never stay up.
const STARTS: u32 = 5;

pub(super) fn next(view: View<'_, ContainersPolicy>, observed: &[ObservedUnit], now: Timestamp) -> Next {
    let Some(units) = &view.state.units else {
        return Plan::Returned;
    };
    if units.len() != observed.len() {
        return Plan::diverged("the containers could not be looked at".to_owned());
    }
    let way = Back { view, now };
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
    Plan::Returned
}

struct Back<'a> {
    view: View<'a, ContainersPolicy>,
    now: Timestamp,
}

impl Back<'_> {
    fn replica(&self, unit: &Unit) -> &Replica {
        self.view.state.replica(unit.index)
    }

    fn record(&self, unit: &Unit, container: &str) -> &ContainerRecord {
        self.view.state.container(unit, container)
    }

    fn make_room(&self, unit: &Unit, seen: &ObservedUnit) -> Option<Next> {
        let first = order(self.view.policy, unit).unwrap_or(Sequence::StopFirst);
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
        let replica = self.replica(unit);
        let holds = replica.router == RouterHold::Yes || replica.skips(Chore::PauseRouter);
        (gap && !holds).then(|| route(unit, new, RouteChange::Pause))
    }

    /// A start-first rollback: the old container serves before the new one is stopped.
    fn relieve(&self, unit: &Unit, seen: &ObservedUnit, new: &ObservedContainer) -> Option<Next> {
        let old = seen.old.as_ref().filter(|_| unit.was_running)?;
        if let Some(next) = self.serve_again(unit, old) {
            return Some(next);
        }
        let router = self.router(unit)?;
        let (of_old, of_new) = (self.record(unit, &old.id), self.record(unit, &new.id));
        if of_old.is_requested(RouteChange::Leave) || of_old.is_unconfirmed(RouteChange::Join) {
            return Some(route(unit, old, RouteChange::Join));
        }
        let joined = of_new.is_requested(RouteChange::Join) || of_new.is_unconfirmed(RouteChange::Leave);
        if joined && !router.leave.is_empty() {
            return Some(route(unit, new, RouteChange::Leave));
        }
        let left = of_new.is_confirmed(RouteChange::Leave);
        let drains = left && alive(new) && router.drain.is_positive() && !of_new.drained;
        drains.then(|| {
            step(ContainerStep::Drain {
                unit: unit.index,
                container: new.id.clone(),
                until: self.now + router.drain,
            })
        })
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
            return Some(step(ContainerStep::StopCandidate {
                unit: index,
                container: id,
            }));
        }
        let waits = self.comes_before_its_name(unit, seen.old.as_ref());
        (new.name == unit.name && !waits).then(|| {
            step(ContainerStep::Rename {
                unit: index,
                container: id,
                to: names::failed(unit, self.view.id),
            })
        })
    }

    /// If the rename fails again and again, the old container starts under its current name.
    fn comes_before_its_name(&self, unit: &Unit, old: Option<&ObservedContainer>) -> bool {
        unit.was_running && old.is_some_and(|old| !alive(old)) && self.replica(unit).skips(Chore::Rename)
    }

    /// Gives the old container its name back → starts it → restores its restart policy → waits until it is ready.
    fn restore(&self, unit: &Unit, seen: &ObservedUnit) -> Option<Next> {
        if let Some(stranger) = &seen.stranger {
            return Some(Plan::diverged(format!(
                "container {stranger} took the name {}",
                unit.name
            )));
        }
        let Some(old) = &seen.old else {
            return Some(match unit.on_exit {
                OnExit::Removed => step(ContainerStep::RecreateOld { unit: unit.index }),
                OnExit::Stays => lost(format!("the old container of {} is gone", unit.name)),
            });
        };
        if old.name != unit.name && !self.comes_before_its_name(unit, Some(old)) {
            return Some(step(ContainerStep::Rename {
                unit: unit.index,
                container: old.id.clone(),
                to: unit.name.clone(),
            }));
        }
        if unit.was_running && !alive(old) {
            return Some(self.start(unit, old));
        }
        if !policy_stands(unit, old, &unit.restart) {
            return Some(step(ContainerStep::SetRestart {
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
        if self.replica(unit).router != RouterHold::No {
            return Some(route(unit, old, RouteChange::Resume));
        }
        self.move_tag(unit)
    }

    fn serve_again(&self, unit: &Unit, old: &ObservedContainer) -> Option<Next> {
        if !alive(old) {
            return Some(self.start(unit, old));
        }
        // A container we never stopped need not prove itself again.
        let record = self.record(unit, &old.id);
        (record.starts > 0 && !record.ready).then(|| {
            step(ContainerStep::AwaitReady {
                unit: unit.index,
                container: old.id.clone(),
                which: Which::Old,
                deadline: self.now + self.view.target.ready.timeout.max(old.warm_up),
            })
        })
    }

    fn start(&self, unit: &Unit, old: &ObservedContainer) -> Next {
        if self.record(unit, &old.id).starts >= STARTS {
            return lost(match self.refusal(unit) {
                Some(why) => format!("the old container of {} cannot be started: {why}", unit.name),
                None => format!(
                    "the old container of {} does not stay up: it exited with code {}",
                    unit.name, old.exit_code
                ),
            });
        }
        step(ContainerStep::Start {
            unit: unit.index,
            container: old.id.clone(),
            which: Which::Old,
        })
    }

    /// Why the engine refused the last start of the old container.
    fn refusal(&self, unit: &Unit) -> Option<&str> {
        let (step, failure) = self.view.failed?;
        let refused =
            matches!(step, ContainerStep::Start { which: Which::Old, .. }) && step.about().unit == Some(unit.index);
        refused.then_some(failure.detail.as_str())
    }

    fn move_tag(&self, unit: &Unit) -> Option<Next> {
        let tag = unit.tag.as_ref()?;
        let moved = self.view.state.may_have_moved(&tag.reference)
            && !self.view.state.points(&tag.reference, tag.before.as_ref());
        (moved && unit.part == Part::Release).then(|| {
            step(ContainerStep::MoveTag {
                unit: unit.index,
                tag: tag.reference.clone(),
                image: tag.before.clone(),
            })
        })
    }

    fn clean(&self, unit: &Unit, seen: &ObservedUnit) -> Option<Next> {
        let replica = self.replica(unit);
        let Some(new) = seen.candidates.first() else {
            let retained = replica.image_retained && !replica.skips(Chore::DropImage);
            return retained.then(|| step(ContainerStep::DropImage { unit: unit.index }));
        };
        let started = self.record(unit, &new.id).starts > 0;
        if started && replica.saved_log.is_none() && !replica.skips(Chore::SaveLog) {
            return Some(step(ContainerStep::SaveLog {
                unit: unit.index,
                container: new.id.clone(),
            }));
        }
        (!replica.skips(Chore::RemoveCandidate)).then(|| {
            step(ContainerStep::RemoveCandidate {
                unit: unit.index,
                container: new.id.clone(),
            })
        })
    }

    fn router(&self, unit: &Unit) -> Option<&Router> {
        self.view.policy.router.as_ref().filter(|_| unit.part == Part::Release)
    }
}

fn never_by_itself(unit: &Unit, new: &ObservedContainer) -> Option<Next> {
    (!policy_stands(unit, new, &RestartPolicy::none())).then(|| {
        step(ContainerStep::SetRestart {
            unit: unit.index,
            container: new.id.clone(),
            policy: RestartPolicy::none(),
        })
    })
}

fn route(unit: &Unit, container: &ObservedContainer, change: RouteChange) -> Next {
    step(ContainerStep::Route {
        unit: unit.index,
        container: container.id.clone(),
        change,
    })
}

fn lost(detail: String) -> Next {
    Plan::stuck(Failure::new(FailureKind::RevertFailed, detail))
}
