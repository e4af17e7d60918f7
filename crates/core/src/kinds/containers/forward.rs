//! Rolls forward: create the new container first, stop the old one late, and retain it, stopped, until the new one has
//! baked.

use super::look::{alive, living_in, policy_stands, step};
use super::model::{EndedBy, ObservedContainer, ObservedUnit, OnExit, RestartPolicy, Unit};
use super::names;
use super::order::{Sequence, order};
use super::policy::{ContainerSelect, ContainersPolicy, PreflightPolicy, Router};
use super::state::{Chore, ContainerRecord, Replica, RouterHold};
use super::step::{ContainerStep, RouteChange};
use crate::kinds::kind::{KindState, KindStep, Plan, View};
use jiff::{SignedDuration, Timestamp};
use lowtide_model::container::{ContainerState, Health};
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::image::ManifestDigest;
use lowtide_model::release::Release;
use lowtide_model::rollout::{Goal, HookPhase, Part, RolloutConclusion, Which};

type Next = Plan<ContainerStep>;

/// How often containers are observed while they bake.
const BAKE_POLL: SignedDuration = SignedDuration::from_secs(2);

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

pub(super) fn next(view: View<'_, ContainersPolicy>, observed: &[ObservedUnit], now: Timestamp) -> Next {
    let containers = view.state;
    let Some(units) = &containers.units else {
        return step(ContainerStep::Preflight);
    };
    let mut released = units.iter().filter(|unit| unit.part == Part::Release);
    if !view.touched && released.all(|unit| runs(unit, view.release)) {
        return Plan::Finish(RolloutConclusion::AlreadyThere);
    }
    if let Some(refused) = barred(view, units) {
        return refused;
    }
    if let Some(untried) = untried(view, units) {
        return untried;
    }
    if containers.image.is_none() {
        return step(ContainerStep::Pull);
    }
    if units.len() != observed.len() {
        return Plan::diverged("the containers could not be looked at".to_owned());
    }
    let all = Roll {
        view,
        units,
        observed,
        now,
    };
    if containers.is_committed() || view.bake.is_some_and(|until| until <= now) {
        return all.commit();
    }
    for (unit, seen) in units.iter().zip(observed) {
        if let Some(next) = all.advance(unit, seen) {
            return next;
        }
    }
    let baking = view.bake.and_then(|until| Plan::baking(until, now, BAKE_POLL));
    baking.unwrap_or(Plan::Bake)
}

/// Refuses the rollout if start-first is configured and not possible.
fn barred(view: View<'_, ContainersPolicy>, units: &[Unit]) -> Option<Next> {
    if view.touched {
        return None;
    }
    let barred: Vec<String> = units
        .iter()
        .filter_map(|unit| {
            let bars = order(view.policy, unit).err()?;
            let why: Vec<String> = bars.iter().map(ToString::to_string).collect();
            Some(format!("{}: no start-first ({})", unit.name, why.join(", ")))
        })
        .collect();
    (!barred.is_empty()).then(|| {
        let failure = Failure::new(FailureKind::PreflightRefused, barred.join("; "));
        Plan::Finish(RolloutConclusion::Refused { failure })
    })
}

/// Requirements of the host that only a trial container can check are tried out before anything is touched.
fn untried(view: View<'_, ContainersPolicy>, units: &[Unit]) -> Option<Next> {
    match view.policy.preflight {
        PreflightPolicy::Full if !view.touched => {}
        PreflightPolicy::Full | PreflightPolicy::Create => return None,
    }
    let tries = |unit: &&Unit| !unit.needs.is_empty() && !view.state.replica(unit.index).tried;
    let unit = units.iter().find(tries)?.index;
    Some(step(ContainerStep::TryOut { unit }))
}

/// The new container exited during the wait for readiness: not this failure but the container's observed state decides
/// whether it is started once more.
pub(super) fn is_judged_by_look(goal: Goal, step: &ContainerStep, failure: &Failure) -> bool {
    goal == Goal::Forward
        && matches!(step, ContainerStep::AwaitReady { which: Which::New, .. })
        && matches!(failure.kind, FailureKind::ContainerExited | FailureKind::OutOfMemory)
}

