//! What a command moves, where every step goes well.

use super::RolloutState;
use crate::model::command::{CommandStep, CommandUnit, ObservedAnswer, TargetRecord};
use crate::model::rollout::{Step, StepOutcome};

pub(super) struct SimulatedCommand {
    pub(super) unit: CommandUnit,
    /// For people: nothing else has a name there.
    pub(super) name: String,
}

impl SimulatedCommand {
    pub(super) fn new(state: &RolloutState, unit: Option<&CommandUnit>) -> Self {
        let assumed = || CommandUnit {
            before: None,
            record: TargetRecord::Certain,
        };
        Self {
            unit: unit.cloned().unwrap_or_else(assumed),
            name: state.target.name.to_string(),
        }
    }

    pub(super) fn perform(&self, step: &Step) -> StepOutcome {
        let Step::Command(step) = step else {
            return StepOutcome::CommandPreflighted {
                command: self.unit.clone(),
            };
        };
        match step {
            CommandStep::Run { .. } => StepOutcome::Ran { output: Vec::new() },
            CommandStep::AwaitAnswer { .. } => StepOutcome::Done,
        }
    }

    pub(super) fn seen() -> ObservedAnswer {
        ObservedAnswer::Answers
    }
}
