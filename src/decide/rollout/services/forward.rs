//! Towards the release: one service after the other, each watched until all its tasks have proved themselves.

use super::verdict::{self, Reached};
use super::{POLL, Services, plan, step};
use crate::decide::rollout::{Next, RolloutState, diverged, revert_or_stop};
use crate::model::failure::{Failure, FailureKind, WaitReason};
use crate::model::rollout::{RolloutConclusion, Step};
use crate::model::service::{FoundService, ObservedService, ServiceMark, ServiceStep, ServiceUnit, UpdateState};
use jiff::{SignedDuration, Timestamp};

/// The common gates (halt, pause, window, retries) have been passed.
pub(in crate::decide::rollout) fn next(
    state: &RolloutState,
    services: &Services,
    observed: &[ObservedService],
    now: Timestamp,
) -> Next {
    let Some(units) = &services.units else {
        return Next::Do {
            attempt: 1,
            step: Step::Preflight,
        };
    };
    let moved = || units.iter().filter(|unit| !unit.runs(&state.release));
    if moved().next().is_none() {
        return Next::Finish(RolloutConclusion::AlreadyThere);
    }
    // Pre-pull all services before the first update: if the registry fails now, nothing has changed yet.
    if let Some(unit) = moved().find(|unit| !services.startup.contains_key(&unit.index)) {
        return step(ServiceStep::Prepull { unit: unit.index });
    }
    if units.len() != observed.len() {
        return diverged("the services could not be looked at".to_owned());
    }
    for unit in moved() {
        let Some(ObservedService::Found(found)) = observed.get(unit.index) else {
            return diverged(format!("service {} is gone", unit.name));
        };
        if let Some(next) = advance(state, services, unit, found, now) {
            return next;
        }
    }
    match state.bake {
        None => Next::StartBake {
            until: now + state.target.bake,
        },
        Some(until) if until > now => Next::Wait {
            until: Some(until.min(now + POLL)),
            reason: WaitReason::Baking { until },
        },
        Some(_) => {
            let sent = |unit: &ServiceUnit| plan::knobs(unit, startup(services, unit));
            super::restore(services, units, observed, sent).unwrap_or(Next::Finish(RolloutConclusion::Done))
        }
    }
}

/// The next thing to do for one service; `None` when all its tasks run the release and have proved themselves.
fn advance(
    state: &RolloutState,
    services: &Services,
    unit: &ServiceUnit,
    found: &FoundService,
    now: Timestamp,
) -> Option<Next> {
    let image = state.release.service_image();
    let begun = services.deadlines.get(&unit.index).copied();
    if found.mark == ServiceMark::Other {
        return Some(diverged(format!("another rollout has taken service {}", unit.name)));
    }
    if found.image != image && found.image != unit.old_image {
        let detail = format!("someone gave service {} the image {}", unit.name, found.image);
        return Some(diverged(detail));
    }
    let Some(deadline) = begun else {
        return Some(begin(services, unit, found, now));
    };
    if found.image == unit.old_image {
        if let Some(failure) = verdict::halted(unit, found) {
            return Some(revert_or_stop(state, failure));
        }
        if services.sent.contains(&unit.index) {
            let detail = format!("someone gave service {} its old image back", unit.name);
            return Some(revert_or_stop(state, Failure::new(FailureKind::Diverged, detail)));
        }
        // lowtide was killed before the update call: send it again, under the first deadline.
        return Some(update(services, unit, deadline));
    }
    let failure = verdict::failed(unit, found, &image).or_else(|| verdict::halted(unit, found));
    if let Some(failure) = failure {
        return Some(revert_or_stop(state, failure));
    }
    let startup = startup(services, unit);
    let reached = verdict::reached(unit, found, &image, plan::settle(startup), now);
    let Reached::Some { done, total, behind } = reached else {
        return None;
    };
    // A deadline further ahead than any wait lasts was planned by a clock that ran fast: cap it.
    let deadline = deadline.min(now + plan::limit(unit, startup));
    // A node that is drained during the bake moves its tasks: they get the same time as any others.
    let deadline = state
        .bake
        .map_or(deadline, |until| deadline.max(until + plan::limit(unit, startup)));
    if now >= deadline {
        let (kind, said) = behind.map_or((FailureKind::UnhealthyAfterRoll, String::new()), |b| (b.kind, b.said));
        let mut detail = format!("{}: {done} of {total} tasks serve by the deadline", unit.name);
        if !said.is_empty() {
            detail = format!("{detail}: {said}");
        }
        return Some(revert_or_stop(state, Failure::new(kind, detail)));
    }
    Some(Next::Wait {
        until: Some(deadline.min(now + POLL)),
        reason: WaitReason::Converging {
            service: unit.name.clone(),
            done,
            total,
            deadline,
        },
    })
}

/// Starts the update of a service that lowtide has not touched yet.
fn begin(services: &Services, unit: &ServiceUnit, found: &FoundService, now: Timestamp) -> Next {
    match found.update {
        UpdateState::Updating | UpdateState::Paused | UpdateState::RollbackStarted | UpdateState::RollbackPaused => {
            diverged(format!(
                "someone has begun to update service {}: {}",
                unit.name, found.said
            ))
        }
        UpdateState::Absent | UpdateState::Completed | UpdateState::RollbackCompleted | UpdateState::Unknown => {
            update(services, unit, now + plan::limit(unit, startup(services, unit)))
        }
    }
}

fn update(services: &Services, unit: &ServiceUnit, deadline: Timestamp) -> Next {
    step(ServiceStep::Update {
        unit: unit.index,
        knobs: plan::knobs(unit, startup(services, unit)),
        deadline,
    })
}

fn startup(services: &Services, unit: &ServiceUnit) -> SignedDuration {
    services.startup.get(&unit.index).copied().unwrap_or_default()
}
