//! Rollouts of command targets. Such a target cannot be inspected, so the app's own record says what runs there. The
//! command must be idempotent, because after a kill lowtide cannot know whether it completed.

use super::{Next, RolloutState, returned, revert_or_stop};
use crate::model::command::{Aim, CommandStep, CommandUnit, Direction, ObservedAnswer, Placed, TargetRecord};
use crate::model::failure::{Failure, FailureKind, WaitReason};
use crate::model::fleet::{Select, TargetPolicy};
use crate::model::journal::IllegalEvent;
use crate::model::rollout::{Goal, Purpose, RolloutConclusion, Step, StepOutcome, Which};
use jiff::{SignedDuration, Timestamp};

/// How often a target is probed while it bakes.
const POLL: SignedDuration = SignedDuration::from_secs(5);

/// After a kill the target gets the rest of its probe timeout, but at least this much.
const LEAST_LEFT: SignedDuration = SignedDuration::from_secs(15);

/// How often a rollback command that says *try later* is run. It is run every minute, so after half an hour a person
/// has to take over.
const BUSY_BACK: u32 = 30;

/// State of a command's rollout, folded from the journal.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Command {
    pub unit: Option<CommandUnit>,
    /// How often the command was started towards the release, without the runs that said *try later*.
    runs: u32,
    ran: bool,
    answered: bool,
    /// Deadline of the probe, as first planned.
    deadline: Option<Timestamp>,
    went_back: bool,
    answered_again: bool,
    busy_back: u32,
    /// The end of what it wrote on its way to the release.
    output: Vec<String>,
}

impl Command {
    /// A step was begun.
    pub(super) fn begin(&mut self, goal: Goal, step: &Step) {
        let Step::Command(step) = step else { return };
        match (goal, step) {
            (Goal::Forward, CommandStep::Run { .. }) => self.runs += 1,
            (Goal::Forward, CommandStep::AwaitAnswer { deadline, .. }) => {
                self.deadline.get_or_insert(*deadline);
            }
            (Goal::Back, CommandStep::Run { .. } | CommandStep::AwaitAnswer { .. }) => {}
        }
    }

    /// The command said *try later*, so this run changed nothing. Returns true if no earlier run can have changed
    /// anything either.
    pub(super) fn busy(&mut self, goal: Goal) -> bool {
        match goal {
            Goal::Forward => self.runs = self.runs.saturating_sub(1),
            Goal::Back => self.busy_back += 1,
        }
        !self.ran()
    }

    /// A step has ended well.
    ///
    /// # Errors
    /// An outcome that is not of this step.
    pub(super) fn end(&mut self, goal: Goal, step: &Step, outcome: &StepOutcome) -> Result<(), IllegalEvent> {
        match (goal, step, outcome) {
            (_, Step::Preflight, StepOutcome::CommandPreflighted { command }) => self.unit = Some(command.clone()),
            (Goal::Forward, Step::Command(CommandStep::Run { .. }), StepOutcome::Ran { output }) => {
                self.ran = true;
                self.output.clone_from(output);
            }
            (Goal::Back, Step::Command(CommandStep::Run { .. }), StepOutcome::Ran { .. }) => self.went_back = true,
            (Goal::Forward, Step::Command(CommandStep::AwaitAnswer { .. }), StepOutcome::Done) => self.answered = true,
            (Goal::Back, Step::Command(CommandStep::AwaitAnswer { .. }), StepOutcome::Done) => {
                self.answered_again = true;
            }
            (_, _, _) => {
                return Err(IllegalEvent {
                    event: "step_ended",
                    why: "a command has other outcomes",
                });
            }
        }
        Ok(())
    }

    /// May the command have changed something on its way to the release?
    pub(super) fn ran(&self) -> bool {
        self.runs > 0
    }

    /// The end of what the command wrote on its way to the release.
    #[must_use]
    pub fn output(&self) -> &[String] {
        &self.output
    }

    fn before(&self) -> Option<&Placed> {
        self.unit.as_ref()?.before.as_ref()
    }
}

/// The release that the command must bring the target to; `None`: a rollback, and there is no previous release.
#[must_use]
pub fn aim(state: &RolloutState, command: &Command) -> Option<Aim> {
    let release = Placed::of(&state.release);
    let before = command.before().cloned();
    // An operator's revert goes to an older release, so rolling the revert back goes forward again.
    let direction = match (state.goal, state.purpose) {
        (Goal::Forward, Purpose::Release | Purpose::Probation) | (Goal::Back, Purpose::Revert) => Direction::Forward,
        (Goal::Back, Purpose::Release | Purpose::Probation) | (Goal::Forward, Purpose::Revert) => Direction::Back,
    };
    let (to, from) = match state.goal {
        Goal::Forward => (release, before),
        Goal::Back => (before?, Some(release)),
    };
    Some(Aim { direction, to, from })
}

