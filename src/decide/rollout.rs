//! The next step of a rollout: a reconciler. It looks at what is there, plans exactly one step, and looks again, so
//! recovery after a kill is the ordinary path.
//!
//! This file has what all kinds of target share: what blocks a rollout, failed steps, the goal. [`containers`] replaces
//! containers of a plain engine, [`services`] updates services of a swarm, [`command`] runs a configured command;
//! [`itself`] decides which process moves lowtide's own container.

use crate::model::app_state::{Release, Worked};
use crate::model::command::ObservedAnswer;
use crate::model::drift::Placed;
use crate::model::failure::{Failure, FailureKind, WaitReason};
use crate::model::fleet::{Select, TargetPolicy, Unhealthy};
use crate::model::halt::Incident;
use crate::model::journal::{IllegalEvent, Recorded};
use crate::model::name::{AppName, RolloutId};
use crate::model::rollout::{Goal, Observed, Part, Purpose, RolloutConclusion, RolloutEvent, Step, StepOutcome};
use crate::model::window::{Closing, Occurrence};
use command::Command;
use containers::Containers;
use jiff::{SignedDuration, Timestamp};
use record::Record;
use services::Services;

pub mod command;
pub mod containers;
mod failed;
mod preview;
mod record;
pub mod self_update;
pub mod services;
mod timing;

use failed::{SLACK, after_failure, diverged, mistaken, returned, revert_or_stop, roll_back};
pub use preview::preview;
pub use timing::{Gate, Outside, WindowProgress, suspended_until};

/// How often the target is observed while it bakes.
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
    /// Journal that the rollout is in progress in this opening, then decide again.
    Enter {
        occurrence: Occurrence,
    },
    /// Journal that the rollout is suspended between two units, then decide again.
    Suspend {
        closing: Closing,
    },
    /// Notify people that the release has waited too long, then decide again.
    Escalate {
        since: Timestamp,
        reason: WaitReason,
    },
    DecideRevert(Failure),
    Finish(RolloutConclusion),
    Over,
}

/// State of a rollout, folded from its events.
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
    pub kind_state: KindState,
    /// A step that changes the target was begun.
    pub touched: bool,
    pub window_progress: WindowProgress,
    pub bake: Option<Timestamp>,
    pub progress: Progress,
    pub reverting: Option<Failure>,
    pub conclusion: Option<RolloutConclusion>,
    /// What is reported if the rollout does not arrive.
    record: Record,
}

/// The part of the state that depends on the kind of target: what is moved, and how far it is.
#[derive(Debug, Clone, PartialEq)]
pub enum KindState {
    Containers(Box<Containers>),
    Services(Box<Services>),
    Command(Box<Command>),
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
        kind_state: match target.select {
            Select::Container { .. } | Select::Label { .. } | Select::Compose { .. } | Select::OwnContainer => {
                KindState::Containers(Box::default())
            }
            Select::Service { .. } | Select::Stack { .. } => KindState::Services(Box::default()),
            Select::Command(_) => KindState::Command(Box::default()),
        },
        touched: false,
        window_progress: WindowProgress::default(),
        bake: None,
        progress: Progress::Idle,
        reverting: None,
        conclusion: None,
        record: Record::opened(first.at),
    };
    for recorded in rest {
        state.apply(recorded)?;
    }
    Ok(state)
}

