//! The next step of a rollout: a reconciler. It looks at what is there, plans exactly one step, and looks again, so
//! recovery after a kill is the ordinary path.
//!
//! The order of steps makes sure that at every instant the old or the new container can serve, and that at most one of
//! them ever starts by itself.

use super::window;
use crate::model::failure::{Failure, FailureKind, Fault, WaitReason};
use crate::model::fleet::TargetPolicy;
use crate::model::image::ImageId;
use crate::model::journal::{IllegalEvent, Recorded};
use crate::model::name::{AppName, RolloutId, RunId};
use crate::model::rollout::{
    ContainerState, Goal, Health, HookPhase, ObservedContainer, ObservedUnit, Purpose, RestartPolicy,
    RolloutConclusion, RolloutEvent, Step, StepOutcome, Unit, Which,
};
use crate::model::standing::Release;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

mod back;
mod forward;
pub mod services;

/// How often the containers are looked at while they bake.
const BAKE_POLL: SignedDuration = SignedDuration::from_secs(2);

/// What the driver does next.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub enum Next {
    Do {
        attempt: u32,
        step: Step,
    },
    Wait {
        until: Option<Timestamp>,
        reason: WaitReason,
    },
    StartBake {
        until: Timestamp,
    },
    DecideRevert(Failure),
    Finish(RolloutConclusion),
    Over,
}

/// What holds rollouts back from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    Open,
    Paused,
    Halted,
    /// A newer release of the app is there.
    Superseded(RunId),
}

/// A rollout as its events tell it.
#[derive(Debug, Clone, PartialEq)]
pub struct RolloutState {
    pub id: RolloutId,
    pub app: AppName,
    pub target: TargetPolicy,
    pub timezone: String,
    pub release: Release,
    pub window_ignored: bool,
    pub purpose: Purpose,
    pub opened: Timestamp,
    pub goal: Goal,
    pub units: Option<Vec<Unit>>,
    pub image: Option<ImageId>,
    /// A step that changes containers was begun.
    pub touched: bool,
    hooks: BTreeSet<(HookPhase, usize, usize)>,
    /// Units whose candidate is complete: a create that was cut off may have left one without all its networks.
    made: BTreeSet<usize>,
    /// Containers that proved ready.
    ready: BTreeSet<String>,
    /// How often each container was started by us.
    starts: BTreeMap<String, u32>,
    kept: BTreeMap<usize, (Vec<String>, i64)>,
    pub bake: Option<Timestamp>,
    pub progress: Progress,
    pub reverting: Option<Failure>,
    pub conclusion: Option<RolloutConclusion>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    Idle,
    Started {
        attempt: u32,
        step: Step,
    },
    Busy {
        retry: Timestamp,
        hook: String,
    },
    Failed {
        attempt: u32,
        step: Step,
        failure: Failure,
        at: Timestamp,
    },
}

/// Folds a whole stream.
///
/// # Errors
/// The first event that cannot follow the ones before it.
pub fn fold(id: RolloutId, events: &[Recorded<RolloutEvent>]) -> Result<RolloutState, IllegalEvent> {
    let begins = IllegalEvent {
        event: "first",
        why: "a rollout's stream begins with opened",
    };
    let (first, rest) = events.split_first().ok_or(begins.clone())?;
    let RolloutEvent::Opened {
        app,
        target,
        timezone,
        release,
        window_ignored,
        purpose,
    } = &first.event
    else {
        return Err(begins);
    };
    let mut state = RolloutState {
        id,
        app: app.clone(),
        target: (**target).clone(),
        timezone: timezone.clone(),
        release: (**release).clone(),
        window_ignored: *window_ignored,
        purpose: *purpose,
        opened: first.at,
        goal: Goal::Forward,
        units: None,
        image: None,
        touched: false,
        hooks: BTreeSet::new(),
        made: BTreeSet::new(),
        ready: BTreeSet::new(),
        starts: BTreeMap::new(),
        kept: BTreeMap::new(),
        bake: None,
        progress: Progress::Idle,
        reverting: None,
        conclusion: None,
    };
    for recorded in rest {
        state.apply(recorded)?;
    }
    Ok(state)
}

