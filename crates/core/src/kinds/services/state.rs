//! How far the services of a rollout are, folded from its steps.

use super::model::{ObservedService, ServiceMark, ServiceUnit, UpdateKnobs};
use super::policy::ServicesPolicy;
use super::step::{ServiceOutcome, ServiceStep};
use crate::kinds::kind::{KindState, Plan};
use jiff::{SignedDuration, Timestamp};
use lowtide_model::journal::IllegalEvent;
use lowtide_model::rollout::Goal;
use std::collections::BTreeMap;

/// How often the tasks are looked at while they move or bake. Swarm keeps the last five tasks of a slot: a failure is
/// not missed between two looks.
pub(super) const POLL: SignedDuration = SignedDuration::from_secs(2);

/// How often restoring a service's update settings is tried; after that a person has to do it.
const RESTORES: u32 = 6;

/// The services of a rollout, folded from its steps.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Services {
    pub units: Option<Vec<ServiceUnit>>,
    /// By position; a service that nothing was done to is not in it.
    moves: BTreeMap<usize, ServiceMove>,
}

/// How far one service is.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct ServiceMove {
    /// Its nodes have the image: how long a new task may take to prove itself.
    pub(super) startup: Option<SignedDuration>,
    /// Its update was begun: when it must be through.
    pub(super) deadline: Option<Timestamp>,
    /// Swarm has certainly taken its update.
    pub(super) sent: bool,
    /// Its way back was begun: how often, and when it must be through.
    pub(super) reverts: Option<(u32, Timestamp)>,
    /// How often it was to get its own update settings back.
    restores: u32,
}

impl KindState<ServicesPolicy> for Services {
    fn begin(&mut self, _: Goal, step: &ServiceStep) {
        match step {
            // The first deadline stays in effect: a kill must not extend it.
            ServiceStep::Update { unit, deadline, .. } => {
                self.move_mut(*unit).deadline.get_or_insert(*deadline);
            }
            ServiceStep::Revert { unit, deadline, .. } => {
                self.move_mut(*unit).reverts.get_or_insert((0, *deadline)).0 += 1;
            }
            ServiceStep::RestoreKnobs { unit, .. } => self.move_mut(*unit).restores += 1,
            ServiceStep::Preflight | ServiceStep::Prepull { .. } => {}
        }
    }

    fn end(&mut self, _: Goal, step: &ServiceStep, outcome: &ServiceOutcome) -> Result<(), IllegalEvent> {
        match (step, outcome) {
            (ServiceStep::Preflight, ServiceOutcome::Preflighted { services }) => self.units = Some(services.clone()),
            (ServiceStep::Prepull { unit }, ServiceOutcome::Prepulled { startup }) => {
                self.move_mut(*unit).startup = Some(*startup);
            }
            (ServiceStep::Update { unit, .. }, ServiceOutcome::Done) => self.move_mut(*unit).sent = true,
            (ServiceStep::Revert { .. } | ServiceStep::RestoreKnobs { .. }, ServiceOutcome::Done) => {}
            (
                ServiceStep::Preflight
                | ServiceStep::Prepull { .. }
                | ServiceStep::Update { .. }
                | ServiceStep::Revert { .. }
                | ServiceStep::RestoreKnobs { .. },
                ServiceOutcome::Done | ServiceOutcome::Preflighted { .. } | ServiceOutcome::Prepulled { .. },
            ) => {
                return Err(IllegalEvent {
                    event: "step_ended",
                    why: "the step has another outcome",
                });
            }
        }
        Ok(())
    }

    fn units(&self) -> Option<usize> {
        self.units.as_ref().map(Vec::len)
    }

    fn unit_name(&self, unit: usize) -> Option<&str> {
        Some(&self.units.as_ref()?.get(unit)?.name)
    }

    fn ran(&self) -> bool {
        self.moves.values().any(|of| of.deadline.is_some())
    }

    fn snapshots(&self) -> Vec<&str> {
        let units = self.units.iter().flatten();
        units.map(|unit| unit.snapshot.as_str()).collect()
    }
}

impl Services {
    /// How far the service is.
    pub(super) fn of(&self, unit: &ServiceUnit) -> &ServiceMove {
        self.moves.get(&unit.index).unwrap_or(&ServiceMove::UNTOUCHED)
    }

    fn move_mut(&mut self, unit: usize) -> &mut ServiceMove {
        self.moves.entry(unit).or_default()
    }
}

impl ServiceMove {
    const UNTOUCHED: ServiceMove = ServiceMove {
        startup: None,
        deadline: None,
        sent: false,
        reverts: None,
        restores: 0,
    };
}

/// Our labels are removed last: while a service carries one, other rollouts leave it alone.
pub(super) fn restore(
    services: &Services,
    units: &[ServiceUnit],
    observed: &[ObservedService],
    sent: impl Fn(&ServiceUnit) -> UpdateKnobs,
) -> Option<Plan<ServiceStep>> {
    let marked = |seen: &ObservedService| match seen {
        ObservedService::Found(found) => found.mark == ServiceMark::Ours,
        ObservedService::Gone => false,
    };
    let mut pairs = units.iter().zip(observed);
    let (unit, _) = pairs.find(|(unit, seen)| marked(seen) && services.of(unit).restores < RESTORES)?;
    Some(Plan::Do(ServiceStep::RestoreKnobs {
        unit: unit.index,
        sent: sent(unit),
    }))
}
