//! Towards the release: create first, stop the old one late, keep it stopped until the new one has baked.

use super::{
    BAKE_POLL, Failure, FailureKind, Health, HookPhase, Next, ObservedContainer, ObservedUnit, RestartPolicy,
    RolloutConclusion, RolloutState, Step, Unit, WaitReason, Which, alive, diverged, policy_is, prev_name,
    revert_or_stop,
};
use crate::model::rollout::ContainerState;
use jiff::Timestamp;

/// A started candidate that is found stopped before it ever was ready may have been stopped by a reboot of the host: it is
/// started once more, not for ever.
const STARTS: u32 = 2;

pub(super) fn next(state: &RolloutState, observed: &[ObservedUnit], now: Timestamp) -> Next {
    let Some(units) = &state.units else {
        return step(Step::Preflight);
    };
    if !state.touched && units.iter().all(|unit| unit.old_image == state.release.image) {
        return Next::Finish(RolloutConclusion::AlreadyThere);
    }
    if state.image.is_none() {
        return step(Step::Pull);
    }
    if units.len() != observed.len() {
        return diverged("the containers could not be looked at".to_owned());
    }
    if state.bake.is_some_and(|until| until <= now) {
        return commit(state, units, observed);
    }
    for (unit, seen) in units.iter().zip(observed) {
        if let Some(next) = advance(state, unit, seen, now) {
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

/// The next step of one unit; `None` when its new container serves under the unit's name.
fn advance(state: &RolloutState, unit: &Unit, seen: &ObservedUnit, now: Timestamp) -> Option<Next> {
    if let Some(stranger) = &seen.stranger {
        return Some(diverged(format!("container {stranger} took the name {}", unit.name)));
    }
    let Some(old) = &seen.old else {
        return Some(diverged(format!("the old container of {} is gone", unit.name)));
    };
    if let Some(hook) = pending_hook(state, HookPhase::Before, unit) {
        return Some(hook);
    }
    let candidate = match seen.candidates.as_slice() {
        [] => return Some(step(Step::CreateCandidate { unit: unit.index })),
        // Making it again adopts what is there and finishes it.
        [_] if !state.made.contains(&unit.index) => return Some(step(Step::CreateCandidate { unit: unit.index })),
        [one] => one,
        // A create whose answer was lost was sent again: keep the first.
        [_, surplus, ..] => {
            return Some(step(Step::RemoveCandidate {
                unit: unit.index,
                container: surplus.id.clone(),
            }));
        }
    };
    if unit.was_running
        && let Some(next) = bring_up(state, unit, old, candidate, now)
    {
        return Some(next);
    }
    take_name(state, unit, old, candidate).or_else(|| pending_hook(state, HookPhase::After, unit))
}

/// Stop old → old never starts by itself → start new → new is ready.
fn bring_up(
    state: &RolloutState,
    unit: &Unit,
    old: &ObservedContainer,
    candidate: &ObservedContainer,
    now: Timestamp,
) -> Option<Next> {
    if alive(old) {
        return Some(step(Step::StopOld {
            unit: unit.index,
            container: old.id.clone(),
        }));
    }
    // After the stop, not before: on a running container `update` can cost it its devices.
    if !policy_is(old, &RestartPolicy::none()) {
        let policy = RestartPolicy::none();
        return Some(step(Step::SetRestart {
            unit: unit.index,
            container: old.id.clone(),
            policy,
        }));
    }
    let ready = state.ready.contains(&candidate.id);
    match candidate.state {
        ContainerState::Created => Some(start(unit, candidate)),
        ContainerState::Running if !ready => Some(step(Step::AwaitReady {
            unit: unit.index,
            container: candidate.id.clone(),
            which: Which::New,
            deadline: now + state.target.ready.timeout,
        })),
        ContainerState::Running if candidate.health == Health::Unhealthy => Some(revert_or_stop(
            state,
            fault(FailureKind::UnhealthyAfterRoll, unit, "turned unhealthy"),
        )),
        ContainerState::Running if candidate.restart_count > 0 => Some(revert_or_stop(
            state,
            fault(FailureKind::Restarting, unit, "was restarted by the engine"),
        )),
        ContainerState::Running => None,
        ContainerState::Exited if !ready && state.starts.get(&candidate.id).copied().unwrap_or(0) < STARTS => {
            Some(start(unit, candidate))
        }
        ContainerState::Restarting => Some(revert_or_stop(
            state,
            fault(FailureKind::Restarting, unit, "keeps restarting"),
        )),
        ContainerState::Exited | ContainerState::Dead | ContainerState::Removing | ContainerState::Paused => {
            let kind = if candidate.oom_killed {
                FailureKind::OutOfMemory
            } else {
                FailureKind::ContainerExited
            };
            Some(revert_or_stop(
                state,
                fault(kind, unit, &format!("exited with code {}", candidate.exit_code)),
            ))
        }
        ContainerState::Unknown => Some(diverged(format!("the state of the new {} cannot be read", unit.name))),
    }
}

fn take_name(
    state: &RolloutState,
    unit: &Unit,
    old: &ObservedContainer,
    candidate: &ObservedContainer,
) -> Option<Next> {
    if old.name == unit.name {
        let to = prev_name(unit, state.id);
        return Some(step(Step::Rename {
            unit: unit.index,
            container: old.id.clone(),
            to,
        }));
    }
    if candidate.name != unit.name {
        let to = unit.name.clone();
        return Some(step(Step::Rename {
            unit: unit.index,
            container: candidate.id.clone(),
            to,
        }));
    }
    if !policy_is(candidate, &unit.restart) {
        let policy = unit.restart.clone();
        return Some(step(Step::SetRestart {
            unit: unit.index,
            container: candidate.id.clone(),
            policy,
        }));
    }
    None
}

/// The bake is over: the old containers go. Nothing is checked any more but that the new one is there.
fn commit(state: &RolloutState, units: &[Unit], observed: &[ObservedUnit]) -> Next {
    for (unit, seen) in units.iter().zip(observed) {
        let Some(candidate) = seen.candidates.first() else {
            return diverged(format!("the new container of {} is gone", unit.name));
        };
        if let Some(old) = &seen.old {
            // The last look before the way back is thrown away.
            if unit.was_running && !alive(candidate) {
                return revert_or_stop(
                    state,
                    fault(FailureKind::ContainerExited, unit, "exited at the end of the bake"),
                );
            }
            return step(Step::RemoveOld {
                unit: unit.index,
                container: old.id.clone(),
            });
        }
    }
    Next::Finish(RolloutConclusion::Done)
}

fn pending_hook(state: &RolloutState, phase: HookPhase, unit: &Unit) -> Option<Next> {
    let hooks = match phase {
        HookPhase::Before => &state.target.before,
        HookPhase::After => &state.target.after,
    };
    // A container that did not run has nothing to run a command in.
    (0..hooks.len())
        .find(|hook| unit.was_running && !state.hooks.contains(&(phase, unit.index, *hook)))
        .map(|hook| {
            step(Step::RunHook {
                phase,
                unit: unit.index,
                hook,
            })
        })
}

fn start(unit: &Unit, candidate: &ObservedContainer) -> Next {
    step(Step::Start {
        unit: unit.index,
        container: candidate.id.clone(),
        which: Which::New,
    })
}

fn fault(kind: FailureKind, unit: &Unit, what: &str) -> Failure {
    Failure::new(kind, format!("the new container of {} {what}", unit.name))
}

fn step(step: Step) -> Next {
    Next::Do { attempt: 1, step }
}
