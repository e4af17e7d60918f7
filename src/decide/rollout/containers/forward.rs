//! Rolls forward: create the new container first, stop the old one late, and retain it, stopped, until the new one has
//! baked.

use super::look::{alive, living_in, policy_stands, step};
use super::order::{Sequence, order};
use super::{Chore, Containers, names};
use crate::decide::rollout::{BAKE_POLL, Next, Progress, RolloutState, diverged, revert_or_stop};
use crate::model::app_state::Release;
use crate::model::failure::{Failure, FailureKind, WaitReason};
use crate::model::fleet::{PreflightPolicy, Router, Select};
use crate::model::image::ManifestDigest;
use crate::model::rollout::{
    ContainerState, EndedBy, Goal, Health, HookPhase, ObservedContainer, ObservedUnit, OnExit, Part, RestartPolicy,
    RolloutConclusion, RouteChange, Step, Unit, Which,
};
use jiff::{SignedDuration, Timestamp};

/// A candidate that is found stopped after an interrupted wait may have been stopped by a reboot of the host, so it is
/// started once more, but only once. The same goes for one that was ready and exited with [`LOST`].
const STARTS: u32 = 2;

/// The exit code that a starting engine gives to containers that ran when it went down, because it did not see them
/// exit (moby, daemon/daemon.go `restore`; seen on 20.10 and 26.1). A program may exit with it too, but will then do so
/// again.
const LOST: i64 = 255;

/// After a kill a new container gets the rest of its time to become ready, but at least this much, so that one check
/// can be made.
const LEAST_LEFT: SignedDuration = SignedDuration::from_secs(15);

pub(in crate::decide::rollout) fn next(
    state: &RolloutState,
    containers: &Containers,
    observed: &[ObservedUnit],
    now: Timestamp,
) -> Next {
    let Some(units) = &containers.units else {
        return step(Step::Preflight);
    };
    let mut released = units.iter().filter(|unit| unit.part == Part::Release);
    if !state.touched && released.all(|unit| runs(unit, &state.release)) {
        return Next::Finish(RolloutConclusion::AlreadyThere);
    }
    if let Some(refused) = barred(state, units) {
        return refused;
    }
    if let Some(untried) = untried(state, containers, units) {
        return untried;
    }
    if containers.image.is_none() {
        return step(Step::Pull);
    }
    if units.len() != observed.len() {
        return diverged("the containers could not be looked at".to_owned());
    }
    let all = Roll {
        state,
        containers,
        units,
        observed,
        now,
    };
    if containers.committed || state.bake.is_some_and(|until| until <= now) {
        return all.commit();
    }
    for (unit, seen) in units.iter().zip(observed) {
        if let Some(next) = all.advance(unit, seen) {
            return next;
        }
    }
    match state.bake {
        None => Next::StartBake {
            until: now + state.target.bake,
        },
        Some(until) => Next::Wait {
            until: Some(until.min(now + BAKE_POLL)),
            reason: WaitReason::Baking { until },
        },
    }
}

/// Refuses the rollout if start-first is configured and not possible.
fn barred(state: &RolloutState, units: &[Unit]) -> Option<Next> {
    if state.touched {
        return None;
    }
    let barred: Vec<String> = units
        .iter()
        .filter_map(|unit| {
            let bars = order(&state.target, unit).err()?;
            let why: Vec<String> = bars.iter().map(ToString::to_string).collect();
            Some(format!("{}: no start-first ({})", unit.name, why.join(", ")))
        })
        .collect();
    (!barred.is_empty()).then(|| {
        let failure = Failure::new(FailureKind::PreflightRefused, barred.join("; "));
        Next::Finish(RolloutConclusion::Refused { failure })
    })
}

/// Requirements of the host that only a trial container can check are tried out before anything is touched.
fn untried(state: &RolloutState, containers: &Containers, units: &[Unit]) -> Option<Next> {
    match state.target.preflight {
        PreflightPolicy::Full if !state.touched => {}
        PreflightPolicy::Full | PreflightPolicy::Create => return None,
    }
    let tries = |unit: &&Unit| !unit.needs.is_empty() && !containers.tried.contains(&unit.index);
    let unit = units.iter().find(tries)?.index;
    Some(step(Step::TryOut { unit }))
}

