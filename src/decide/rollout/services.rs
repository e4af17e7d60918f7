//! Rolling services of Docker Swarm. Swarm replaces the tasks; what is ours is when it begins, whether it went well, the
//! deadline, and the way back. The verdict comes from the tasks' own images and states, never from Swarm's word on the
//! update alone: `completed` can mean that every task failed, and after a failover failures before it are forgotten.

use super::Next;
use crate::model::failure::Failure;
use crate::model::fleet::TargetPolicy;
use crate::model::rollout::{RolloutConclusion, Step, StepOutcome};
use crate::model::service::{ObservedService, ServiceMark, ServiceStep, ServiceUnit, UpdateKnobs};
use crate::model::standing::Release;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

mod back;
mod forward;
mod plan;
mod verdict;

pub(super) use back::next as back;
pub(super) use forward::next as forward;

/// How often the tasks are looked at while they move or bake. Swarm keeps the last five tasks of a slot: a failure is
/// not missed between two looks.
const POLL: SignedDuration = SignedDuration::from_secs(2);

/// What the journal tells of the services of a rollout.
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
    /// Services whose own update settings could not be put back.
    left: BTreeSet<usize>,
}

/// What the decisions need of the rollout besides.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) release: &'a Release,
    pub(super) target: &'a TargetPolicy,
    pub(super) bake: Option<Timestamp>,
    pub(super) reverting: Option<&'a Failure>,
}

impl Services {
    /// A step was begun.
    pub(super) fn begin(&mut self, step: &ServiceStep) {
        match step {
            // The first deadline holds: a kill must not prolong it.
            ServiceStep::Update { unit, deadline, .. } => {
                self.deadlines.entry(*unit).or_insert(*deadline);
            }
            ServiceStep::Revert { unit, deadline, .. } => {
                self.reverts.entry(*unit).or_insert((0, *deadline)).0 += 1;
            }
            ServiceStep::Prepull { .. } | ServiceStep::RestoreKnobs { .. } => {}
        }
    }

    /// A step has ended well.
    pub(super) fn end(&mut self, step: &ServiceStep, outcome: &StepOutcome) {
        match (step, outcome) {
            (ServiceStep::Prepull { unit }, StepOutcome::Prepulled { startup }) => {
                self.startup.insert(*unit, *startup);
            }
            (ServiceStep::Update { unit, .. }, _) => {
                self.sent.insert(*unit);
            }
            (
                ServiceStep::Prepull { .. } | ServiceStep::Revert { .. } | ServiceStep::RestoreKnobs { .. },
                _,
            ) => {}
        }
    }

    /// Nothing was changed so far.
    pub(super) fn untouched(&self) -> bool {
        self.deadlines.is_empty()
    }

    /// A step that failed for good is let go; true when the rollout goes on without it. A roll that went well is not
    /// taken back for its settings.
    pub(super) fn lets_go(&mut self, step: &ServiceStep) -> bool {
        match step {
            ServiceStep::RestoreKnobs { unit, .. } => {
                self.left.insert(*unit);
                true
            }
            ServiceStep::Prepull { .. } | ServiceStep::Update { .. } | ServiceStep::Revert { .. } => false,
        }
    }
}

/// Our labels are off last: as long as one is on, another rollout keeps away.
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
    let (unit, _) = pairs.find(|(unit, seen)| marked(seen) && !services.left.contains(&unit.index))?;
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

fn stuck(failure: Failure) -> Next {
    Next::Finish(RolloutConclusion::Stuck { failure })
}

#[cfg(test)]
mod tests;