impl RolloutState {
    /// One transition function for replay and for the running rollout.
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
        self.record.note(&recorded.event, recorded.at);
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
                self.record.begin(recorded.at);
                self.window_progress.begin(step, recorded.at);
                match &mut self.kind_state {
                    KindState::Containers(containers) => containers.begin(step),
                    KindState::Services(services) => services.begin(step),
                    KindState::Command(command) => command.begin(self.goal, step),
                }
                self.progress = Progress::Started {
                    attempt: *attempt,
                    step: step.clone(),
                };
            }
            RolloutEvent::StepEnded { outcome } => self.end(outcome, recorded.at)?,
            RolloutEvent::StepAbandoned => {
                let Progress::Started { step, .. } = &self.progress else {
                    return Err(IllegalEvent {
                        event: "step_abandoned",
                        why: "no step is under way",
                    });
                };
                self.record.abandon(step, recorded.at);
                self.progress = Progress::Idle;
            }
            RolloutEvent::Expedited { unhealthy, .. } => {
                self.window_ignored = true;
                match unhealthy {
                    Unhealthy::Replace => self.target.unhealthy = Unhealthy::Replace,
                    Unhealthy::Refuse => {}
                }
            }
            RolloutEvent::Entered { occurrence } => self.window_progress.enter(occurrence),
            RolloutEvent::Suspended { closing } => self.window_progress.suspend(closing, recorded.at),
            RolloutEvent::LateNoticeSent { .. } => self.window_progress.late_notice_sent = true,
            RolloutEvent::BakeStarted { until } => {
                // The end of a bake is capped at the longest that can have been planned: a later one was written by a
                // clock that ran fast.
                let most = (self.target.bake * 2).max(SLACK);
                self.bake = Some((*until).min(recorded.at + most));
                self.window_progress.baking.get_or_insert(recorded.at);
            }
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
        self.record.end(&self.target, &step, outcome, at);
        match outcome {
            StepOutcome::Failed { failure } => {
                if let KindState::Containers(containers) = &mut self.kind_state {
                    containers.fail(&step, failure);
                }
                self.progress = Progress::Failed {
                    attempt,
                    step,
                    failure: failure.clone(),
                    at,
                };
            }
            StepOutcome::Busy { retry } => {
                // A command that asks to be tried later has changed nothing. Unless an earlier run of it may have,
                // windows, halts and newer releases apply again.
                if let KindState::Command(command) = &mut self.kind_state
                    && command.busy(self.goal)
                {
                    self.touched = false;
                }
                self.progress = Progress::Busy {
                    retry: *retry,
                    hook: step.to_string(),
                };
            }
            StepOutcome::Done
            | StepOutcome::Unchanged
            | StepOutcome::Preflighted { .. }
            | StepOutcome::ServicesPreflighted { .. }
            | StepOutcome::CommandPreflighted { .. }
            | StepOutcome::Ran { .. }
            | StepOutcome::Pulled { .. }
            | StepOutcome::Prepulled { .. }
            | StepOutcome::Kept { .. } => match &mut self.kind_state {
                KindState::Containers(containers) => containers.end(&step, outcome)?,
                KindState::Services(services) => services.end(&step, outcome)?,
                KindState::Command(command) => command.end(self.goal, &step, outcome)?,
            },
        }
        Ok(())
    }

    /// Log tails of the containers that were rolled back.
    #[must_use]
    pub fn kept_logs(&self) -> Vec<String> {
        match &self.kind_state {
            KindState::Containers(containers) => containers.kept_logs(),
            // The failure has the task's own error; Swarm retains its log.
            KindState::Services(_) => Vec::new(),
            // What a command wrote is in the failure.
            KindState::Command(_) => Vec::new(),
        }
    }

    /// The report of the rollout for people. `ended`: its conclusion and time, while they are not journalled yet.
    #[must_use]
    pub fn incident(&self, ended: Option<(&RolloutConclusion, Timestamp)>) -> Incident {
        self.record.incident(self, ended)
    }

    /// Is this conclusion evidence against the release, so that its content must not be tried again? Only if the
    /// release's own process ran and misbehaved. If a rollback got stuck, the failure that started the rollback
    /// decides.
    #[must_use]
    pub fn condemns(&self, conclusion: &RolloutConclusion) -> bool {
        match conclusion {
            RolloutConclusion::Reverted { failure } => failure.kind.condemns(),
            RolloutConclusion::Stuck { failure } => self.reverting.as_ref().unwrap_or(failure).kind.condemns(),
            RolloutConclusion::Done
            | RolloutConclusion::AlreadyThere
            | RolloutConclusion::Refused { .. }
            | RolloutConclusion::Superseded { .. } => false,
        }
    }

    /// Number of units, which move one after the other; 0 before preflight has chosen them.
    #[must_use]
    pub fn unit_count(&self) -> usize {
        match &self.kind_state {
            KindState::Containers(containers) => containers.units.as_ref().map_or(0, Vec::len),
            KindState::Services(services) => services.units.as_ref().map_or(0, Vec::len),
            KindState::Command(command) => command.unit.iter().len(),
        }
    }

    /// Name of the container or service at this position; `None`: it is not known, or there is none.
    #[must_use]
    pub fn unit_name(&self, unit: usize) -> Option<&str> {
        match &self.kind_state {
            KindState::Containers(containers) => Some(&containers.units.as_ref()?.get(unit)?.name),
            KindState::Services(services) => Some(&services.units.as_ref()?.get(unit)?.name),
            KindState::Command(_) => Some(self.target.name.as_str()),
        }
    }

    /// What later rollouts of the target learn from this one, which ends at `now` with `conclusion`; `None`: it changed
    /// nothing.
    #[must_use]
    pub fn worked(&self, conclusion: &RolloutConclusion, now: Timestamp) -> Option<Worked> {
        let begun = self.window_progress.begun?;
        let baked = match (self.window_progress.baking, self.bake) {
            (Some(from), Some(until)) => until.duration_since(from),
            (None, _) | (_, None) => SignedDuration::ZERO,
        };
        let took = now.duration_since(begun) - baked;
        let told =
            *conclusion == RolloutConclusion::Done && self.window_progress.suspensions == 0 && took.is_positive();
        Some(Worked {
            units: self.unit_count(),
            took: told.then_some(took),
            opening: self.window_progress.entered.clone(),
        })
    }

    /// How to recognise the release on its target. `None`: it did not arrive, or the target is a command.
    #[must_use]
    pub fn placed(&self, conclusion: &RolloutConclusion) -> Option<Placed> {
        match conclusion {
            RolloutConclusion::Done | RolloutConclusion::AlreadyThere => {}
            RolloutConclusion::Refused { .. }
            | RolloutConclusion::Superseded { .. }
            | RolloutConclusion::Reverted { .. }
            | RolloutConclusion::Stuck { .. } => return None,
        }
        match &self.kind_state {
            KindState::Containers(containers) => {
                // If the release was there already, nothing was pulled: the unit's own image counts.
                let units = containers.units.iter().flatten();
                let there = || units.clone().find(|unit| unit.part == Part::Release);
                let image = containers.image.clone().or_else(|| Some(there()?.old_image.clone()))?;
                Some(Placed::Containers { image })
            }
            KindState::Services(_) => Some(Placed::Services {
                image: self.release.service_image(),
            }),
            KindState::Command(_) => None,
        }
    }
}

