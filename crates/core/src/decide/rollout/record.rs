//! The report of a rollout that does not arrive, collected while its journal is folded, so that the driver, a restarted
//! process and `show` report the same.

use super::RolloutState;
use crate::fleet::rollout::RolloutEvent;
use crate::kinds::kind::Role;
use crate::kinds::list::{Step, StepOutcome};
use crate::kinds::track::{Ended, EndedStep};
use jiff::Timestamp;
use lowtide_model::halt::{Candidate, Happened, Incident, Moment, RanHook, Readiness, StepEnd};
use lowtide_model::rollout::{Purpose, RolloutConclusion};

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record {
    timeline: Vec<Moment>,
    readiness: Vec<Readiness>,
    candidates: Vec<Candidate>,
    hooks: Vec<RanHook>,
    /// When the step under way was begun.
    since: Timestamp,
}

impl Record {
    pub(super) fn opened(at: Timestamp) -> Self {
        let what = Happened::Opened;
        Self {
            timeline: vec![Moment { at, what }],
            readiness: Vec::new(),
            candidates: Vec::new(),
            hooks: Vec::new(),
            since: at,
        }
    }

    /// Records every event except those of steps, which are recorded when they end.
    pub(super) fn note(&mut self, event: &RolloutEvent, at: Timestamp) {
        let what = match event {
            RolloutEvent::Expedited { by, .. } => Happened::Expedited { by: by.clone() },
            RolloutEvent::Entered { occurrence } => Happened::Entered {
                occurrence: occurrence.clone(),
            },
            RolloutEvent::Suspended { closing } => Happened::Suspended {
                closing: closing.clone(),
            },
            RolloutEvent::BakeStarted { until } => Happened::Baking { until: *until },
            RolloutEvent::RevertDecided { failure } => Happened::GoingBack {
                failure: failure.clone(),
            },
            RolloutEvent::Concluded { .. } => Happened::Ended,
            RolloutEvent::Opened { .. }
            | RolloutEvent::LateNoticeSent { .. }
            | RolloutEvent::StepStarted { .. }
            | RolloutEvent::StepEnded { .. }
            | RolloutEvent::StepAbandoned => return,
        };
        self.timeline.push(Moment { at, what });
    }

    pub(super) fn begin(&mut self, at: Timestamp) {
        self.since = at;
    }

    pub(super) fn abandon(&mut self, step: &Step, unit: Option<String>, at: Timestamp) {
        let what = Happened::Abandoned {
            step: step.to_string(),
            unit,
        };
        self.timeline.push(Moment { at, what });
    }

    pub(super) fn end(&mut self, ended: &EndedStep<Step>, unit: Option<String>, outcome: &StepOutcome, at: Timestamp) {
        let took_ms = u64::try_from(at.duration_since(self.since).as_millis()).unwrap_or(0);
        let end = match outcome {
            Ended::Failed { failure } => StepEnd::Failed {
                failure: failure.clone(),
            },
            Ended::Busy { .. } => StepEnd::Busy,
            Ended::Well { outcome } => {
                self.candidates.extend(outcome.left_behind().map(|left| Candidate {
                    unit: unit.clone().unwrap_or_default(),
                    exit_code: left.exit_code,
                    log: left.log.to_vec(),
                }));
                StepEnd::Done
            }
        };
        let failure = outcome.failure().cloned();
        match ended.step.about().role {
            Role::Readiness(which) => self.readiness.push(Readiness {
                unit: unit.clone().unwrap_or_default(),
                which,
                took_ms,
                failure,
            }),
            Role::Hook { phase, .. } if end != StepEnd::Busy => self.hooks.push(RanHook {
                unit: unit.clone().unwrap_or_default(),
                phase,
                command: ended.hook.clone(),
                at,
                failure,
            }),
            Role::Hook { .. } | Role::Preflight | Role::Breakable | Role::Other => {}
        }
        let what = Happened::Step {
            step: ended.step.to_string(),
            unit,
            took_ms,
            end,
        };
        self.timeline.push(Moment { at, what });
    }

    pub(super) fn incident(&self, state: &RolloutState, ended: Option<(&RolloutConclusion, Timestamp)>) -> Incident {
        let mut timeline = self.timeline.clone();
        if let Some((_, at)) = ended {
            let what = Happened::Ended;
            timeline.push(Moment { at, what });
        }
        Incident {
            rollout: state.id,
            app: state.app.clone(),
            target: state.target.name.clone(),
            timezone: state.timezone.clone(),
            tag: state.release.tag.clone(),
            commit: state.release.commit.clone(),
            irreversible: state.target.irreversible,
            probation: state.purpose == Purpose::Probation,
            opened: state.opened,
            conclusion: ended
                .map(|(conclusion, _)| conclusion.clone())
                .or_else(|| state.conclusion.clone()),
            timeline,
            change: state.release.change.clone(),
            readiness: self.readiness.clone(),
            candidates: self.candidates.clone(),
            hooks: self.hooks.clone(),
        }
    }
}
