//! How far a command's rollout is, folded from its steps.

use super::model::{CommandUnit, TargetRelease};
use super::policy::CommandPolicy;
use super::step::{CommandOutcome, CommandStep};
use crate::kinds::kind::KindState;
use jiff::Timestamp;
use lowtide_model::journal::IllegalEvent;
use lowtide_model::rollout::Goal;

/// A command's rollout, folded from its steps.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Command {
    pub unit: Option<CommandUnit>,
    /// How often the command was started towards the release, without the runs that said *try later*.
    runs: u32,
    pub(super) ran: bool,
    pub(super) probe_passed: bool,
    /// Deadline of the probe, as first planned.
    pub(super) deadline: Option<Timestamp>,
    pub(super) went_back: bool,
    pub(super) probe_passed_again: bool,
    pub(super) busy_back: u32,
    /// The end of what it wrote on its way to the release.
    output: Vec<String>,
}

impl KindState<CommandPolicy> for Command {
    fn begin(&mut self, goal: Goal, step: &CommandStep) {
        match (goal, step) {
            (Goal::Forward, CommandStep::Run { .. }) => self.runs += 1,
            (Goal::Forward, CommandStep::AwaitAnswer { deadline, .. }) => {
                self.deadline.get_or_insert(*deadline);
            }
            (Goal::Forward | Goal::Back, CommandStep::Preflight)
            | (Goal::Back, CommandStep::Run { .. } | CommandStep::AwaitAnswer { .. }) => {}
        }
    }

    fn end(&mut self, goal: Goal, step: &CommandStep, outcome: &CommandOutcome) -> Result<(), IllegalEvent> {
        match (goal, step, outcome) {
            (_, CommandStep::Preflight, CommandOutcome::Preflighted { command }) => self.unit = Some(command.clone()),
            (Goal::Forward, CommandStep::Run { .. }, CommandOutcome::Ran { output }) => {
                self.ran = true;
                self.output.clone_from(output);
            }
            (Goal::Back, CommandStep::Run { .. }, CommandOutcome::Ran { .. }) => self.went_back = true,
            (Goal::Forward, CommandStep::AwaitAnswer { .. }, CommandOutcome::Answered) => self.probe_passed = true,
            (Goal::Back, CommandStep::AwaitAnswer { .. }, CommandOutcome::Answered) => self.probe_passed_again = true,
            (
                _,
                CommandStep::Preflight | CommandStep::Run { .. } | CommandStep::AwaitAnswer { .. },
                CommandOutcome::Preflighted { .. } | CommandOutcome::Ran { .. } | CommandOutcome::Answered,
            ) => {
                return Err(IllegalEvent {
                    event: "step_ended",
                    why: "the step has another outcome",
                });
            }
        }
        Ok(())
    }

    fn busy(&mut self, goal: Goal) -> bool {
        match goal {
            Goal::Forward => self.runs = self.runs.saturating_sub(1),
            Goal::Back => self.busy_back += 1,
        }
        !self.ran()
    }

    fn units(&self) -> Option<usize> {
        self.unit.as_ref().map(|_| 1)
    }

    fn unit_name(&self, _: usize) -> Option<&str> {
        None
    }

    /// May the command have changed something on its way to the release?
    fn ran(&self) -> bool {
        self.runs > 0
    }

    fn counted_units(&self) -> usize {
        0
    }
}

impl Command {
    /// The end of what the command wrote on its way to the release.
    #[must_use]
    pub fn output(&self) -> &[String] {
        &self.output
    }

    pub(super) fn before(&self) -> Option<&TargetRelease> {
        self.unit.as_ref()?.before.as_ref()
    }
}