impl RolloutState {
    /// The same transition for replay and for the living rollout.
    ///
    /// # Errors
    /// An event that cannot follow.
    pub fn apply(&mut self, recorded: &Recorded<RolloutEvent>) -> Result<(), IllegalEvent> {
        if self.conclusion.is_some() {
            return Err(IllegalEvent {
                event: "any",
                why: "the rollout is concluded",
            });
        }
        match &recorded.event {
            RolloutEvent::Opened { .. } => {
                return Err(IllegalEvent {
                    event: "opened",
                    why: "it is open already",
                });
            }
            RolloutEvent::StepStarted { attempt, step } => {
                if matches!(self.progress, Progress::Started { .. }) {
                    return Err(IllegalEvent {
                        event: "step_started",
                        why: "another step is under way",
                    });
                }
                self.touched |= touches(step);
                if let Step::Start { container, .. } = step {
                    *self.starts.entry(container.clone()).or_default() += 1;
                }
                self.progress = Progress::Started {
                    attempt: *attempt,
                    step: step.clone(),
                };
            }
            RolloutEvent::StepEnded { outcome } => self.end(outcome, recorded.at)?,
            RolloutEvent::StepAbandoned => {
                if !matches!(self.progress, Progress::Started { .. }) {
                    return Err(IllegalEvent {
                        event: "step_abandoned",
                        why: "no step is under way",
                    });
                }
                self.progress = Progress::Idle;
            }
            RolloutEvent::Expedited { .. } => self.window_ignored = true,
            RolloutEvent::BakeStarted { until } => self.bake = Some(*until),
            RolloutEvent::RevertDecided { failure } => {
                self.goal = Goal::Back;
                self.reverting.get_or_insert_with(|| failure.clone());
                self.progress = Progress::Idle;
            }
            RolloutEvent::Concluded { conclusion } => self.conclusion = Some(conclusion.clone()),
        }
        Ok(())
    }

    fn end(&mut self, outcome: &StepOutcome, at: Timestamp) -> Result<(), IllegalEvent> {
        let Progress::Started { attempt, step } = std::mem::replace(&mut self.progress, Progress::Idle) else {
            return Err(IllegalEvent {
                event: "step_ended",
                why: "no step is under way",
            });
        };
        match (outcome, &step) {
            (StepOutcome::Failed { failure }, _) => {
                self.progress = Progress::Failed {
                    attempt,
                    step,
                    failure: failure.clone(),
                    at,
                };
            }
            (StepOutcome::Busy { retry }, _) => {
                self.progress = Progress::Busy {
                    retry: *retry,
                    hook: step.to_string(),
                };
            }
            (StepOutcome::Preflighted { units }, _) => self.units = Some(units.clone()),
            (StepOutcome::Pulled { image }, _) => self.image = Some(image.clone()),
            (StepOutcome::Kept { log, exit_code }, Step::KeepLog { unit, .. }) => {
                self.kept.insert(*unit, (log.clone(), *exit_code));
            }
            (StepOutcome::Kept { .. }, _) => {
                return Err(IllegalEvent {
                    event: "step_ended",
                    why: "only keep_log keeps a log",
                });
            }
            (StepOutcome::Done, Step::RunHook { phase, unit, hook }) => {
                self.hooks.insert((*phase, *unit, *hook));
            }
            (StepOutcome::Done, Step::CreateCandidate { unit }) => {
                self.made.insert(*unit);
            }
            (StepOutcome::Done, Step::RemoveCandidate { unit, .. }) => {
                self.made.remove(unit);
            }
            (StepOutcome::Done, Step::AwaitReady { container, .. }) => {
                self.ready.insert(container.clone());
            }
            (StepOutcome::Done | StepOutcome::ServicesPreflighted { .. } | StepOutcome::Prepulled { .. }, _) => {}
        }
        Ok(())
    }

    /// Logs and exit codes of the candidates that were taken back, per unit.
    #[must_use]
    pub fn kept_logs(&self) -> Vec<String> {
        self.kept.values().flat_map(|(log, _)| log.iter().cloned()).collect()
    }

    /// Is anything to be looked at before the next decision?
    #[must_use]
    pub fn needs_observation(&self) -> bool {
        self.units.is_some() && self.conclusion.is_none()
    }
}

/// The decision. `observed` is parallel to the units; empty before preflight.
pub fn next(state: &RolloutState, observed: &[ObservedUnit], gate: Gate, now: Timestamp) -> Next {
    if state.conclusion.is_some() {
        return Next::Over;
    }
    let attempt = match after_failure(state, now) {
        Ok(attempt) => attempt,
        Err(next) => return *next,
    };
    let planned = match state.goal {
        Goal::Forward => forward::next(state, observed, gate, now),
        Goal::Back => back::next(state, observed, now),
    };
    match planned {
        // The attempt counts for the very step that failed; a different step begins at 1.
        Next::Do { step, .. } => {
            let same = matches!(&state.progress, Progress::Failed { step: failed, .. } if kind(failed) == kind(&step));
            Next::Do {
                attempt: if same { attempt } else { 1 },
                step,
            }
        }
        Next::Wait { .. } | Next::StartBake { .. } | Next::DecideRevert(_) | Next::Finish(_) | Next::Over => planned,
    }
}

