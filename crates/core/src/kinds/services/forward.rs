//! Towards the release: one service after the other, each watched until all its tasks have proved themselves.

use super::model::{FoundService, ObservedService, ServiceMark, ServiceUnit, UpdateState};
use super::plan;
use super::policy::ServicesPolicy;
use super::state::{POLL, Services, restore};
use super::step::ServiceStep;
use super::verdict::{self, Reached};
use crate::kinds::kind::{Plan, View};
use jiff::{SignedDuration, Timestamp};
use lowtide_model::failure::{Failure, FailureKind, WaitReason};
use lowtide_model::rollout::RolloutConclusion;

type Next = Plan<ServiceStep>;

pub(super) fn next(view: View<'_, ServicesPolicy>, observed: &[ObservedService], now: Timestamp) -> Next {
    let services = view.state;
    let Some(units) = &services.units else {
        return Plan::Do(ServiceStep::Preflight);
    };
    let moved = || units.iter().filter(|unit| !unit.runs(view.release));
    if moved().next().is_none() {
        return Plan::Finish(RolloutConclusion::AlreadyThere);
    }
    // Pre-pull all services before the first update: if the registry fails now, nothing has changed yet.
    if let Some(unit) = moved().find(|unit| services.of(unit).startup.is_none()) {
        return Plan::Do(ServiceStep::Prepull { unit: unit.index });
    }
    if units.len() != observed.len() {
        return Plan::diverged("the services could not be looked at".to_owned());
    }
    for unit in moved() {
        let Some(ObservedService::Found(found)) = observed.get(unit.index) else {
            return Plan::diverged(format!("service {} is gone", unit.name));
        };
        if let Some(next) = advance(view, unit, found, now) {
            return next;
        }
    }
    let Some(until) = view.bake else {
        return Plan::Bake;
    };
    Plan::baking(until, now, POLL).unwrap_or_else(|| {
        let sent = |unit: &ServiceUnit| plan::knobs(unit, startup(services, unit));
        restore(services, units, observed, sent).unwrap_or(Plan::Finish(RolloutConclusion::Done))
    })
}

/// The next thing to do for one service; `None` when all its tasks run the release and have proved themselves.
fn advance(view: View<'_, ServicesPolicy>, unit: &ServiceUnit, found: &FoundService, now: Timestamp) -> Option<Next> {
    let services = view.state;
    let image = view.release.service_image();
    let begun = services.of(unit).deadline;
    if found.mark == ServiceMark::Other {
        return Some(Plan::diverged(format!(
            "another rollout has taken service {}",
            unit.name
        )));
    }
    if found.image != image && found.image != unit.old_image {
        let detail = format!("someone gave service {} the image {}", unit.name, found.image);
        return Some(Plan::diverged(detail));
    }
    let Some(deadline) = begun else {
        return Some(begin(services, unit, found, now));
    };
    if found.image == unit.old_image {
        if let Some(failure) = verdict::halted(unit, found) {
            return Some(Plan::Fail(failure));
        }
        if services.of(unit).sent {
            let detail = format!("someone gave service {} its old image back", unit.name);
            return Some(Plan::Fail(Failure::new(FailureKind::Diverged, detail)));
        }
        // lowtide was killed before the update call: send it again, under the first deadline.
        return Some(update(services, unit, deadline));
    }
    let failure = verdict::failed(unit, found, &image).or_else(|| verdict::halted(unit, found));
    if let Some(failure) = failure {
        return Some(Plan::Fail(failure));
    }
    let startup = startup(services, unit);
    let reached = verdict::reached(unit, found, &image, plan::settle(startup), now);
    let Reached::Some { done, total, behind } = reached else {
        return None;
    };
    // A deadline further ahead than any wait lasts was planned by a clock that ran fast: cap it.
    let deadline = deadline.min(now + plan::limit(unit, startup));
    // A node that is drained during the bake moves its tasks: they get the same time as any others.
    let deadline = view
        .bake
        .map_or(deadline, |until| deadline.max(until + plan::limit(unit, startup)));
    if now >= deadline {
        let (kind, said) = behind.map_or((FailureKind::UnhealthyAfterRoll, String::new()), |b| (b.kind, b.said));
        let mut detail = format!("{}: {done} of {total} tasks serve by the deadline", unit.name);
        if !said.is_empty() {
            detail = format!("{detail}: {said}");
        }
        return Some(Plan::Fail(Failure::new(kind, detail)));
    }
    Some(Plan::Wait {
        until: deadline.min(now + POLL),
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
            Plan::diverged(format!(
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
    Plan::Do(ServiceStep::Update {
        unit: unit.index,
        knobs: plan::knobs(unit, startup(services, unit)),
        deadline,
    })
}

fn startup(services: &Services, unit: &ServiceUnit) -> SignedDuration {
    services.of(unit).startup.unwrap_or_default()
}