/// The new container exited during the wait for readiness: not this failure but the container's observed state decides
/// whether it is started once more.
pub(in crate::decide::rollout) fn is_judged_by_look(goal: Goal, step: &Step, failure: &Failure) -> bool {
    goal == Goal::Forward
        && matches!(step, Step::AwaitReady { which: Which::New, .. })
        && matches!(failure.kind, FailureKind::ContainerExited | FailureKind::OutOfMemory)
}

struct Roll<'a> {
    state: &'a RolloutState,
    containers: &'a Containers,
    units: &'a [Unit],
    observed: &'a [ObservedUnit],
    now: Timestamp,
}

/// The two containers of a unit.
#[derive(Clone, Copy)]
struct Pair<'a> {
    unit: &'a Unit,
    /// `None`: it ran with `--rm`, and we stopped it.
    old: Option<&'a ObservedContainer>,
    new: &'a ObservedContainer,
}

impl Roll<'_> {
    /// The next step of one unit; `None` when its new container serves under the unit's name.
    fn advance(&self, unit: &Unit, seen: &ObservedUnit) -> Option<Next> {
        if let Some(stranger) = &seen.stranger {
            return Some(diverged(format!("container {stranger} took the name {}", unit.name)));
        }
        if seen.old.is_none() && !self.may_be_gone(unit) {
            return Some(diverged(format!("the old container of {} is gone", unit.name)));
        }
        if let Some(hook) = self.pending_hook(HookPhase::Before, unit) {
            return Some(hook);
        }
        let new = match seen.candidates.as_slice() {
            [] if self.containers.made.contains(&unit.index) && self.began_switch(unit, seen) => {
                let failure = self.told(unit).cloned().unwrap_or_else(|| vanished(unit, seen.gone_by));
                return Some(revert_or_stop(self.state, failure));
            }
            [] => return Some(step(Step::CreateCandidate { unit: unit.index })),
            // Repeating the create adopts the existing container and completes it.
            [_] if !self.containers.made.contains(&unit.index) => {
                return Some(step(Step::CreateCandidate { unit: unit.index }));
            }
            [one] => one,
            // The create was repeated because its response was lost: keep the first container.
            [_, surplus, ..] => {
                return Some(step(Step::RemoveCandidate {
                    unit: unit.index,
                    container: surplus.id.clone(),
                }));
            }
        };
        let old = seen.old.as_ref();
        let pair = Pair { unit, old, new };
        let first = if unit.was_running {
            self.bring_up(pair)
        } else {
            old.and_then(|old| stays_down(unit, old))
        };
        first
            .or_else(|| self.take_name(pair))
            .or_else(|| self.move_tag(unit))
            .or_else(|| self.pending_hook(HookPhase::After, unit))
    }

    /// With `--rm`, our own stop deletes the old container.
    fn may_be_gone(&self, unit: &Unit) -> bool {
        unit.on_exit == OnExit::Removed && self.containers.stopped.contains(&unit.old)
    }

    /// From here on the service depends on the new container.
    fn began_switch(&self, unit: &Unit, seen: &ObservedUnit) -> bool {
        unit.was_running && !seen.old.as_ref().is_some_and(alive)
    }

    fn bring_up(&self, pair: Pair<'_>) -> Option<Next> {
        let sequence = order(&self.state.target, pair.unit).unwrap_or(Sequence::StopFirst);
        match sequence {
            Sequence::StopFirst => self
                .clear_the_way(pair)
                .or_else(|| self.start(pair))
                .or_else(|| self.resume_router(pair.unit, pair.new)),
            Sequence::StartFirst => self
                .start(pair)
                .or_else(|| self.attach(pair))
                .or_else(|| self.hand_over(pair)),
        }
    }

    /// Stop-first: stop the containers that live in the old one's namespaces, let the router hold requests back, stop
    /// the old one and clear its restart policy.
    fn clear_the_way(&self, pair: Pair<'_>) -> Option<Next> {
        let old = pair.old?;
        if alive(old) {
            for (tenant, seen) in living_in(self.units, self.observed, pair.unit.index) {
                if let Some(next) = seen.old.as_ref().and_then(|old| put_away(tenant, old)) {
                    return Some(next);
                }
            }
            let router = self.router(pair.unit).filter(|router| !router.pause.is_empty());
            if router.is_some() && self.containers.paused.get(&pair.unit.index) != Some(&true) {
                return Some(route(pair.unit, old, RouteChange::Pause));
            }
            if pair.unit.on_exit == OnExit::Removed && !self.containers.images_kept.contains(&pair.unit.index) {
                return Some(step(Step::KeepImage { unit: pair.unit.index }));
            }
        }
        put_away(pair.unit, old)
    }

    /// Starts the new container and checks that it becomes ready and stays ready.
    fn start(&self, pair: Pair<'_>) -> Option<Next> {
        let Pair { unit, new, .. } = pair;
        let ready = self.containers.ready.contains(&new.id);
        let fails = |kind, what: &str| Some(revert_or_stop(self.state, fault(kind, unit, what)));
        match new.state {
            ContainerState::Created => Some(start(unit, new)),
            ContainerState::Running | ContainerState::Restarting if self.restarted_since(new) > 0 => {
                self.after_restart(unit, new)
            }
            ContainerState::Running | ContainerState::Restarting if !ready => Some(step(Step::AwaitReady {
                unit: unit.index,
                container: new.id.clone(),
                which: Which::New,
                deadline: self.deadline(new),
            })),
            ContainerState::Running if new.health == Health::Unhealthy => {
                fails(FailureKind::UnhealthyAfterRoll, "turned unhealthy")
            }
            ContainerState::Running => None,
            ContainerState::Restarting => fails(FailureKind::Restarting, "keeps restarting"),
            ContainerState::Exited => Some(self.after_exit(unit, new)),
            ContainerState::Dead | ContainerState::Removing | ContainerState::Paused => {
                Some(revert_or_stop(self.state, exited(unit, new)))
            }
            ContainerState::Unknown => Some(diverged(format!("the state of the new {} cannot be read", unit.name))),
        }
    }

    /// Restarts by the engine that the journal has not noted yet.
    fn restarted_since(&self, new: &ObservedContainer) -> u64 {
        let noted = self.containers.restarts.get(&new.id);
        new.restart_count
            .saturating_sub(noted.map_or(0, |noted| noted.by_engine))
    }

    /// The new container has its restart policy again, and the engine restarted it before we could.
    fn after_restart(&self, unit: &Unit, new: &ObservedContainer) -> Option<Next> {
        let first = self.restarted_since(new) == 1 && !self.containers.restarts.contains_key(&new.id);
        if first && self.may_exit_once() {
            return Some(restart(unit, new));
        }
        let failure = fault(FailureKind::Restarting, unit, "was restarted by the engine, again");
        Some(revert_or_stop(self.state, failure))
    }

    /// lowtide's own new container must not exit even once: it watches its own rollout.
    fn may_exit_once(&self) -> bool {
        self.state.target.select != Select::OwnContainer
    }

    /// The first exit is accepted if the restart policy would restart the container; the second is a failure.
    fn after_exit(&self, unit: &Unit, new: &ObservedContainer) -> Next {
        match new.ended_by {
            EndedBy::Itself => {}
            EndedBy::Call => return diverged(format!("someone stopped the new container of {}", unit.name)),
        }
        let told = self.told(unit);
        let ready = self.containers.ready.contains(&new.id);
        let unseen = !ready && self.containers.waited.contains(&new.id);
        let lost = unseen || new.exit_code == LOST;
        if told.is_none() && lost && self.may_start(new) {
            return start(unit, new);
        }
        let begun = self.containers.restarts.get(&new.id);
        let first = begun.map_or(unit.restart.restarts(new.exit_code), |begun| !begun.done);
        if first && self.may_exit_once() {
            return restart(unit, new);
        }
        revert_or_stop(self.state, told.cloned().unwrap_or_else(|| exited(unit, new)))
    }

    /// The failure that ended the wait for readiness, with the container's last output.
    fn told(&self, unit: &Unit) -> Option<&Failure> {
        match &self.state.progress {
            Progress::Failed { step, failure, .. }
                if step.unit() == Some(unit.index) && is_judged_by_look(self.state.goal, step, failure) =>
            {
                Some(failure)
            }
            Progress::Idle | Progress::Started { .. } | Progress::Busy { .. } | Progress::Failed { .. } => None,
        }
    }

    fn may_start(&self, new: &ObservedContainer) -> bool {
        self.containers.starts.get(&new.id).copied().unwrap_or(0) < STARTS
    }

    fn deadline(&self, new: &ObservedContainer) -> Timestamp {
        // What its health check says before the end of its start period does not count.
        let whole = self.now + self.state.target.ready.timeout.max(new.warm_up);
        let planned = self.containers.deadlines.get(&new.id);
        planned.map_or(whole, |planned| (*planned).max(self.now + LEAST_LEFT).min(whole))
    }

    /// Start-first: only a container that already serves gets the network names under which others reach the service.
    fn attach(&self, pair: Pair<'_>) -> Option<Next> {
        let attached = self.containers.attached.contains(&pair.new.id);
        (!attached).then(|| {
            step(Step::Attach {
                unit: pair.unit.index,
                container: pair.new.id.clone(),
            })
        })
    }

    /// Start-first: the router adds the new container and drops the old one, which drains its requests and stops.
    fn hand_over(&self, pair: Pair<'_>) -> Option<Next> {
        let Pair { unit, new, .. } = pair;
        let old = pair.old?;
        if alive(old)
            && let Some(router) = self.router(unit)
        {
            if !router.join.is_empty() && !self.containers.heard(&new.id, RouteChange::Join) {
                return Some(route(unit, new, RouteChange::Join));
            }
            if !router.leave.is_empty() && !self.containers.heard(&old.id, RouteChange::Leave) {
                return Some(route(unit, old, RouteChange::Leave));
            }
            if router.drain.is_positive() && !self.containers.drained.contains(&old.id) {
                return Some(step(Step::Drain {
                    unit: unit.index,
                    container: old.id.clone(),
                    until: self.now + router.drain,
                }));
            }
        }
        put_away(unit, old)
    }

    fn resume_router(&self, unit: &Unit, new: &ObservedContainer) -> Option<Next> {
        self.containers
            .paused
            .contains_key(&unit.index)
            .then(|| route(unit, new, RouteChange::Resume))
    }

    /// The router sends requests to containers of the release, not to their dependents.
    fn router(&self, unit: &Unit) -> Option<&Router> {
        self.state.target.router.as_ref().filter(|_| unit.part == Part::Release)
    }

    fn take_name(&self, pair: Pair<'_>) -> Option<Next> {
        let Pair { unit, old, new } = pair;
        if let Some(old) = old.filter(|old| old.name == unit.name) {
            let to = names::prev(unit, self.state.id);
            return Some(step(Step::Rename {
                unit: unit.index,
                container: old.id.clone(),
                to,
            }));
        }
        if new.name != unit.name {
            let to = unit.name.clone();
            return Some(step(Step::Rename {
                unit: unit.index,
                container: new.id.clone(),
                to,
            }));
        }
        if !policy_stands(unit, new, &unit.restart) {
            let policy = unit.restart.clone();
            return Some(step(Step::SetRestart {
                unit: unit.index,
                container: new.id.clone(),
                policy,
            }));
        }
        None
    }

    /// Compose compares a container's image with its tag, so the tag must move too, or compose would replace the
    /// container again.
    fn move_tag(&self, unit: &Unit) -> Option<Next> {
        let (tag, image) = (unit.tag.as_ref()?, self.containers.image.as_ref()?);
        let moves = unit.part == Part::Release && !self.containers.points(&tag.reference, Some(image));
        moves.then(|| {
            step(Step::MoveTag {
                unit: unit.index,
                tag: tag.reference.clone(),
                image: Some(image.clone()),
            })
        })
    }

    /// The bake is over: removes the old containers, dependents first. Before that, a last check that each new
    /// container is there and, if its unit ran before, that it runs and is ready.
    fn commit(&self) -> Next {
        for (unit, seen) in self.units.iter().zip(self.observed).rev() {
            let Some(new) = seen.candidates.first() else {
                if seen.old.is_some() {
                    return revert_or_stop(self.state, vanished(unit, seen.gone_by));
                }
                return diverged(format!("the new container of {} is gone", unit.name));
            };
            // A unit without an old container or retained image has nothing left to roll back to: skip the check.
            if seen.old.is_none() && !self.containers.images_kept.contains(&unit.index) {
                continue;
            }
            let old = seen.old.as_ref();
            let pair = Pair { unit, old, new };
            let proven = !unit.was_running || (alive(new) && self.containers.ready.contains(&new.id));
            let next = if proven { None } else { self.start(pair) };
            if let Some(next) = next.or_else(|| self.take_name(pair)) {
                return next;
            }
        }
        for (unit, seen) in self.units.iter().zip(self.observed).rev() {
            let leaves = |chore| self.containers.is_left(chore, unit.index);
            if let Some(old) = seen.old.as_ref().filter(|_| !leaves(Chore::RemoveOld)) {
                return step(Step::RemoveOld {
                    unit: unit.index,
                    container: old.id.clone(),
                });
            }
            if self.containers.images_kept.contains(&unit.index) && !leaves(Chore::LetImageGo) {
                return step(Step::LetImageGo { unit: unit.index });
            }
        }
        Next::Finish(RolloutConclusion::Done)
    }

    fn pending_hook(&self, phase: HookPhase, unit: &Unit) -> Option<Next> {
        let hooks = match phase {
            HookPhase::Before => &self.state.target.before,
            HookPhase::After => &self.state.target.after,
        };
        // Hooks run inside the container, so one that did not run has none. Dependents have none either.
        let has_hooks = unit.was_running && unit.part == Part::Release;
        (0..hooks.len())
            .find(|hook| has_hooks && !self.containers.hooks.contains(&(phase, unit.index, *hook)))
            .map(|hook| {
                step(Step::RunHook {
                    phase,
                    unit: unit.index,
                    hook,
                })
            })
    }
}

