//! Rollouts of Docker Swarm services. Swarm replaces the tasks; lowtide decides when to start, whether the update
//! succeeded, the deadline, and the rollback. The verdict comes from the tasks' own images and states, never from
//! Swarm's update status alone: `completed` can mean that every task failed, and after a failover failures before it
//! are forgotten.

use super::Next;
use crate::model::journal::IllegalEvent;
use crate::model::rollout::{Step, StepOutcome};
use crate::model::service::{ObservedService, ServiceMark, ServiceStep, ServiceUnit, UpdateKnobs};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

pub(super) mod back;
pub(super) mod forward;
mod plan;
mod verdict;

/// How often the tasks are looked at while they move or bake. Swarm keeps the last five tasks of a slot: a failure is
/// not missed between two looks.
const POLL: SignedDuration = SignedDuration::from_secs(2);

/// How often restoring a service's update settings is tried; after that a person has to do it.
const RESTORES: u32 = 6;

/// State of the services of a rollout, folded from the journal.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Services {
    pub units: Option<Vec<ServiceUnit>>,
    /// Of each service whose nodes have the image: how long a new task may take to prove itself.
    startup: BTreeMap<usize, SignedDuration>,
    /// Of each service whose update was begun: when it must be through.
    deadlines: BTreeMap<usize, Timestamp>,
    /// Services whose update Swarm has taken, for sure.
    sent: BTreeSet<usize>,
    /// Of each service whose way back was begun: how often, and when it must be through.
    reverts: BTreeMap<usize, (u32, Timestamp)>,
    /// How often each service was to get its own update settings back.
    restores: BTreeMap<usize, u32>,
}

impl Services {
    /// A step was begun.
    pub(super) fn begin(&mut self, step: &Step) {
        let Step::Service(step) = step else { return };
        match step {
            // The first deadline stays in effect: a kill must not extend it.
            ServiceStep::Update { unit, deadline, .. } => {
                self.deadlines.entry(*unit).or_insert(*deadline);
            }
            ServiceStep::Revert { unit, deadline, .. } => {
                self.reverts.entry(*unit).or_insert((0, *deadline)).0 += 1;
            }
            ServiceStep::RestoreKnobs { unit, .. } => {
                *self.restores.entry(*unit).or_default() += 1;
            }
            ServiceStep::Prepull { .. } => {}
        }
    }

    /// A step has ended well.
    ///
    /// # Errors
    /// An outcome that is not of this step.
    pub(super) fn end(&mut self, step: &Step, outcome: &StepOutcome) -> Result<(), IllegalEvent> {
        match (step, outcome) {
            (Step::Preflight, StepOutcome::ServicesPreflighted { services }) => self.units = Some(services.clone()),
            (Step::Service(ServiceStep::Prepull { unit }), StepOutcome::Prepulled { startup }) => {
                self.startup.insert(*unit, *startup);
            }
            (Step::Service(ServiceStep::Update { unit, .. }), StepOutcome::Done) => {
                self.sent.insert(*unit);
            }
            (Step::Service(ServiceStep::Revert { .. } | ServiceStep::RestoreKnobs { .. }), StepOutcome::Done) => {}
            (_, _) => {
                return Err(IllegalEvent {
                    event: "step_ended",
                    why: "services have other outcomes",
                });
            }
        }
        Ok(())
    }

    /// The sealed raw bodies that a rollback needs.
    pub(crate) fn snapshots(&self) -> impl Iterator<Item = &str> {
        self.units.iter().flatten().map(|unit| unit.snapshot.as_str())
    }

    /// A task of the new image may have run.
    pub(super) fn ran(&self) -> bool {
        !self.deadlines.is_empty()
    }
}

/// Failing to restore the update settings neither rolls back a successful rollout nor fails a successful revert.
pub(super) fn is_dispensable(step: &ServiceStep) -> bool {
    match step {
        ServiceStep::RestoreKnobs { .. } => true,
        ServiceStep::Prepull { .. } | ServiceStep::Update { .. } | ServiceStep::Revert { .. } => false,
    }
}

/// Does the step change the service?
pub(super) fn touches(step: &ServiceStep) -> bool {
    match step {
        ServiceStep::Update { .. } | ServiceStep::Revert { .. } | ServiceStep::RestoreKnobs { .. } => true,
        ServiceStep::Prepull { .. } => false,
    }
}

/// Our labels are removed last: while a service carries one, other rollouts leave it alone.
fn restore(
    services: &Services,
    units: &[ServiceUnit],
    observed: &[ObservedService],
    sent: impl Fn(&ServiceUnit) -> UpdateKnobs,
) -> Option<Next> {
    let marked = |seen: &ObservedService| match seen {
        ObservedService::Found(found) => found.mark == ServiceMark::Ours,
        ObservedService::Gone => false,
    };
    let mut pairs = units.iter().zip(observed);
    let (unit, _) = pairs.find(|(unit, seen)| {
        marked(seen) && services.restores.get(&unit.index).is_none_or(|tries| *tries < RESTORES)
    })?;
    Some(step(ServiceStep::RestoreKnobs {
        unit: unit.index,
        sent: sent(unit),
    }))
}

fn step(step: ServiceStep) -> Next {
    Next::Do {
        attempt: 1,
        step: Step::Service(step),
    }
}

#[cfg(test)]
mod tests;
