//! What follows a step that failed, and how a rollout that cannot arrive ends.

use super::{Next, RolloutState, view};
use crate::kinds::kind::{Kind, KindState, KindStep, Role, View};
use crate::kinds::track::{Progress, Track};
use jiff::{SignedDuration, Timestamp};
use lowtide_model::failure::{Failure, FailureKind, Fault, WaitReason};
use lowtide_model::rollout::{Goal, RolloutConclusion};

/// Anything but a bake that is dated further ahead than this comes from a clock that ran fast: everyday clock
/// corrections are smaller.
pub(super) const SLACK: SignedDuration = SignedDuration::from_hours(1);

/// The rollback is complete: the old containers run. A release with nothing against it counts as refused, so it is
/// tried again. It counts as reverted if someone else interfered after the new container ran, since they may have had
/// reasons.
/// `ran`: a process of the release may have run.
pub(super) fn returned<S>(ran: bool, failure: Failure) -> Next<S> {
    let stays_out = matches!(failure.kind, FailureKind::Withdrawn | FailureKind::WindowClosed)
        || failure.kind == FailureKind::Diverged && ran
        || failure.kind.condemns();
    Next::Finish(if stays_out {
        RolloutConclusion::Reverted { failure }
    } else {
        RolloutConclusion::Refused { failure }
    })
}

/// Retries a failed step while the fault is in the infrastructure. After that the rollout turns back, or a person is
/// called.
pub(super) fn after_failure<K: Kind>(
    state: &RolloutState,
    track: &Track<K>,
    now: Timestamp,
) -> Result<u32, Box<Next<K::Step>>> {
    match &track.progress {
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
            if let Some(delay) = step_retry(state.goal, K::TRIES_BACK, *attempt, failure) {
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
            if K::goes_on(state.goal, step, failure) {
                return Ok(attempt + 1);
            }
            Err(Box::new(give_up(view(state, track), step, failure)))
        }
    }
}

/// Steps of a rollback are retried more often and sooner than steps forward, because a service may be down.
fn step_retry(goal: Goal, tries_back: u32, attempt: u32, failure: &Failure) -> Option<SignedDuration> {
    // Local trouble says nothing about the release, and a rollback would need the same files and descriptors: retry
    // until the step works, up to four minutes apart.
    if failure.kind == FailureKind::LocalTrouble {
        return Some(SignedDuration::from_secs(1 << attempt.min(8)));
    }
    match (goal, failure.fault()) {
        (Goal::Forward, Fault::Infra) if attempt < 5 => Some(SignedDuration::from_secs(1 << attempt.min(6))),
        (Goal::Back, _) if attempt < tries_back => Some(SignedDuration::from_secs(1 << attempt.min(5))),
        (Goal::Forward | Goal::Back, Fault::Repo | Fault::Infra | Fault::Operator | Fault::Bug) => None,
    }
}

fn give_up<K: Kind>(view: View<'_, K>, step: &K::Step, failure: &Failure) -> Next<K::Step> {
    match view.goal {
        Goal::Back => {
            let detail = format!("{step}: {}", failure.detail);
            let failure = Failure {
                kind: FailureKind::RevertFailed,
                detail,
                excerpt: failure.excerpt.clone(),
                findings: Vec::new(),
                not_before: failure.not_before,
            };
            Next::Finish(RolloutConclusion::Stuck { failure })
        }
        Goal::Forward if K::left_untouched(view, step) => Next::Finish(RolloutConclusion::Refused {
            failure: failure.clone(),
        }),
        // The container was stopped from outside while the rollout waited for its readiness.
        Goal::Forward if failure.kind == FailureKind::Diverged && matches!(step.about().role, Role::Readiness(_)) => {
            Next::Finish(RolloutConclusion::Stuck {
                failure: failure.clone(),
            })
        }
        Goal::Forward => revert_or_stop(view, failure.clone()),
    }
}

/// Once a candidate of an irreversible target has run, its data may have been migrated: a person decides instead of a
/// rollback.
pub(super) fn revert_or_stop<K: Kind>(view: View<'_, K>, failure: Failure) -> Next<K::Step> {
    if view.target.irreversible && view.state.ran() {
        return Next::Finish(RolloutConclusion::Stuck { failure });
    }
    roll_back(view, failure)
}

pub(super) fn roll_back<K: Kind>(view: View<'_, K>, failure: Failure) -> Next<K::Step> {
    match K::way_back(view, failure) {
        Ok(failure) => Next::DecideRevert(failure),
        Err(failure) => Next::Finish(RolloutConclusion::Stuck { failure }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::command::policy::CommandPolicy;
    use crate::kinds::containers::policy::ContainersPolicy;

    fn pauses(goal: Goal, tries_back: u32, kind: FailureKind) -> Vec<i64> {
        let failure = Failure::new(kind, "x");
        let pause = |attempt| step_retry(goal, tries_back, attempt, &failure);
        (1..=12).map_while(pause).map(|pause| pause.as_secs()).collect()
    }

    #[test]
    fn how_often_and_how_soon_a_step_is_tried_again() {
        let (pull, probe) = (ContainersPolicy::TRIES_BACK, CommandPolicy::TRIES_BACK);
        let away = FailureKind::RegistryUnreachable;
        assert_eq!(pauses(Goal::Forward, pull, away), [2, 4, 8, 16]);
        assert_eq!(pauses(Goal::Forward, probe, away), [2, 4, 8, 16]);
        let never = Vec::<i64>::new();
        assert_eq!(pauses(Goal::Forward, pull, FailureKind::UnhealthyAfterRoll), never);
        // A service is down, whatever the cause.
        let back = [2, 4, 8, 16, 32, 32, 32, 32, 32];
        assert_eq!(pauses(Goal::Back, pull, away), back);
        assert_eq!(pauses(Goal::Back, pull, FailureKind::UnhealthyAfterRoll), back);
        assert_eq!(pauses(Goal::Back, probe, away), [2, 4]);
        // Trouble of our own ends by itself, or not at all.
        let own = [2, 4, 8, 16, 32, 64, 128, 256, 256, 256, 256, 256];
        assert_eq!(pauses(Goal::Forward, pull, FailureKind::LocalTrouble), own);
        assert_eq!(pauses(Goal::Back, pull, FailureKind::LocalTrouble), own);
    }
}