/// A container that did not run must stay down: with the policy `always` the engine would start it whenever the engine
/// itself starts.
fn stays_down(unit: &Unit, old: &ObservedContainer) -> Option<Next> {
    if alive(old) {
        return Some(diverged(format!(
            "someone started {}, which did not run before",
            unit.name
        )));
    }
    put_away(unit, old)
}

/// An engine with the containerd image store uses the manifest's digest as the image id.
fn runs(unit: &Unit, release: &Release) -> bool {
    let digest = release.digest.as_ref().map(ManifestDigest::as_str);
    unit.old_image == release.image || digest == Some(unit.old_image.as_str())
}

/// Stops the old container, then clears its restart policy.
fn put_away(unit: &Unit, old: &ObservedContainer) -> Option<Next> {
    if alive(old) {
        return Some(step(Step::StopOld {
            unit: unit.index,
            container: old.id.clone(),
        }));
    }
    // After the stop, not before: on a running container `update` can cost it its devices.
    (!policy_stands(unit, old, &RestartPolicy::none())).then(|| {
        step(Step::SetRestart {
            unit: unit.index,
            container: old.id.clone(),
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

fn start(unit: &Unit, new: &ObservedContainer) -> Next {
    step(Step::Start {
        unit: unit.index,
        container: new.id.clone(),
        which: Which::New,
    })
}

fn restart(unit: &Unit, new: &ObservedContainer) -> Next {
    step(Step::Restart {
        unit: unit.index,
        container: new.id.clone(),
        restarts: new.restart_count,
    })
}

fn exited(unit: &Unit, new: &ObservedContainer) -> Failure {
    let kind = if new.oom_killed {
        FailureKind::OutOfMemory
    } else {
        FailureKind::ContainerExited
    };
    fault(kind, unit, &format!("exited with code {}", new.exit_code))
}

fn vanished(unit: &Unit, by: EndedBy) -> Failure {
    match (unit.on_exit, by) {
        (OnExit::Removed, EndedBy::Itself) => {
            fault(FailureKind::ContainerExited, unit, "exited, and `--rm` deleted it")
        }
        (OnExit::Removed, EndedBy::Call) => fault(FailureKind::Diverged, unit, "was stopped by someone else"),
        (OnExit::Stays, EndedBy::Itself | EndedBy::Call) => {
            fault(FailureKind::Diverged, unit, "was removed by someone else")
        }
    }
}

fn fault(kind: FailureKind, unit: &Unit, what: &str) -> Failure {
    Failure::new(kind, format!("the new container of {} {what}", unit.name))
}
