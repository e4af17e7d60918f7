//! How far the replacement of lowtide's own container is, folded from its steps.

use super::policy::SelfUpdatePolicy;
use super::step::{SelfUpdateOutcome, SelfUpdateStep};
use crate::kinds::containers::state::Containers;
use crate::kinds::kind::KindState;
use lowtide_model::failure::Failure;
use lowtide_model::journal::IllegalEvent;
use lowtide_model::rollout::Goal;

/// The container, folded from its steps. Which process acts is observed, not stored.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SelfUpdate {
    pub containers: Containers,
}

impl KindState<SelfUpdatePolicy> for SelfUpdate {
    fn begin(&mut self, goal: Goal, step: &SelfUpdateStep) {
        match step {
            SelfUpdateStep::Container { container_step } => self.containers.begin(goal, container_step),
            SelfUpdateStep::StartHelper | SelfUpdateStep::HandOver { .. } | SelfUpdateStep::RemoveHelper => {}
        }
    }

    fn end(&mut self, goal: Goal, step: &SelfUpdateStep, outcome: &SelfUpdateOutcome) -> Result<(), IllegalEvent> {
        match (step, outcome) {
            (SelfUpdateStep::Container { container_step }, SelfUpdateOutcome::Container(outcome)) => {
                self.containers.end(goal, container_step, outcome)
            }
            (
                SelfUpdateStep::StartHelper | SelfUpdateStep::HandOver { .. } | SelfUpdateStep::RemoveHelper,
                SelfUpdateOutcome::Done,
            ) => Ok(()),
            (SelfUpdateStep::Container { .. }, SelfUpdateOutcome::Done)
            | (
                SelfUpdateStep::StartHelper | SelfUpdateStep::HandOver { .. } | SelfUpdateStep::RemoveHelper,
                SelfUpdateOutcome::Container(_),
            ) => Err(IllegalEvent {
                event: "step_ended",
                why: "the step has another outcome",
            }),
        }
    }

    fn fail(&mut self, step: &SelfUpdateStep, failure: &Failure) {
        match step {
            SelfUpdateStep::Container { container_step } => self.containers.fail(container_step, failure),
            SelfUpdateStep::StartHelper | SelfUpdateStep::HandOver { .. } | SelfUpdateStep::RemoveHelper => {}
        }
    }

    fn units(&self) -> Option<usize> {
        self.containers.units()
    }

    fn unit_name(&self, unit: usize) -> Option<&str> {
        self.containers.unit_name(unit)
    }

    fn ran(&self) -> bool {
        self.containers.ran()
    }

    fn is_committed(&self) -> bool {
        self.containers.is_committed()
    }

    fn saved_logs(&self) -> Vec<String> {
        self.containers.saved_logs()
    }

    fn snapshots(&self) -> Vec<&str> {
        self.containers.snapshots()
    }
}
