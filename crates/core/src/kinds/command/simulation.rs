//! What a command moves, where every step goes well.

use super::model::{CommandUnit, ProbeResult, TargetRecord};
use super::policy::CommandPolicy;
use super::step::{CommandOutcome, CommandStep};
use crate::kinds::kind::{Simulation, View};
use lowtide_model::preview::{Move, OrderReason, Phase};
use lowtide_model::release::Release;
use lowtide_model::rollout::Part;

#[derive(Debug)]
pub struct SimulatedCommand {
    unit: CommandUnit,
}

impl Simulation<CommandPolicy> for SimulatedCommand {
    fn of(view: View<'_, CommandPolicy>) -> Self {
        let assumed = || CommandUnit {
            before: None,
            record: TargetRecord::Certain,
        };
        Self {
            unit: view.state.unit.clone().unwrap_or_else(assumed),
        }
    }

    fn perform(&mut self, step: &CommandStep) -> CommandOutcome {
        match step {
            CommandStep::Preflight => CommandOutcome::Preflighted {
                command: self.unit.clone(),
            },
            CommandStep::Run { .. } => CommandOutcome::Ran { output: Vec::new() },
            CommandStep::AwaitAnswer { .. } => CommandOutcome::Answered,
        }
    }

    fn seen(&self, view: View<'_, CommandPolicy>) -> Option<ProbeResult> {
        view.state.unit.as_ref().map(|_| ProbeResult::Passes)
    }

    fn moves(&self, view: View<'_, CommandPolicy>, _: &[Release]) -> Vec<Move> {
        vec![Move {
            // Nothing else has a name there.
            name: view.target.name.to_string(),
            part: Part::Release,
            from: self.unit.before.as_ref().map(|before| before.tag.clone()),
            order: None,
            why: OrderReason::Command,
            tasks: None,
            phase: Phase::Waiting,
        }]
    }
}
