//! lowtide's own container. It moves as any other does ([`super::containers`]); what is decided here is who may take the
//! planned step, because nobody can start what comes after its own stop.
//!
//! Forward: the old one makes the keeper and hands over to it; the keeper brings up the new one, which waits, and hands
//! over to it; the new one proves itself by doing lowtide's work on this very rollout: it watches the bake, dismisses the
//! keeper and removes the old one. Back: the keeper does it, and hands over to the old one.
//!
//! Whoever holds the state goes on from where the journal is. The old one only ever goes back, the new one only ever
//! goes forward, the keeper does both and ends neither.

use super::{Moving, Next, RolloutState, diverged};
use crate::model::failure::{Failure, FailureKind, WaitReason};
use crate::model::itself::{Handover, Holder, ObservedItself, OwnStep};
use crate::model::rollout::{ContainerState, Goal, RolloutConclusion, Step, StepOutcome};
use jiff::Timestamp;

/// `planned` by the rules of any container, or what has to come before it because of who looks.
pub(super) fn through(state: &RolloutState, seen: &ObservedItself, planned: Next, now: Timestamp) -> Next {
    let Some(holder) = seen.holder else {
        return match planned {
            Next::Do { .. } | Next::StartBake { .. } | Next::DecideRevert(_) => {
                diverged("lowtide runs in a container that is not part of its own rollout".to_owned())
            }
            Next::Wait { .. }
            | Next::Enter { .. }
            | Next::Suspend { .. }
            | Next::Escalate { .. }
            | Next::Finish(_)
            | Next::Over => planned,
        };
    };
    match (state.goal, holder) {
        (Goal::Forward, Holder::Old) if changes(&planned) => by_keeper(state, seen, now),
        (Goal::Forward, Holder::Keeper) if proves(&planned) => hand_over(state, Holder::New, now),
        // Before the old one goes: as long as there is a keeper, it may put the journal back to where it handed over.
        (Goal::Forward, Holder::New) if removes_old(&planned) && seen.keeper.is_some() => own(OwnStep::Dismiss),
        (Goal::Back, Holder::New) if changes(&planned) => by_keeper(state, seen, now),
        (Goal::Back, Holder::Keeper) if planned_end(&planned) => hand_over(state, Holder::Old, now),
        (Goal::Forward | Goal::Back, Holder::Old | Holder::Keeper | Holder::New) => planned,
    }
}

/// How a hand-over ended, as `holder` finds it, which took the state. `None`: another step, or one that nobody was told of,
/// so that nobody failed to follow it.
#[must_use]
pub fn taken_over(step: &Step, told: Option<&Handover>, holder: Option<Holder>) -> Option<StepOutcome> {
    let Step::Itself(OwnStep::Yield { to, deadline }) = step else {
        return None;
    };
    let tells = |told: &&Handover| match to {
        // The copy of the database that was put back ends here, whoever was named since.
        Holder::New => told.tried == Some(*deadline),
        Holder::Old | Holder::Keeper => told.to == *to && told.deadline == *deadline,
    };
    told.filter(tells)?;
    if holder == Some(*to) {
        return Some(StepOutcome::Done);
    }
    let kind = match to {
        Holder::New => FailureKind::NotTakenOver,
        Holder::Old | Holder::Keeper => FailureKind::HandoverFailed,
    };
    Some(StepOutcome::Failed {
        failure: Failure::new(kind, format!("{to} did not take the state in time, or did not keep it")),
    })
}

/// Failed before anything but the keeper was made: nothing has to be taken back.
pub(super) fn has_only_kept(state: &RolloutState, step: &Step) -> bool {
    let Moving::Containers(containers) = &state.moving else {
        return false;
    };
    match step {
        Step::Itself(OwnStep::Keep | OwnStep::Yield { to: Holder::Keeper, .. }) => !containers.moved(),
        Step::Itself(OwnStep::Dismiss | OwnStep::Yield { .. })
        | Step::Preflight
        | Step::Pull
        | Step::RunHook { .. }
        | Step::CreateCandidate { .. }
        | Step::RemoveCandidate { .. }
        | Step::StopOld { .. }
        | Step::SetRestart { .. }
        | Step::Start { .. }
        | Step::TryOut { .. }
        | Step::Restart { .. }
        | Step::AwaitReady { .. }
        | Step::Rename { .. }
        | Step::StopCandidate { .. }
        | Step::KeepLog { .. }
        | Step::RemoveOld { .. }
        | Step::Attach { .. }
        | Step::Route { .. }
        | Step::Drain { .. }
        | Step::KeepImage { .. }
        | Step::LetImageGo { .. }
        | Step::RecreateOld { .. }
        | Step::MoveTag { .. }
        | Step::Command(_)
        | Step::Service(_) => false,
    }
}

/// Would it change a container, or is it a matter of those that were changed?
fn changes(planned: &Next) -> bool {
    match planned {
        Next::Do { step, .. } => !matches!(step, Step::Preflight | Step::Pull | Step::TryOut { .. }),
        Next::StartBake { .. }
        | Next::Wait {
            reason: WaitReason::Baking { .. },
            ..
        } => true,
        Next::Wait { .. }
        | Next::Enter { .. }
        | Next::Suspend { .. }
        | Next::Escalate { .. }
        | Next::DecideRevert(_)
        | Next::Finish(_)
        | Next::Over => false,
    }
}

/// The new one is up: what is left is its own proof.
fn proves(planned: &Next) -> bool {
    match planned {
        Next::StartBake { .. }
        | Next::Wait {
            reason: WaitReason::Baking { .. },
            ..
        }
        | Next::Finish(RolloutConclusion::Done) => true,
        Next::Do { .. } => removes_old(planned),
        Next::Wait { .. }
        | Next::Enter { .. }
        | Next::Suspend { .. }
        | Next::Escalate { .. }
        | Next::DecideRevert(_)
        | Next::Finish(_)
        | Next::Over => false,
    }
}

fn removes_old(planned: &Next) -> bool {
    matches!(
        planned,
        Next::Do {
            step: Step::RemoveOld { .. },
            ..
        }
    )
}

/// A conclusion of the way back that leaves the old one in place. Where it got stuck the keeper stays: it is all there is.
fn planned_end(planned: &Next) -> bool {
    matches!(
        planned,
        Next::Finish(RolloutConclusion::Reverted { .. } | RolloutConclusion::Refused { .. })
    )
}

fn by_keeper(state: &RolloutState, seen: &ObservedItself, now: Timestamp) -> Next {
    let runs = |state: ContainerState| matches!(state, ContainerState::Running | ContainerState::Restarting);
    if seen.keeper.as_ref().is_some_and(|keeper| runs(keeper.state)) {
        hand_over(state, Holder::Keeper, now)
    } else {
        own(OwnStep::Keep)
    }
}

fn hand_over(state: &RolloutState, to: Holder, now: Timestamp) -> Next {
    let deadline = now + state.target.ready.timeout;
    own(OwnStep::Yield { to, deadline })
}

fn own(step: OwnStep) -> Next {
    Next::Do {
        attempt: 1,
        step: Step::Itself(step),
    }
}

#[cfg(test)]
mod tests;
