//! What follows a failed step or a completed rollback: that depends on whose fault the failure is.

use super::{KindState, Next, Progress, RolloutState, command, containers, self_update, services};
use crate::model::failure::{Failure, FailureKind, Fault, WaitReason};
use crate::model::rollout::{Goal, RolloutConclusion, Step};
use jiff::{SignedDuration, Timestamp};

/// Anything but a bake that is dated further ahead than this comes from a clock that ran fast: everyday clock
/// corrections are smaller.
pub(super) const SLACK: SignedDuration = SignedDuration::from_hours(1);

/// The target was changed from outside: lowtide stops and changes nothing more until an operator acts.
pub(super) fn diverged(detail: String) -> Next {
    Next::Finish(RolloutConclusion::Stuck {
        failure: Failure::new(FailureKind::Diverged, detail),
    })
}

/// The rollback is complete: the old containers run. A release with nothing against it counts as refused, so it is
/// tried again. It counts as reverted if someone else interfered after the new container ran, since they may have had
/// reasons.
pub(super) fn returned(state: &RolloutState, reason: Failure) -> Next {
    let failure = reason;
    let stays_out = matches!(failure.kind, FailureKind::Withdrawn | FailureKind::WindowClosed)
        || failure.kind == FailureKind::Diverged && ran(state)
        || failure.kind.condemns();
    Next::Finish(if stays_out {
        RolloutConclusion::Reverted { failure }
    } else {
        RolloutConclusion::Refused { failure }
    })
}

fn ran(state: &RolloutState) -> bool {
    match &state.kind_state {
        KindState::Containers(containers) => containers.ran(),
        KindState::Services(services) => services.ran(),
        KindState::Command(command) => command.ran(),
    }
}

pub(super) fn mistaken() -> Next {
    let failure = Failure::new(
        FailureKind::Invariant,
        "something else was looked at than what is moved",
    );
    Next::Finish(RolloutConclusion::Stuck { failure })
}

/// Retries a failed step while the fault is in the infrastructure. After that the rollout turns back, or a person is
/// called.
pub(super) fn after_failure(state: &RolloutState, now: Timestamp) -> Result<u32, Box<Next>> {
    match &state.progress {
        Progress::Idle => Ok(1),
        Progress::Started { .. } => {
            let failure = Failure::new(
                FailureKind::Invariant,
                "the next step was asked for while one was under way",
            );
            Err(Box::new(Next::Finish(RolloutConclusion::Stuck { failure })))
        }
        Progress::Busy { retry, hook } if *retry > now && *retry <= now + SLACK => Err(Box::new(Next::Wait {
            until: Some(*retry),
            reason: WaitReason::HookBusy {
                hook: hook.clone(),
                retry: *retry,
            },
        })),
        Progress::Busy { .. } => Ok(1),
        Progress::Failed {
            attempt,
            step,
            failure,
            at,
        } => {
            if let Some(delay) = step_retry(state.goal, step, *attempt, failure) {
                let due = *at + delay;
                // A failure dated in the future was written by a clock that ran fast: retry now.
                return if due > now && *at <= now + SLACK {
                    let at = due;
                    let reason = WaitReason::Retry {
                        at,
                        failure: failure.clone(),
                    };
                    Err(Box::new(Next::Wait {
                        until: Some(at),
                        reason,
                    }))
                } else {
                    Ok(attempt + 1)
                };
            }
            let dispensable = if let Step::Service(step) = step {
                services::is_dispensable(step)
            } else {
                containers::is_dispensable(state.goal, step)
            };
            if dispensable || containers::forward::is_judged_by_look(state.goal, step, failure) {
                return Ok(attempt + 1);
            }
            Err(Box::new(give_up(state, step, failure)))
        }
    }
}

