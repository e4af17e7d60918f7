//! Rolls services back to the old image, the last updated first. Never gated. A service that was not touched is left
//! alone, whatever it runs.

use super::verdict::{self, Reached};
use super::{POLL, Services, plan, step};
use crate::decide::rollout::{Next, RolloutState, diverged, returned};
use crate::model::failure::{Failure, FailureKind, WaitReason};
use crate::model::rollout::RolloutConclusion;
use crate::model::service::{FoundService, ObservedService, ServiceStep, ServiceUnit, UpdateState};
use jiff::{SignedDuration, Timestamp};

/// After this many reverts, someone who sets the new image again each time evidently wants it.
const REVERTS: u32 = 5;

pub(in crate::decide::rollout) fn next(
    state: &RolloutState,
    services: &Services,
    observed: &[ObservedService],
    reason: Failure,
    now: Timestamp,
) -> Next {
    let Some(units) = &services.units else {
        return returned(state, reason);
    };
    if units.len() != observed.len() {
        return diverged("the services could not be looked at".to_owned());
    }
    let mut late = Vec::new();
    for (unit, seen) in units.iter().zip(observed).rev() {
        if !services.deadlines.contains_key(&unit.index) {
            continue;
        }
        let ObservedService::Found(found) = seen else {
            late.push(format!("service {} is gone", unit.name));
            continue;
        };
        match restore(state, services, unit, found, now) {
            Back::There => {}
            Back::Next(next) => return *next,
            // The other services are rolled back all the same.
            Back::Late(why) => late.push(why),
        }
    }
    if let Some(next) = super::restore(services, units, observed, plan::back_knobs) {
        return next;
    }
    if late.is_empty() {
        return returned(state, reason);
    }
    let failure = Failure::new(FailureKind::RevertFailed, late.join("; "));
    Next::Finish(RolloutConclusion::Stuck { failure })
}

enum Back {
    There,
    Next(Box<Next>),
    Late(String),
}

fn restore(
    state: &RolloutState,
    services: &Services,
    unit: &ServiceUnit,
    found: &FoundService,
    now: Timestamp,
) -> Back {
    let image = state.release.service_image();
    if found.image != unit.old_image && found.image != image {
        return Back::Late(format!("someone gave service {} the image {}", unit.name, found.image));
    }
    let startup = services
        .startup
        .get(&unit.index)
        .copied()
        .unwrap_or(SignedDuration::ZERO);
    let again = |deadline| {
        Back::Next(Box::new(step(ServiceStep::Revert {
            unit: unit.index,
            knobs: plan::back_knobs(unit),
            deadline,
        })))
    };
    // Also if Swarm has rolled back by itself: the step inspects the service and adopts its state.
    let Some((times, deadline)) = services.reverts.get(&unit.index).copied() else {
        return again(now + plan::limit(unit, startup));
    };
    let deadline = deadline.min(now + plan::limit(unit, startup));
    if found.image == image || stopped(found) {
        return if times < REVERTS {
            again(deadline)
        } else {
            Back::Late(format!(
                "someone keeps changing service {} during its revert",
                unit.name
            ))
        };
    }
    let Reached::Some { done, total, behind } =
        verdict::reached(unit, found, &unit.old_image, plan::back_settle(), now)
    else {
        return Back::There;
    };
    if now >= deadline {
        let said = behind.map_or_else(|| found.said.clone(), |b| b.said);
        let detail = format!(
            "{}: {done} of {total} tasks run the old image again by the deadline: {said}",
            unit.name
        );
        return Back::Late(detail);
    }
    Back::Next(Box::new(Next::Wait {
        until: Some(deadline.min(now + POLL)),
        reason: WaitReason::Converging {
            service: unit.name.clone(),
            done,
            total,
            deadline,
        },
    }))
}

/// Swarm has paused and replaces no more tasks: an update call resumes it.
fn stopped(found: &FoundService) -> bool {
    match found.update {
        UpdateState::Paused | UpdateState::RollbackPaused => true,
        UpdateState::Absent
        | UpdateState::Updating
        | UpdateState::Completed
        | UpdateState::RollbackStarted
        | UpdateState::RollbackCompleted
        | UpdateState::Unknown => false,
    }
}