/// The decision.
pub fn next(state: &RolloutState, observed: &Observed, outside: &Outside, now: Timestamp) -> Next {
    if state.conclusion.is_some() {
        return Next::Over;
    }
    let attempt = match after_failure(state, now) {
        Ok(attempt) => attempt,
        Err(next) => return timing::heard(state, outside, *next, now),
    };
    let planned = match state.goal {
        Goal::Forward => timing::held_back(state, outside, now)
            .or_else(|| timing::rolled_back_by_operator(state, outside))
            .unwrap_or_else(|| timing::within(state, outside, forward(state, observed, now), now)),
        // Going back is never gated.
        Goal::Back => back(state, observed, now),
    };
    let planned = match observed {
        Observed::SelfUpdate(seen) => self_update::through(state, seen, planned, now),
        Observed::Nothing | Observed::Containers(_) | Observed::Services(_) | Observed::Command(_) => planned,
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
        Next::Wait { .. }
        | Next::StartBake { .. }
        | Next::Enter { .. }
        | Next::Suspend { .. }
        | Next::Escalate { .. }
        | Next::DecideRevert(_)
        | Next::Finish(_)
        | Next::Over => planned,
    }
}

fn forward(state: &RolloutState, observed: &Observed, now: Timestamp) -> Next {
    match (&state.kind_state, observed) {
        (KindState::Containers(containers), Observed::Nothing) => {
            containers::forward::next(state, containers, &[], now)
        }
        (KindState::Containers(containers), Observed::Containers(seen)) => {
            containers::forward::next(state, containers, seen, now)
        }
        (KindState::Containers(containers), Observed::SelfUpdate(seen)) => {
            containers::forward::next(state, containers, &seen.units, now)
        }
        (KindState::Services(services), Observed::Nothing) => services::forward::next(state, services, &[], now),
        (KindState::Services(services), Observed::Services(seen)) => {
            services::forward::next(state, services, seen, now)
        }
        (KindState::Command(command), Observed::Nothing) => {
            command::forward(state, command, &ObservedAnswer::NotAsked, now)
        }
        (KindState::Command(command), Observed::Command(seen)) => command::forward(state, command, seen, now),
        (KindState::Containers(_), Observed::Services(_) | Observed::Command(_))
        | (KindState::Services(_), Observed::Containers(_) | Observed::SelfUpdate(_) | Observed::Command(_))
        | (KindState::Command(_), Observed::Containers(_) | Observed::SelfUpdate(_) | Observed::Services(_)) => {
            mistaken()
        }
    }
}

