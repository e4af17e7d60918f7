//! Back to the containers of the snapshot. Never gated by windows, halts or pauses: the service comes first, then the
//! cleaning up.

use super::{
    Failure, FailureKind, Next, ObservedContainer, ObservedUnit, RestartPolicy, RolloutConclusion, RolloutState, Step,
    Unit, Which, alive, diverged, failed_name, policy_is,
};
use jiff::Timestamp;

pub(super) fn next(state: &RolloutState, observed: &[ObservedUnit], now: Timestamp) -> Next {
    let reason = state
        .reverting
        .clone()
        .unwrap_or_else(|| Failure::new(FailureKind::Invariant, "a revert without a reason"));
    let Some(units) = &state.units else {
        return Next::Finish(RolloutConclusion::Reverted { failure: reason });
    };
    if units.len() != observed.len() {
        return diverged("the containers could not be looked at".to_owned());
    }
    let pairs = || units.iter().zip(observed).rev();
    for (unit, seen) in pairs() {
        if let Some(next) = restore(state, unit, seen, now) {
            return next;
        }
    }
    for (unit, seen) in pairs() {
        if let Some(next) = clean(state, unit, seen) {
            return next;
        }
    }
    Next::Finish(RolloutConclusion::Reverted { failure: reason })
}

/// New one out of the way → old one under its name → old one serves → old one starts by itself again.
fn restore(state: &RolloutState, unit: &Unit, seen: &ObservedUnit, now: Timestamp) -> Option<Next> {
    let Some(old) = &seen.old else {
        let detail = format!("the old container of {} is gone", unit.name);
        let failure = Failure::new(FailureKind::RevertFailed, detail);
        return Some(Next::Finish(RolloutConclusion::Stuck { failure }));
    };
    for candidate in &seen.candidates {
        if let Some(next) = retire(state, unit, candidate) {
            return Some(next);
        }
    }
    if let Some(stranger) = &seen.stranger {
        return Some(diverged(format!("container {stranger} took the name {}", unit.name)));
    }
    let index = unit.index;
    let id = old.id.clone();
    if old.name != unit.name {
        return Some(step(Step::Rename {
            unit: index,
            container: id,
            to: unit.name.clone(),
        }));
    }
    if unit.was_running && !alive(old) {
        return Some(step(Step::Start {
            unit: index,
            container: id,
            which: Which::Old,
        }));
    }
    if !policy_is(old, &unit.restart) {
        return Some(step(Step::SetRestart {
            unit: index,
            container: id,
            policy: unit.restart.clone(),
        }));
    }
    // A container we never stopped need not prove itself again.
    let disturbed = state.starts.contains_key(&old.id);
    if unit.was_running && disturbed && !state.ready.contains(&old.id) {
        let deadline = now + state.target.ready.timeout;
        return Some(step(Step::AwaitReady {
            unit: index,
            container: id,
            which: Which::Old,
            deadline,
        }));
    }
    None
}

fn retire(state: &RolloutState, unit: &Unit, candidate: &ObservedContainer) -> Option<Next> {
    let index = unit.index;
    let id = candidate.id.clone();
    // Policy first: a crash-looping container would come back between its stop and its removal.
    if !policy_is(candidate, &RestartPolicy::none()) {
        return Some(step(Step::SetRestart {
            unit: index,
            container: id,
            policy: RestartPolicy::none(),
        }));
    }
    if alive(candidate) {
        return Some(step(Step::StopCandidate {
            unit: index,
            container: id,
        }));
    }
    (candidate.name == unit.name).then(|| {
        step(Step::Rename {
            unit: index,
            container: id,
            to: failed_name(unit, state.id),
        })
    })
}

fn clean(state: &RolloutState, unit: &Unit, seen: &ObservedUnit) -> Option<Next> {
    let candidate = seen.candidates.first()?;
    let started = state.starts.contains_key(&candidate.id);
    if started && !state.kept.contains_key(&unit.index) {
        return Some(step(Step::KeepLog {
            unit: unit.index,
            container: candidate.id.clone(),
        }));
    }
    Some(step(Step::RemoveCandidate {
        unit: unit.index,
        container: candidate.id.clone(),
    }))
}

fn step(step: Step) -> Next {
    Next::Do { attempt: 1, step }
}
