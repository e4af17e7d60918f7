//! Rollouts of lowtide's own container. Its steps are those of any container. This module
//! decides which process may take the planned step, because no process can start its successor after its own stop.
//!
//! Forward: the old lowtide starts the update helper and hands over to it. The update helper starts the new lowtide, which stands by,
//! and hands over to it. The new one proves itself by finishing this rollout: it watches the bake, removes the update helper,
//! then the old one. Back: the update helper takes the steps, then hands over to the old one.
//!
//! The process that holds the state continues from the journal. The old one changes containers only when rolling back,
//! the new one only when going forward. The update helper works in both directions and completes neither: it hands over before
//! the end.

use super::model::ObservedSelfUpdate;
use super::policy::SelfUpdatePolicy;
use super::step::{SelfUpdateOutcome, SelfUpdateStep};
use crate::kinds::containers::step::ContainerStep;
use crate::kinds::kind::{Plan, View};
use crate::kinds::track::Ended;
use jiff::Timestamp;
use lowtide_model::container::ContainerState;
use lowtide_model::failure::{Failure, FailureKind, WaitReason};
use lowtide_model::handover::{Handover, StateOwner};
use lowtide_model::rollout::{Goal, RolloutConclusion};

type Next = Plan<SelfUpdateStep>;

/// Returns `planned`, the next step by the rules of any container, or the step that must come first because of which
/// process is acting.
pub(super) fn through(
    view: View<'_, SelfUpdatePolicy>,
    seen: Option<&ObservedSelfUpdate>,
    planned: Next,
    now: Timestamp,
) -> Next {
    let Some(seen) = seen else { return planned };
    let Some(owner) = seen.owner else {
        return match planned {
            Plan::Do(_) | Plan::Bake | Plan::Fail(_) => {
                Plan::diverged("lowtide runs in a container that is not part of its own rollout".to_owned())
            }
            Plan::Wait { .. } | Plan::Returned | Plan::Finish(_) => planned,
        };
    };
    match (view.goal, owner) {
        (Goal::Forward, StateOwner::Old) if changes(&planned) => by_helper(view, seen, now),
        (Goal::Forward, StateOwner::Helper) if proves(&planned) => hand_over(view, StateOwner::New, now),
        // Remove the update helper before the old container: as long as the update helper exists, it may restore the
        // journal to the state at its hand-over.
        (Goal::Forward, StateOwner::New) if removes_old(&planned) && seen.helper.is_some() => {
            Plan::Do(SelfUpdateStep::RemoveHelper)
        }
        (Goal::Back, StateOwner::New) if changes(&planned) => by_helper(view, seen, now),
        // If the rollback got stuck the update helper stays, because it is the only lowtide left.
        (Goal::Back, StateOwner::Helper) if planned == Plan::Returned => hand_over(view, StateOwner::Old, now),
        (Goal::Forward | Goal::Back, StateOwner::Old | StateOwner::Helper | StateOwner::New) => planned,
    }
}

/// Outcome of a hand-over as found by `owner`, the process that took the state. `None`: the step is no hand-over, or
/// the hand-over was never recorded, so no process can have failed to take over.
#[must_use]
pub fn taken_over(
    step: &SelfUpdateStep,
    recorded: Option<&Handover>,
    owner: Option<StateOwner>,
) -> Option<Ended<SelfUpdateOutcome>> {
    let SelfUpdateStep::HandOver { to, deadline } = step else {
        return None;
    };
    let names_this_step = |recorded: &&Handover| match to {
        // A restored copy of the database ends with this step, whichever owner the record has named since.
        StateOwner::New => recorded.tried == Some(*deadline),
        StateOwner::Old | StateOwner::Helper => recorded.to == *to && recorded.deadline == *deadline,
    };
    recorded.filter(names_this_step)?;
    if owner == Some(*to) {
        return Some(Ended::Well {
            outcome: SelfUpdateOutcome::Done,
        });
    }
    let kind = match to {
        StateOwner::New => FailureKind::NotTakenOver,
        StateOwner::Old | StateOwner::Helper => FailureKind::HandoverFailed,
    };
    Some(Ended::Failed {
        failure: Failure::new(kind, format!("{to} did not take the state in time, or did not keep it")),
    })
}

/// Would the planned step change a container, or watch the bake of changed ones?
fn changes(planned: &Next) -> bool {
    match planned {
        Plan::Do(step) => match step {
            SelfUpdateStep::Container { container_step } => !matches!(
                container_step,
                ContainerStep::Preflight | ContainerStep::Pull | ContainerStep::TryOut { .. }
            ),
            SelfUpdateStep::StartHelper | SelfUpdateStep::HandOver { .. } | SelfUpdateStep::RemoveHelper => true,
        },
        Plan::Bake
        | Plan::Wait {
            reason: WaitReason::Baking { .. },
            ..
        } => true,
        Plan::Wait { .. } | Plan::Fail(_) | Plan::Returned | Plan::Finish(_) => false,
    }
}

/// The new lowtide is up: all steps that remain are those by which it proves itself.
fn proves(planned: &Next) -> bool {
    match planned {
        Plan::Bake
        | Plan::Wait {
            reason: WaitReason::Baking { .. },
            ..
        }
        | Plan::Finish(RolloutConclusion::Done) => true,
        Plan::Do(_) => removes_old(planned),
        Plan::Wait { .. } | Plan::Fail(_) | Plan::Returned | Plan::Finish(_) => false,
    }
}

fn removes_old(planned: &Next) -> bool {
    matches!(
        planned,
        Plan::Do(SelfUpdateStep::Container {
            container_step: ContainerStep::RemoveOld { .. },
        })
    )
}

fn by_helper(view: View<'_, SelfUpdatePolicy>, seen: &ObservedSelfUpdate, now: Timestamp) -> Next {
    let runs = |state: ContainerState| matches!(state, ContainerState::Running | ContainerState::Restarting);
    if seen.helper.as_ref().is_some_and(|helper| runs(helper.state)) {
        hand_over(view, StateOwner::Helper, now)
    } else {
        Plan::Do(SelfUpdateStep::StartHelper)
    }
}

fn hand_over(view: View<'_, SelfUpdatePolicy>, to: StateOwner, now: Timestamp) -> Next {
    let deadline = now + view.target.ready.timeout;
    Plan::Do(SelfUpdateStep::HandOver { to, deadline })
}
