//! Rolls services back to the old image, the last updated first. Never gated. A service that was not touched is left
//! alone, whatever it runs.

use super::model::{FoundService, ObservedService, ServiceUnit, UpdateState};
use super::plan;
use super::policy::ServicesPolicy;
use super::state::{POLL, restore};
use super::step::ServiceStep;
use super::verdict::{self, Reached};
use crate::kinds::kind::{Plan, View};
use jiff::Timestamp;
use lowtide_model::failure::{Failure, FailureKind, WaitReason};

type Next = Plan<ServiceStep>;

/// After this many reverts, someone who sets the new image again each time evidently wants it.
const REVERTS: u32 = 5;

pub(super) fn next(view: View<'_, ServicesPolicy>, observed: &[ObservedService], now: Timestamp) -> Next {
    let services = view.state;
    let Some(units) = &services.units else {
        return Plan::Returned;
    };
    if units.len() != observed.len() {
        return Plan::diverged("the services could not be looked at".to_owned());
    }
    let mut late = Vec::new();
    for (unit, seen) in units.iter().zip(observed).rev() {
        if services.of(unit).deadline.is_none() {
            continue;
        }
        let ObservedService::Found(found) = seen else {
            late.push(format!("service {} is gone", unit.name));
            continue;
        };
        match way_back(view, unit, found, now) {
            Back::There => {}
            Back::Next(next) => return *next,
            // The other services are rolled back all the same.
            Back::Late(why) => late.push(why),
        }
    }
    if let Some(next) = restore(services, units, observed, plan::back_knobs) {
        return next;
    }
    if late.is_empty() {
        return Plan::Returned;
    }
    Plan::stuck(Failure::new(FailureKind::RevertFailed, late.join("; ")))
}

enum Back {
    There,
    Next(Box<Next>),
    Late(String),
}

fn way_back(view: View<'_, ServicesPolicy>, unit: &ServiceUnit, found: &FoundService, now: Timestamp) -> Back {
    let known = view.state.of(unit);
    let image = view.release.service_image();
    if found.image != unit.old_image && found.image != image {
        return Back::Late(format!("someone gave service {} the image {}", unit.name, found.image));
    }
    let startup = known.startup.unwrap_or_default();
    let again = |deadline| {
        Back::Next(Box::new(Plan::Do(ServiceStep::Revert {
            unit: unit.index,
            knobs: plan::back_knobs(unit),
            deadline,
        })))
    };
    // Also if Swarm has rolled back by itself: the step inspects the service and adopts its state.
    let Some((times, deadline)) = known.reverts else {
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
    Back::Next(Box::new(Plan::Wait {
        until: deadline.min(now + POLL),
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