/// Steps of a rollback are retried more often and sooner than steps forward, because a service may be down.
fn step_retry(goal: Goal, step: &Step, attempt: u32, failure: &Failure) -> Option<SignedDuration> {
    // Local trouble says nothing about the release, and a rollback would need the same files and descriptors: retry
    // until the step works, up to four minutes apart.
    if failure.kind == FailureKind::LocalTrouble {
        return Some(SignedDuration::from_secs(1 << attempt.min(8)));
    }
    // A command may take minutes each time: a person must be notified before ten of them have failed.
    let most = if matches!(step, Step::Command(_)) { 3 } else { 10 };
    match (goal, failure.fault()) {
        (Goal::Forward, Fault::Infra) if attempt < 5 => Some(SignedDuration::from_secs(1 << attempt.min(6))),
        (Goal::Back, _) if attempt < most => Some(SignedDuration::from_secs(1 << attempt.min(5))),
        (Goal::Forward | Goal::Back, Fault::Repo | Fault::Infra | Fault::Operator | Fault::Bug) => None,
    }
}

fn give_up(state: &RolloutState, step: &Step, failure: &Failure) -> Next {
    match state.goal {
        Goal::Back => {
            let detail = format!("{step}: {}", failure.detail);
            let failure = Failure {
                kind: FailureKind::RevertFailed,
                detail,
                excerpt: failure.excerpt.clone(),
            };
            Next::Finish(RolloutConclusion::Stuck { failure })
        }
        Goal::Forward if !state.touched || self_update::has_only_kept(state, step) => {
            Next::Finish(RolloutConclusion::Refused {
                failure: failure.clone(),
            })
        }
        // The container was stopped from outside while the rollout waited for its readiness.
        Goal::Forward if failure.kind == FailureKind::Diverged && matches!(step, Step::AwaitReady { .. }) => {
            Next::Finish(RolloutConclusion::Stuck {
                failure: failure.clone(),
            })
        }
        Goal::Forward => revert_or_stop(state, failure.clone()),
    }
}

/// Once a candidate of an irreversible target has run, its data may have been migrated: a person decides instead of a
/// rollback.
pub(super) fn revert_or_stop(state: &RolloutState, failure: Failure) -> Next {
    if state.target.irreversible && ran(state) {
        return Next::Finish(RolloutConclusion::Stuck { failure });
    }
    roll_back(state, failure)
}

pub(super) fn roll_back(state: &RolloutState, failure: Failure) -> Next {
    match &state.kind_state {
        KindState::Command(command) if command.ran() && command::cannot_go_back(command) => {
            Next::Finish(command::nothing_before(failure))
        }
        KindState::Containers(_) | KindState::Services(_) | KindState::Command(_) => Next::DecideRevert(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::command::CommandStep;
    use crate::model::rollout::Which;

    fn pauses(goal: Goal, step: &Step, kind: FailureKind) -> Vec<i64> {
        let failure = Failure::new(kind, "x");
        let pause = |attempt| step_retry(goal, step, attempt, &failure);
        (1..=12).map_while(pause).map(|pause| pause.as_secs()).collect()
    }

    #[test]
    fn how_often_and_how_soon_a_step_is_tried_again() {
        let (pull, away) = (Step::Pull, FailureKind::RegistryUnreachable);
        let answer = Step::Command(CommandStep::AwaitAnswer {
            which: Which::Old,
            deadline: Timestamp::UNIX_EPOCH,
        });
        assert_eq!(pauses(Goal::Forward, &pull, away), [2, 4, 8, 16]);
        assert_eq!(pauses(Goal::Forward, &answer, away), [2, 4, 8, 16]);
        let never = Vec::<i64>::new();
        assert_eq!(pauses(Goal::Forward, &pull, FailureKind::UnhealthyAfterRoll), never);
        // A service is down, whatever the cause.
        let back = [2, 4, 8, 16, 32, 32, 32, 32, 32];
        assert_eq!(pauses(Goal::Back, &pull, away), back);
        assert_eq!(pauses(Goal::Back, &pull, FailureKind::UnhealthyAfterRoll), back);
        assert_eq!(pauses(Goal::Back, &answer, away), [2, 4]);
        // Trouble of our own ends by itself, or not at all.
        let own = [2, 4, 8, 16, 32, 64, 128, 256, 256, 256, 256, 256];
        assert_eq!(pauses(Goal::Forward, &pull, FailureKind::LocalTrouble), own);
        assert_eq!(pauses(Goal::Back, &pull, FailureKind::LocalTrouble), own);
    }
}