/// Steps are tried again while the fault is the infrastructure's; then the goal changes or a person is called.
fn after_failure(state: &RolloutState, now: Timestamp) -> Result<u32, Box<Next>> {
    match &state.progress {
        Progress::Idle => Ok(1),
        Progress::Started { .. } => {
            let failure = Failure::new(
                FailureKind::Invariant,
                "the next step was asked for while one was under way",
            );
            Err(Box::new(Next::Finish(RolloutConclusion::Stuck { failure })))
        }
        Progress::Busy { retry, hook } if *retry > now => Err(Box::new(Next::Wait {
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
            if let Some(delay) = step_retry(state.goal, *attempt, failure.fault()) {
                let at = *at + delay;
                return if at > now {
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
            Err(Box::new(give_up(state, step, failure)))
        }
    }
}

/// A revert is tried harder and faster than a step forward: somebody's service is down.
fn step_retry(goal: Goal, attempt: u32, fault: Fault) -> Option<SignedDuration> {
    match (goal, fault) {
        (Goal::Forward, Fault::Infra) if attempt < 5 => Some(SignedDuration::from_secs(1 << attempt.min(6))),
        (Goal::Back, _) if attempt < 10 => Some(SignedDuration::from_secs(1 << attempt.min(5))),
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
        Goal::Forward if !state.touched => Next::Finish(RolloutConclusion::Refused {
            failure: failure.clone(),
        }),
        Goal::Forward => revert_or_stop(state, failure.clone()),
    }
}

/// Data may have migrated once a candidate of an irreversible app ran: then a person decides.
fn revert_or_stop(state: &RolloutState, failure: Failure) -> Next {
    let ran = !state.starts.is_empty();
    if state.target.irreversible && ran {
        Next::Finish(RolloutConclusion::Stuck { failure })
    } else {
        Next::DecideRevert(failure)
    }
}

fn touches(step: &Step) -> bool {
    match step {
        // A hook is the owner's own act: when one fails before anything of ours, nothing is there to take back.
        Step::Preflight | Step::Pull | Step::RunHook { .. } | Step::AwaitReady { .. } | Step::KeepLog { .. } => false,
        Step::CreateCandidate { .. }
        | Step::RemoveCandidate { .. }
        | Step::StopOld { .. }
        | Step::SetRestart { .. }
        | Step::Start { .. }
        | Step::Rename { .. }
        | Step::StopCandidate { .. }
        | Step::RemoveOld { .. } => true,
        Step::Service(_) => false,
    }
}

fn kind(step: &Step) -> std::mem::Discriminant<Step> {
    std::mem::discriminant(step)
}

fn wait_for_window(state: &RolloutState, now: Timestamp) -> Option<Next> {
    if state.window_ignored || state.purpose == Purpose::Revert || state.touched {
        return None;
    }
    match window::state(state.target.window.as_ref(), &state.timezone, now) {
        window::WindowState::Open { .. } => None,
        window::WindowState::Closed { opens } => Some(Next::Wait {
            until: Some(opens),
            reason: WaitReason::Window { opens },
        }),
        window::WindowState::Never => Some(Next::Wait {
            until: None,
            reason: WaitReason::NoWindow,
        }),
    }
}

fn alive(container: &ObservedContainer) -> bool {
    match container.state {
        ContainerState::Running | ContainerState::Paused | ContainerState::Restarting => true,
        ContainerState::Created
        | ContainerState::Removing
        | ContainerState::Exited
        | ContainerState::Dead
        | ContainerState::Unknown => false,
    }
}

/// Names during and after the switch; the id part keeps two rollouts apart.
#[must_use]
pub fn next_name(unit: &Unit, id: RolloutId) -> String {
    format!("{}.next.{}", unit.name, id.short())
}
fn prev_name(unit: &Unit, id: RolloutId) -> String {
    format!("{}.prev.{}", unit.name, id.short())
}
fn failed_name(unit: &Unit, id: RolloutId) -> String {
    format!("{}.failed.{}", unit.name, id.short())
}

fn diverged(detail: String) -> Next {
    Next::Finish(RolloutConclusion::Stuck {
        failure: Failure::new(FailureKind::Diverged, detail),
    })
}

fn policy_is(container: &ObservedContainer, policy: &RestartPolicy) -> bool {
    // The engine writes "no policy" as an empty name or as "no" (moby, RestartPolicy.IsNone).
    let none = |name: &str| name.is_empty() || name == "no";
    (none(&container.restart.name) && none(&policy.name)) || container.restart == *policy
}

#[cfg(test)]
mod tests;
