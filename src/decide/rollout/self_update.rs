//! Rollouts of lowtide's own container. Its steps are those of any container ([`super::containers`]). This module
//! decides which process may take the planned step, because no process can start its successor after its own stop.
//!
//! Forward: the old lowtide starts the update helper and hands over to it. The update helper starts the new lowtide, which stands by,
//! and hands over to it. The new one proves itself by finishing this rollout: it watches the bake, removes the update helper,
//! then the old one. Back: the update helper takes the steps, then hands over to the old one.
//!
//! The process that holds the state continues from the journal. The old one changes containers only when rolling back,
//! the new one only when going forward. The update helper works in both directions and completes neither: it hands over before
//! the end.

use super::{KindState, Next, RolloutState, diverged};
use crate::model::failure::{Failure, FailureKind, WaitReason};
use crate::model::rollout::{ContainerState, Goal, RolloutConclusion, Step, StepOutcome};
use crate::model::self_update::{Handover, ObservedSelfUpdate, SelfUpdateStep, StateOwner};
use jiff::Timestamp;

/// Returns `planned`, the next step by the rules of any container, or the step that must come first because of which
/// process is acting.
pub(super) fn through(state: &RolloutState, seen: &ObservedSelfUpdate, planned: Next, now: Timestamp) -> Next {
    let Some(owner) = seen.owner else {
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
    match (state.goal, owner) {
        (Goal::Forward, StateOwner::Old) if changes(&planned) => by_helper(state, seen, now),
        (Goal::Forward, StateOwner::Helper) if proves(&planned) => hand_over(state, StateOwner::New, now),
        // Remove the update helper before the old container: as long as the update helper exists, it may restore the journal to the
        // state at its hand-over.
        (Goal::Forward, StateOwner::New) if removes_old(&planned) && seen.helper.is_some() => {
            own(SelfUpdateStep::Dismiss)
        }
        (Goal::Back, StateOwner::New) if changes(&planned) => by_helper(state, seen, now),
        (Goal::Back, StateOwner::Helper) if planned_end(&planned) => hand_over(state, StateOwner::Old, now),
        (Goal::Forward | Goal::Back, StateOwner::Old | StateOwner::Helper | StateOwner::New) => planned,
    }
}

/// Outcome of a hand-over as found by `owner`, the process that took the state. `None`: the step is no hand-over, or
/// the hand-over was never recorded, so no process can have failed to take over.
#[must_use]
pub fn taken_over(step: &Step, told: Option<&Handover>, owner: Option<StateOwner>) -> Option<StepOutcome> {
    let Step::SelfUpdate(SelfUpdateStep::Yield { to, deadline }) = step else {
        return None;
    };
    let tells = |told: &&Handover| match to {
        // A restored copy of the database ends with this step, whichever owner the record has named since.
        StateOwner::New => told.tried == Some(*deadline),
        StateOwner::Old | StateOwner::Helper => told.to == *to && told.deadline == *deadline,
    };
    told.filter(tells)?;
    if owner == Some(*to) {
        return Some(StepOutcome::Done);
    }
    let kind = match to {
        StateOwner::New => FailureKind::NotTakenOver,
        StateOwner::Old | StateOwner::Helper => FailureKind::HandoverFailed,
    };
    Some(StepOutcome::Failed {
        failure: Failure::new(kind, format!("{to} did not take the state in time, or did not keep it")),
    })
}

/// Did the step fail before anything but the update helper was created? Then nothing has to be rolled back.
pub(super) fn has_only_kept(state: &RolloutState, step: &Step) -> bool {
    let KindState::Containers(containers) = &state.kind_state else {
        return false;
    };
    match step {
        Step::SelfUpdate(
            SelfUpdateStep::Keep
            | SelfUpdateStep::Yield {
                to: StateOwner::Helper, ..
            },
        ) => !containers.moved(),
        Step::SelfUpdate(SelfUpdateStep::Dismiss | SelfUpdateStep::Yield { .. })
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

/// Would the planned step change a container, or watch the bake of changed ones?
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

/// The new lowtide is up: all steps that remain are those by which it proves itself.
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

/// A conclusion of a rollback that leaves the old lowtide in place. If the rollback got stuck the update helper stays, because
/// it is the only lowtide left.
fn planned_end(planned: &Next) -> bool {
    matches!(
        planned,
        Next::Finish(RolloutConclusion::Reverted { .. } | RolloutConclusion::Refused { .. })
    )
}

fn by_helper(state: &RolloutState, seen: &ObservedSelfUpdate, now: Timestamp) -> Next {
    let runs = |state: ContainerState| matches!(state, ContainerState::Running | ContainerState::Restarting);
    if seen.helper.as_ref().is_some_and(|helper| runs(helper.state)) {
        hand_over(state, StateOwner::Helper, now)
    } else {
        own(SelfUpdateStep::Keep)
    }
}

fn hand_over(state: &RolloutState, to: StateOwner, now: Timestamp) -> Next {
    let deadline = now + state.target.ready.timeout;
    own(SelfUpdateStep::Yield { to, deadline })
}

fn own(step: SelfUpdateStep) -> Next {
    Next::Do {
        attempt: 1,
        step: Step::SelfUpdate(step),
    }
}

#[cfg(test)]
mod tests;