fn back(state: &RolloutState, observed: &Observed, now: Timestamp) -> Next {
    let reason = state
        .reverting
        .clone()
        .unwrap_or_else(|| Failure::new(FailureKind::Invariant, "a revert without a reason"));
    match (&state.kind_state, observed) {
        (KindState::Containers(containers), Observed::Nothing) => {
            containers::back::next(state, containers, &[], reason, now)
        }
        (KindState::Containers(containers), Observed::Containers(seen)) => {
            containers::back::next(state, containers, seen, reason, now)
        }
        (KindState::Containers(containers), Observed::SelfUpdate(seen)) => {
            containers::back::next(state, containers, &seen.units, reason, now)
        }
        (KindState::Services(services), Observed::Nothing) => services::back::next(state, services, &[], reason, now),
        (KindState::Services(services), Observed::Services(seen)) => {
            services::back::next(state, services, seen, reason, now)
        }
        (KindState::Command(command), Observed::Nothing | Observed::Command(_)) => {
            command::back(state, command, reason, now)
        }
        (KindState::Containers(_), Observed::Services(_) | Observed::Command(_))
        | (KindState::Services(_), Observed::Containers(_) | Observed::SelfUpdate(_) | Observed::Command(_))
        | (KindState::Command(_), Observed::Containers(_) | Observed::SelfUpdate(_) | Observed::Services(_)) => {
            mistaken()
        }
    }
}

fn touches(step: &Step) -> bool {
    match step {
        // A hook is the owner's own command: if it fails before lowtide has changed anything, there is nothing to roll
        // back. Retaining an image longer than needed does no harm.
        Step::Preflight
        | Step::Pull
        | Step::TryOut { .. }
        | Step::RunHook { .. }
        | Step::AwaitReady { .. }
        | Step::Drain { .. }
        | Step::KeepImage { .. }
        | Step::LetImageGo { .. }
        | Step::KeepLog { .. } => false,
        Step::CreateCandidate { .. }
        | Step::RemoveCandidate { .. }
        | Step::StopOld { .. }
        | Step::SetRestart { .. }
        | Step::Start { .. }
        | Step::Restart { .. }
        | Step::Rename { .. }
        | Step::StopCandidate { .. }
        | Step::Attach { .. }
        | Step::Route { .. }
        | Step::RecreateOld { .. }
        | Step::MoveTag { .. }
        | Step::SelfUpdate(_)
        | Step::RemoveOld { .. } => true,
        Step::Service(step) => services::touches(step),
        Step::Command(step) => command::touches(step),
    }
}

fn kind(step: &Step) -> std::mem::Discriminant<Step> {
    std::mem::discriminant(step)
}
