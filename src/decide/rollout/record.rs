//! The report of a rollout that does not arrive, collected while its journal is folded, so that the driver, a restarted
//! process and `show` report the same.

use super::RolloutState;
use crate::model::fleet::TargetPolicy;
use crate::model::halt::{Candidate, Happened, Incident, Moment, RanHook, Readiness, StepEnd};
use crate::model::rollout::{HookPhase, Purpose, RolloutConclusion, RolloutEvent, Step, StepOutcome};
use jiff::Timestamp;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record {
    timeline: Vec<Moment>,
    readiness: Vec<Readiness>,
    candidates: Vec<Candidate>,
    hooks: Vec<RanHook>,
    /// Names of the units, by position.
    names: Vec<String>,
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
            names: Vec::new(),
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

    pub(super) fn abandon(&mut self, step: &Step, at: Timestamp) {
        let what = Happened::Abandoned {
            step: step.to_string(),
            unit: self.unit(step),
        };
        self.timeline.push(Moment { at, what });
    }

    pub(super) fn end(&mut self, target: &TargetPolicy, step: &Step, outcome: &StepOutcome, at: Timestamp) {
        if let StepOutcome::Preflighted { units } = outcome {
            self.names = units.iter().map(|unit| unit.name.clone()).collect();
        }
        if let StepOutcome::ServicesPreflighted { services } = outcome {
            self.names = services.iter().map(|service| service.name.clone()).collect();
        }
        if let StepOutcome::CommandPreflighted { .. } = outcome {
            self.names = vec![target.name.to_string()];
        }
        let unit = self.unit(step);
        let took_ms = u64::try_from(at.duration_since(self.since).as_millis()).unwrap_or(0);
        let end = match outcome {
            StepOutcome::Failed { failure } => StepEnd::Failed {
                failure: failure.clone(),
            },
            StepOutcome::Busy { .. } => StepEnd::Busy,
            StepOutcome::Kept { log, exit_code } => {
                self.candidates.push(Candidate {
                    unit: unit.clone().unwrap_or_default(),
                    exit_code: *exit_code,
                    log: log.clone(),
                });
                StepEnd::Done
            }
            StepOutcome::Done
            | StepOutcome::Unchanged
            | StepOutcome::Preflighted { .. }
            | StepOutcome::ServicesPreflighted { .. }
            | StepOutcome::CommandPreflighted { .. }
            | StepOutcome::Ran { .. }
            | StepOutcome::Prepulled { .. }
            | StepOutcome::Pulled { .. } => StepEnd::Done,
        };
        let failure = match &end {
            StepEnd::Failed { failure } => Some(failure.clone()),
            StepEnd::Done | StepEnd::Busy => None,
        };
        if let Step::AwaitReady { which, .. } = step {
            self.readiness.push(Readiness {
                unit: unit.clone().unwrap_or_default(),
                which: *which,
                took_ms,
                failure: failure.clone(),
            });
        }
        if let Step::RunHook { phase, hook, .. } = step
            && end != StepEnd::Busy
        {
            let configured = match phase {
                HookPhase::Before => target.before.get(*hook),
                HookPhase::After => target.after.get(*hook),
            };
            self.hooks.push(RanHook {
                unit: unit.clone().unwrap_or_default(),
                phase: *phase,
                command: configured.map(|hook| hook.command.clone()).unwrap_or_default(),
                at,
                failure,
            });
        }
        let step = step.to_string();
        let what = Happened::Step {
            step,
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

    fn unit(&self, step: &Step) -> Option<String> {
        let place = step.unit()?;
        let name = self.names.get(place).cloned();
        Some(name.unwrap_or_else(|| format!("unit {}", place + 1)))
    }
}
