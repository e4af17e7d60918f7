//! What is there, as far as the journal tells, in a world where every step goes well.

use super::command::SimulatedCommand;
use super::containers::SimulatedContainers;
use super::services::SimulatedServices;
use super::{KindState, RolloutState};
use crate::model::rollout::{Observed, Step, StepOutcome};

pub(super) enum Simulation {
    Containers(SimulatedContainers),
    Services(SimulatedServices),
    Command(SimulatedCommand),
}

impl Simulation {
    /// As preflight found it, or as it may find it.
    pub(super) fn of(state: &RolloutState) -> Self {
        match &state.kind_state {
            KindState::Containers(moving) => {
                Simulation::Containers(SimulatedContainers::new(state, moving.units.as_deref()))
            }
            KindState::Services(moving) => Simulation::Services(SimulatedServices::new(state, moving.units.as_deref())),
            KindState::Command(moving) => Simulation::Command(SimulatedCommand::new(state, moving.unit.as_ref())),
        }
    }

    pub(super) fn unit_count(&self) -> usize {
        match self {
            Simulation::Containers(simulation) => simulation.units.len(),
            Simulation::Services(simulation) => simulation.units.len(),
            Simulation::Command(_) => 1,
        }
    }

    /// Learns the engine id of a new container from a step of the journal.
    pub(super) fn name(&mut self, step: &Step) {
        match self {
            Simulation::Containers(simulation) => simulation.name(step),
            Simulation::Services(_) | Simulation::Command(_) => {}
        }
    }

    pub(super) fn perform(&mut self, step: &Step) -> StepOutcome {
        match self {
            Simulation::Containers(simulation) => simulation.perform(step),
            Simulation::Services(simulation) => simulation.perform(step),
            Simulation::Command(simulation) => simulation.perform(step),
        }
    }

    /// How many tasks Swarm replaces after the step.
    pub(super) fn replaces(&self, step: &Step) -> Option<u64> {
        match self {
            Simulation::Containers(_) | Simulation::Command(_) => None,
            Simulation::Services(simulation) => simulation.replaces(step),
        }
    }

    /// Swarm has replaced what it was asked to.
    pub(super) fn settle(&mut self) {
        match self {
            Simulation::Containers(_) | Simulation::Command(_) => {}
            Simulation::Services(simulation) => simulation.settle(),
        }
    }

    pub(super) fn seen(&self, state: &RolloutState) -> Observed {
        match self {
            _ if state.unit_count() == 0 => Observed::Nothing,
            Simulation::Containers(simulation) => Observed::Containers(simulation.seen.clone()),
            Simulation::Services(simulation) => Observed::Services(simulation.seen.clone()),
            Simulation::Command(_) => Observed::Command(SimulatedCommand::seen()),
        }
    }
}