struct Roll<'a> {
    view: View<'a, ContainersPolicy>,
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
    fn replica(&self, unit: &Unit) -> &Replica {
        self.view.state.replica(unit.index)
    }

    fn record(&self, unit: &Unit, container: &str) -> &ContainerRecord {
        self.view.state.container(unit, container)
    }

    /// The next step of one unit; `None` when its new container serves under the unit's name.
    fn advance(&self, unit: &Unit, seen: &ObservedUnit) -> Option<Next> {
        if let Some(stranger) = &seen.stranger {
            return Some(Plan::diverged(format!(
                "container {stranger} took the name {}",
                unit.name
            )));
        }
        if seen.old.is_none() && !self.may_be_gone(unit) {
            return Some(Plan::diverged(format!("the old container of {} is gone", unit.name)));
        }
        if let Some(hook) = self.pending_hook(HookPhase::Before, unit) {
            return Some(hook);
        }
        let new = match seen.candidates.as_slice() {
            [] if self.replica(unit).made && self.began_switch(unit, seen) => {
                let failure = self
                    .readiness_failure(unit)
                    .cloned()
                    .unwrap_or_else(|| vanished(unit, seen.gone_by));
                return Some(Plan::Fail(failure));
            }
            [] => return Some(step(ContainerStep::CreateCandidate { unit: unit.index })),
            // Repeating the create adopts the existing container and completes it.
            [_] if !self.replica(unit).made => {
                return Some(step(ContainerStep::CreateCandidate { unit: unit.index }));
            }
            [one] => one,
            // The create was repeated because its response was lost: the first container stays.
            [_, surplus, ..] => {
                return Some(step(ContainerStep::RemoveCandidate {
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
        unit.on_exit == OnExit::Removed && self.record(unit, &unit.old).stop_begun
    }

    /// From here on the service depends on the new container.
    fn began_switch(&self, unit: &Unit, seen: &ObservedUnit) -> bool {
        unit.was_running && !seen.old.as_ref().is_some_and(alive)
    }

    fn bring_up(&self, pair: Pair<'_>) -> Option<Next> {
        let sequence = order(self.view.policy, pair.unit).unwrap_or(Sequence::StopFirst);
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
            if router.is_some() && self.replica(pair.unit).router != RouterHold::Yes {
                return Some(route(pair.unit, old, RouteChange::Pause));
            }
            if pair.unit.on_exit == OnExit::Removed && !self.replica(pair.unit).image_retained {
                return Some(step(ContainerStep::RetainImage { unit: pair.unit.index }));
            }
        }
        put_away(pair.unit, old)
    }

    /// Starts the new container and checks that it becomes ready and stays ready.
    fn start(&self, pair: Pair<'_>) -> Option<Next> {
        let Pair { unit, new, .. } = pair;
        let ready = self.record(unit, &new.id).ready;
        let fails = |kind, what: &str| Some(Plan::Fail(fault(kind, unit, what)));
        match new.state {
            ContainerState::Created => Some(start(unit, new)),
            ContainerState::Running | ContainerState::Restarting if self.restarted_since(unit, new) > 0 => {
                self.after_restart(unit, new)
            }
            ContainerState::Running | ContainerState::Restarting if !ready => Some(step(ContainerStep::AwaitReady {
                unit: unit.index,
                container: new.id.clone(),
                which: Which::New,
                deadline: self.deadline(unit, new),
            })),
            ContainerState::Running if new.health == Health::Unhealthy => {
                fails(FailureKind::UnhealthyAfterRoll, "turned unhealthy")
            }
            ContainerState::Running => None,
            ContainerState::Restarting => fails(FailureKind::Restarting, "keeps restarting"),
            ContainerState::Exited => Some(self.after_exit(unit, new)),
            ContainerState::Dead | ContainerState::Removing | ContainerState::Paused => {
                Some(Plan::Fail(exited(unit, new)))
            }
            ContainerState::Unknown => Some(Plan::diverged(format!(
                "the state of the new {} cannot be read",
                unit.name
            ))),
        }
    }

    /// Restarts by the engine that the journal has not noted yet.
    fn restarted_since(&self, unit: &Unit, new: &ObservedContainer) -> u64 {
        let noted = self.record(unit, &new.id).restarted;
        new.restart_count
            .saturating_sub(noted.map_or(0, |noted| noted.by_engine))
    }

    /// The new container has its restart policy again, and the engine restarted it before we could.
    fn after_restart(&self, unit: &Unit, new: &ObservedContainer) -> Option<Next> {
        let first = self.restarted_since(unit, new) == 1 && self.record(unit, &new.id).restarted.is_none();
        if first && self.may_exit_once() {
            return Some(restart(unit, new));
        }
        let failure = fault(FailureKind::Restarting, unit, "was restarted by the engine, again");
        Some(Plan::Fail(failure))
    }

    /// lowtide's own new container must not exit even once: it watches its own rollout.
    fn may_exit_once(&self) -> bool {
        self.view.policy.select != ContainerSelect::Own
    }

    /// The first exit is accepted if the restart policy would restart the container; the second is a failure.
    fn after_exit(&self, unit: &Unit, new: &ObservedContainer) -> Next {
        match new.ended_by {
            EndedBy::Itself => {}
            EndedBy::Call => return Plan::diverged(format!("someone stopped the new container of {}", unit.name)),
        }
        let failure = self.readiness_failure(unit);
        let record = self.record(unit, &new.id);
        let unseen = !record.ready && record.waited;
        let lost = unseen || new.exit_code == LOST;
        if failure.is_none() && lost && record.starts < STARTS {
            return start(unit, new);
        }
        let first = record
            .restarted
            .map_or(unit.restart.restarts(new.exit_code), |begun| !begun.done);
        if first && self.may_exit_once() {
            return restart(unit, new);
        }
        Plan::Fail(failure.cloned().unwrap_or_else(|| exited(unit, new)))
    }

    /// The failure that ended the wait for readiness, with the container's last output.
    fn readiness_failure(&self, unit: &Unit) -> Option<&Failure> {
        let (step, failure) = self.view.failed?;
        let here = step.about().unit == Some(unit.index);
        (here && is_judged_by_look(self.view.goal, step, failure)).then_some(failure)
    }

    fn deadline(&self, unit: &Unit, new: &ObservedContainer) -> Timestamp {
        // What its health check says before the end of its start period does not count.
        let whole = self.now + self.view.target.ready.timeout.max(new.warm_up);
        let planned = self.record(unit, &new.id).deadline;
        planned.map_or(whole, |planned| planned.max(self.now + LEAST_LEFT).min(whole))
    }

    /// Start-first: only a container that already serves gets the network names under which others reach the service.
    fn attach(&self, pair: Pair<'_>) -> Option<Next> {
        let attached = self.record(pair.unit, &pair.new.id).attached;
        (!attached).then(|| {
            step(ContainerStep::Attach {
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
            if !router.join.is_empty() && !self.record(unit, &new.id).is_confirmed(RouteChange::Join) {
                return Some(route(unit, new, RouteChange::Join));
            }
            if !router.leave.is_empty() && !self.record(unit, &old.id).is_confirmed(RouteChange::Leave) {
                return Some(route(unit, old, RouteChange::Leave));
            }
            if router.drain.is_positive() && !self.record(unit, &old.id).drained {
                return Some(step(ContainerStep::Drain {
                    unit: unit.index,
                    container: old.id.clone(),
                    until: self.now + router.drain,
                }));
            }
        }
        put_away(unit, old)
    }

    fn resume_router(&self, unit: &Unit, new: &ObservedContainer) -> Option<Next> {
        let holds = self.replica(unit).router != RouterHold::No;
        holds.then(|| route(unit, new, RouteChange::Resume))
    }

    /// The router sends requests to containers of the release, not to their dependents.
    fn router(&self, unit: &Unit) -> Option<&Router> {
        self.view.policy.router.as_ref().filter(|_| unit.part == Part::Release)
    }

    fn take_name(&self, pair: Pair<'_>) -> Option<Next> {
        let Pair { unit, old, new } = pair;
        if let Some(old) = old.filter(|old| old.name == unit.name) {
            let to = names::prev(unit, self.view.id);
            return Some(step(ContainerStep::Rename {
                unit: unit.index,
                container: old.id.clone(),
                to,
            }));
        }
        if new.name != unit.name {
            let to = unit.name.clone();
            return Some(step(ContainerStep::Rename {
                unit: unit.index,
                container: new.id.clone(),
                to,
            }));
        }
        if !policy_stands(unit, new, &unit.restart) {
            let policy = unit.restart.clone();
            return Some(step(ContainerStep::SetRestart {
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
        let (tag, image) = (unit.tag.as_ref()?, self.view.state.image.as_ref()?);
        let moves = unit.part == Part::Release && !self.view.state.points(&tag.reference, Some(image));
        moves.then(|| {
            step(ContainerStep::MoveTag {
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
                    return Plan::Fail(vanished(unit, seen.gone_by));
                }
                return Plan::diverged(format!("the new container of {} is gone", unit.name));
            };
            // A unit without an old container or retained image has nothing left to roll back to: skip the check.
            if seen.old.is_none() && !self.replica(unit).image_retained {
                continue;
            }
            let old = seen.old.as_ref();
            let pair = Pair { unit, old, new };
            let proven = !unit.was_running || (alive(new) && self.record(unit, &new.id).ready);
            let next = if proven { None } else { self.start(pair) };
            if let Some(next) = next.or_else(|| self.take_name(pair)) {
                return next;
            }
        }
        for (unit, seen) in self.units.iter().zip(self.observed).rev() {
            let replica = self.replica(unit);
            if let Some(old) = seen.old.as_ref().filter(|_| !replica.skips(Chore::RemoveOld)) {
                return step(ContainerStep::RemoveOld {
                    unit: unit.index,
                    container: old.id.clone(),
                });
            }
            if replica.image_retained && !replica.skips(Chore::DropImage) {
                return step(ContainerStep::DropImage { unit: unit.index });
            }
        }
        Plan::Finish(RolloutConclusion::Done)
    }

    fn pending_hook(&self, phase: HookPhase, unit: &Unit) -> Option<Next> {
        let hooks = match phase {
            HookPhase::Before => &self.view.policy.before,
            HookPhase::After => &self.view.policy.after,
        };
        // Hooks run inside the container, so one that did not run has none. Dependents have none either.
        let has_hooks = unit.was_running && unit.part == Part::Release;
        (0..hooks.len())
            .find(|hook| has_hooks && !self.replica(unit).hooks.contains(&(phase, *hook)))
            .map(|hook| {
                step(ContainerStep::RunHook {
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
        return Some(Plan::diverged(format!(
            "someone started {}, which did not run before",
            unit.name
        )));
    }
    put_away(unit, old)
}

/// An engine with the containerd image store uses the manifest's digest as the image id.
fn runs(unit: &Unit, release: &Release) -> bool {
    let digest = release.digest.as_ref().map(ManifestDigest::as_str);
    release.images.has(&unit.old_image) || digest == Some(unit.old_image.as_str())
}

/// Stops the old container, then clears its restart policy.
fn put_away(unit: &Unit, old: &ObservedContainer) -> Option<Next> {
    if alive(old) {
        return Some(step(ContainerStep::StopOld {
            unit: unit.index,
            container: old.id.clone(),
        }));
    }
    // After the stop, not before: on a running container `update` can cost it its devices.
    (!policy_stands(unit, old, &RestartPolicy::none())).then(|| {
        step(ContainerStep::SetRestart {
            unit: unit.index,
            container: old.id.clone(),
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

fn start(unit: &Unit, new: &ObservedContainer) -> Next {
    step(ContainerStep::Start {
        unit: unit.index,
        container: new.id.clone(),
        which: Which::New,
    })
}

fn restart(unit: &Unit, new: &ObservedContainer) -> Next {
    step(ContainerStep::Restart {
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
