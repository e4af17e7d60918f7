//! What a rollout knows that depends on its kind: the step under way and what all steps so far add up to.

use super::kind::{Kind, KindOutcome, KindState, KindStep, Role};
use jiff::Timestamp;
use lowtide_model::failure::Failure;
use lowtide_model::journal::IllegalEvent;
use lowtide_model::rollout::Goal;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq)]
pub struct Track<K: Kind> {
    pub policy: K,
    pub state: K::State,
    pub progress: Progress<K::Step>,
}

/// The step under way, or the last one.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress<S> {
    Idle,
    Started {
        attempt: u32,
        step: S,
    },
    Busy {
        retry: Timestamp,
        hook: String,
    },
    Failed {
        attempt: u32,
        step: S,
        failure: Failure,
        at: Timestamp,
    },
}

/// How a step ended, as it is journalled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum Ended<O> {
    Well {
        outcome: O,
    },
    /// One of the owner's programs requested a later retry (exit code 75, EX_TEMPFAIL of sysexits.h).
    Busy {
        retry: Timestamp,
    },
    Failed {
        failure: Failure,
    },
}

/// A step that has ended, as it is reported.
#[derive(Debug, Clone, PartialEq)]
pub struct EndedStep<S> {
    pub step: S,
    /// The owner's command, if it was one.
    pub hook: Vec<String>,
    /// The target is certainly as it was before.
    pub untouched: bool,
}

impl<S> EndedStep<S> {
    #[must_use]
    pub fn map<T>(self, of: impl FnOnce(S) -> T) -> EndedStep<T> {
        EndedStep {
            step: of(self.step),
            hook: self.hook,
            untouched: self.untouched,
        }
    }
}

impl<O> Ended<O> {
    pub fn map<P>(self, of: impl FnOnce(O) -> P) -> Ended<P> {
        match self {
            Ended::Well { outcome } => Ended::Well { outcome: of(outcome) },
            Ended::Busy { retry } => Ended::Busy { retry },
            Ended::Failed { failure } => Ended::Failed { failure },
        }
    }

    /// # Errors
    /// As `of` fails.
    pub fn try_map<P, E>(self, of: impl FnOnce(O) -> Result<P, E>) -> Result<Ended<P>, E> {
        Ok(match self {
            Ended::Well { outcome } => Ended::Well { outcome: of(outcome)? },
            Ended::Busy { retry } => Ended::Busy { retry },
            Ended::Failed { failure } => Ended::Failed { failure },
        })
    }

    /// `None`: it did not fail.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Ended::Failed { failure } => Some(failure),
            Ended::Well { .. } | Ended::Busy { .. } => None,
        }
    }
}

impl<O: KindOutcome> Ended<O> {
    /// Every line of foreign output passed through `mask`, and the failure through `hide`.
    #[must_use]
    pub fn masked(self, mask: &dyn Fn(&str) -> String, hide: impl FnOnce(Failure) -> Failure) -> Self {
        match self {
            Ended::Well { outcome } => Ended::Well {
                outcome: outcome.masked(mask),
            },
            Ended::Busy { retry } => Ended::Busy { retry },
            Ended::Failed { failure } => Ended::Failed { failure: hide(failure) },
        }
    }
}

impl<K: Kind> Track<K> {
    #[must_use]
    pub fn new(policy: K) -> Self {
        Self {
            policy,
            state: K::State::default(),
            progress: Progress::Idle,
        }
    }

    /// The step under way.
    #[must_use]
    pub fn under_way(&self) -> Option<&K::Step> {
        match &self.progress {
            Progress::Started { step, .. } => Some(step),
            Progress::Idle | Progress::Busy { .. } | Progress::Failed { .. } => None,
        }
    }

    /// The last step, if it failed.
    #[must_use]
    pub fn failed(&self) -> Option<(&K::Step, &Failure)> {
        match &self.progress {
            Progress::Failed { step, failure, .. } => Some((step, failure)),
            Progress::Idle | Progress::Started { .. } | Progress::Busy { .. } => None,
        }
    }

    /// # Errors
    /// Another step is under way.
    pub fn begin(&mut self, goal: Goal, attempt: u32, step: K::Step) -> Result<(), IllegalEvent> {
        if self.under_way().is_some() {
            return Err(IllegalEvent {
                event: "step_started",
                why: "another step is under way",
            });
        }
        self.state.begin(goal, &step);
        self.progress = Progress::Started { attempt, step };
        Ok(())
    }

    /// # Errors
    /// No step is under way, or it cannot end like this.
    pub fn end(
        &mut self,
        goal: Goal,
        ended: Ended<K::Outcome>,
        at: Timestamp,
    ) -> Result<EndedStep<K::Step>, IllegalEvent> {
        let Progress::Started { attempt, step } = std::mem::replace(&mut self.progress, Progress::Idle) else {
            return Err(IllegalEvent {
                event: "step_ended",
                why: "no step is under way",
            });
        };
        let hook = match step.about().role {
            Role::Hook { phase, position } => self.policy.hook(phase, position).map(|hook| hook.command.clone()),
            Role::Preflight | Role::Readiness(_) | Role::Breakable | Role::Other => None,
        };
        let report = EndedStep {
            step: step.clone(),
            hook: hook.unwrap_or_default(),
            untouched: false,
        };
        match ended {
            Ended::Well { outcome } => {
                self.state.end(goal, &step, &outcome)?;
                Ok(report)
            }
            Ended::Busy { retry } => {
                let hook = step.to_string();
                self.progress = Progress::Busy { retry, hook };
                let untouched = self.state.busy(goal);
                Ok(EndedStep { untouched, ..report })
            }
            Ended::Failed { failure } => {
                self.state.fail(&step, &failure);
                self.progress = Progress::Failed {
                    attempt,
                    step,
                    failure,
                    at,
                };
                Ok(report)
            }
        }
    }

    /// The step under way was cut off; returns it.
    ///
    /// # Errors
    /// No step is under way.
    pub fn abandon(&mut self) -> Result<K::Step, IllegalEvent> {
        let Progress::Started { step, .. } = std::mem::replace(&mut self.progress, Progress::Idle) else {
            return Err(IllegalEvent {
                event: "step_abandoned",
                why: "no step is under way",
            });
        };
        Ok(step)
    }

    /// Forgets how the last step ended.
    pub fn settle(&mut self) {
        self.progress = Progress::Idle;
    }
}