pub(super) fn forward(state: &RolloutState, command: &Command, seen: &ObservedAnswer, now: Timestamp) -> Next {
    let Some(unit) = &command.unit else {
        return step(Step::Preflight);
    };
    if !command.ran() && is_there(state, unit) {
        return Next::Finish(RolloutConclusion::AlreadyThere);
    }
    if !command.ran {
        return run(aim(state, command));
    }
    let timeout = probe_timeout(&state.target);
    if let Some(timeout) = timeout
        && !command.answered
    {
        let deadline = command
            .deadline
            .map_or(now + timeout, |first| first.max(now + LEAST_LEFT));
        return await_answer(Which::New, deadline);
    }
    let Some(until) = state.bake else {
        return Next::StartBake {
            until: now + state.target.bake,
        };
    };
    match seen {
        ObservedAnswer::Fails { times, said } => {
            let detail = format!("while it baked, {times} times in a row: {said}");
            let failure = Failure::new(FailureKind::NoAnswer, detail).with_excerpt(command.output.iter().cloned());
            revert_or_stop(state, failure)
        }
        ObservedAnswer::NotAsked | ObservedAnswer::Answers if now < until => Next::Wait {
            until: Some(until.min(now + POLL)),
            reason: WaitReason::Baking { until },
        },
        ObservedAnswer::NotAsked | ObservedAnswer::Answers => Next::Finish(RolloutConclusion::Done),
    }
}

pub(super) fn back(state: &RolloutState, command: &Command, reason: Failure, now: Timestamp) -> Next {
    if !command.ran() {
        return returned(state, reason);
    }
    let Some(aim) = aim(state, command) else {
        return Next::Finish(nothing_before(reason));
    };
    if !command.went_back {
        if command.busy_back < BUSY_BACK {
            return run(Some(aim));
        }
        let detail = format!("the rollback asked {BUSY_BACK} times to be tried later");
        let failure = Failure::new(FailureKind::RevertFailed, detail);
        return Next::Finish(RolloutConclusion::Stuck { failure });
    }
    match probe_timeout(&state.target) {
        Some(timeout) if !command.answered_again => await_answer(Which::Old, now + timeout),
        Some(_) | None => returned(state, reason),
    }
}

/// The first release on a target cannot be rolled back: lowtide does not know what ran there before.
pub(super) fn cannot_go_back(command: &Command) -> bool {
    command.before().is_none()
}

pub(super) fn nothing_before(failure: Failure) -> RolloutConclusion {
    let detail = format!(
        "{}; it is the first release here, so there is none to go back to",
        failure.detail
    );
    RolloutConclusion::Stuck {
        failure: Failure { detail, ..failure },
    }
}

/// Does the step change the target?
pub(super) fn touches(step: &CommandStep) -> bool {
    match step {
        CommandStep::Run { .. } => true,
        CommandStep::AwaitAnswer { .. } => false,
    }
}

fn is_there(state: &RolloutState, unit: &CommandUnit) -> bool {
    match unit.record {
        TargetRecord::Certain => {
            let release = Placed::of(&state.release);
            unit.before.as_ref().is_some_and(|before| before.is_same(&release))
        }
        // After a stuck rollout the record is unreliable, so the command is run in any case.
        TargetRecord::Doubtful => false,
    }
}

fn probe_timeout(target: &TargetPolicy) -> Option<SignedDuration> {
    match &target.select {
        Select::Command(policy) => policy.probe.as_ref().map(|probe| probe.timeout),
        Select::OwnContainer
        | Select::Container { .. }
        | Select::Label { .. }
        | Select::Compose { .. }
        | Select::Service { .. }
        | Select::Stack { .. } => None,
    }
}

fn run(aim: Option<Aim>) -> Next {
    match aim {
        Some(aim) => step(Step::Command(CommandStep::Run { aim: Box::new(aim) })),
        None => Next::Finish(nothing_before(Failure::new(
            FailureKind::Invariant,
            "it has nowhere to go",
        ))),
    }
}

fn await_answer(which: Which, deadline: Timestamp) -> Next {
    step(Step::Command(CommandStep::AwaitAnswer { which, deadline }))
}

fn step(step: Step) -> Next {
    Next::Do { attempt: 1, step }
}

#[cfg(test)]
mod tests;
