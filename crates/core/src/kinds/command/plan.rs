//! The steps of a command's rollout.

use super::model::{Aim, CommandUnit, Direction, ProbeResult, TargetRecord, TargetRelease};
use super::policy::CommandPolicy;
use super::step::CommandStep;
use crate::kinds::kind::{KindState, Plan, View};
use jiff::{SignedDuration, Timestamp};
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::rollout::{Goal, Purpose, RolloutConclusion, Which};

type Next = Plan<CommandStep>;

/// How often a target is probed while it bakes.
const POLL: SignedDuration = SignedDuration::from_secs(5);

/// After a kill the target gets the rest of its probe timeout, but at least this much.
const LEAST_LEFT: SignedDuration = SignedDuration::from_secs(15);

/// How often a rollback command that says *try later* is run. It is run every minute, so after half an hour a person
/// has to take over.
const BUSY_BACK: u32 = 30;

/// The release that the command must bring the target to; `None`: a rollback, and there is no previous release.
#[must_use]
pub fn aim(view: View<'_, CommandPolicy>) -> Option<Aim> {
    let release = TargetRelease::of(view.release);
    let before = view.state.before().cloned();
    // An operator's revert goes to an older release, so rolling the revert back goes forward again.
    let direction = match (view.goal, view.purpose) {
        (Goal::Forward, Purpose::Release | Purpose::Probation) | (Goal::Back, Purpose::Revert) => Direction::Forward,
        (Goal::Back, Purpose::Release | Purpose::Probation) | (Goal::Forward, Purpose::Revert) => Direction::Back,
    };
    let (to, from) = match view.goal {
        Goal::Forward => (release, before),
        Goal::Back => (before?, Some(release)),
    };
    Some(Aim { direction, to, from })
}

pub(super) fn forward(view: View<'_, CommandPolicy>, seen: &ProbeResult, now: Timestamp) -> Next {
    let command = view.state;
    let Some(unit) = &command.unit else {
        return Plan::Do(CommandStep::Preflight);
    };
    if !command.ran() && is_there(view, unit) {
        return Plan::Finish(RolloutConclusion::AlreadyThere);
    }
    if !command.ran {
        return run(aim(view));
    }
    let timeout = view.policy.probe.as_ref().map(|probe| probe.timeout);
    if let Some(timeout) = timeout
        && !command.probe_passed
    {
        let deadline = command
            .deadline
            .map_or(now + timeout, |first| first.max(now + LEAST_LEFT));
        return await_probe(Which::New, deadline);
    }
    let Some(until) = view.bake else {
        return Plan::Bake;
    };
    match seen {
        ProbeResult::Fails { times, said } => {
            let detail = format!("while it baked, {times} times in a row: {said}");
            let output = command.output().iter().cloned();
            Plan::Fail(Failure::new(FailureKind::NoAnswer, detail).with_excerpt(output))
        }
        ProbeResult::NotRun | ProbeResult::Passes => {
            Plan::baking(until, now, POLL).unwrap_or(Plan::Finish(RolloutConclusion::Done))
        }
    }
}

pub(super) fn back(view: View<'_, CommandPolicy>, reason: &Failure, now: Timestamp) -> Next {
    let command = view.state;
    if !command.ran() {
        return Plan::Returned;
    }
    let Some(aim) = aim(view) else {
        return Plan::stuck(nothing_before(reason));
    };
    if !command.went_back {
        if command.busy_back < BUSY_BACK {
            return run(Some(aim));
        }
        let detail = format!("the rollback asked {BUSY_BACK} times to be tried later");
        return Plan::stuck(Failure::new(FailureKind::RevertFailed, detail));
    }
    match &view.policy.probe {
        Some(probe) if !command.probe_passed_again => await_probe(Which::Old, now + probe.timeout),
        Some(_) | None => Plan::Returned,
    }
}

/// The failure when a rollback is due and lowtide does not know what ran on the target before.
pub(super) fn nothing_before(failure: &Failure) -> Failure {
    let detail = format!(
        "{}; it is the first release here, so there is none to go back to",
        failure.detail
    );
    Failure {
        detail,
        ..failure.clone()
    }
}

fn is_there(view: View<'_, CommandPolicy>, unit: &CommandUnit) -> bool {
    match unit.record {
        TargetRecord::Certain => {
            let release = TargetRelease::of(view.release);
            unit.before.as_ref().is_some_and(|before| before.is_same(&release))
        }
        // After a stuck rollout the record is unreliable, so the command is run in any case.
        TargetRecord::Doubtful => false,
    }
}

fn run(aim: Option<Aim>) -> Next {
    match aim {
        Some(aim) => Plan::Do(CommandStep::Run { aim: Box::new(aim) }),
        None => Plan::stuck(nothing_before(&Failure::new(
            FailureKind::Invariant,
            "it has nowhere to go",
        ))),
    }
}

fn await_probe(which: Which, deadline: Timestamp) -> Next {
    Plan::Do(CommandStep::AwaitAnswer { which, deadline })
}
