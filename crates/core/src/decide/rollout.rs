//! The next step of a rollout: a reconciler. It looks at what is there, plans exactly one step, and looks again, so
//! recovery after a kill is the ordinary path.
//!
//! This folder has what all kinds of target share: what blocks a rollout, failed steps, the goal. What is moved, and in
//! which order, each kind says for itself (`kinds`).

use crate::fleet::app_state::{Placed, Worked};
use crate::fleet::rollout::RolloutEvent;
use crate::kinds::kind::{Kind, KindState, KindStep, Plan, TargetSettings, View};
use crate::kinds::list::{KindTrack, Step, StepOutcome, each_kind};
use crate::kinds::track::{Progress, Track};
use jiff::{SignedDuration, Timestamp};
use lowtide_model::failure::{Failure, FailureKind, WaitReason};
use lowtide_model::halt::Incident;
use lowtide_model::journal::{IllegalEvent, Recorded};
use lowtide_model::name::{AppName, RolloutId};
use lowtide_model::policy::Unhealthy;
use lowtide_model::release::Release;
use lowtide_model::rollout::{Goal, Purpose, RolloutConclusion};
use lowtide_model::window::{Closing, Occurrence};
use record::Record;

mod failed;
mod preview;
mod record;
mod timing;

use failed::{SLACK, after_failure, returned, revert_or_stop};
pub use preview::preview;
pub use timing::{Gate, Outside, WindowProgress, suspended_until};

/// What the driver does next.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub enum Next<S> {
    Do {
        attempt: u32,
        step: S,
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

impl<S> Next<S> {
    pub fn map<T>(self, of: impl FnOnce(S) -> T) -> Next<T> {
        match self {
            Next::Do { attempt, step } => Next::Do {
                attempt,
                step: of(step),
            },
            Next::Wait { until, reason } => Next::Wait { until, reason },
            Next::StartBake { until } => Next::StartBake { until },
            Next::Enter { occurrence } => Next::Enter { occurrence },
            Next::Suspend { closing } => Next::Suspend { closing },
            Next::Escalate { since, reason } => Next::Escalate { since, reason },
            Next::DecideRevert(failure) => Next::DecideRevert(failure),
            Next::Finish(conclusion) => Next::Finish(conclusion),
            Next::Over => Next::Over,
        }
    }
}

/// State of a rollout, folded from its events.
#[derive(Debug, Clone, PartialEq)]
pub struct RolloutState {
    pub id: RolloutId,
    pub app: AppName,
    pub target: TargetSettings,
    pub timezone: String,
    pub release: Release,
    pub window_ignored: bool,
    pub purpose: Purpose,
    pub opened: Timestamp,
    pub goal: Goal,
    /// What is moved, and how far it is.
    pub kind: KindTrack,
    /// A step that changes the target was begun.
    pub touched: bool,
    pub window_progress: WindowProgress,
    pub bake: Option<Timestamp>,
    pub reverting: Option<Failure>,
    pub conclusion: Option<RolloutConclusion>,
    /// What is reported if the rollout does not arrive.
    record: Record,
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
        target: target.settings.clone(),
        timezone: timezone.clone(),
        release: (**release).clone(),
        window_ignored: *window_ignored,
        purpose: *purpose,
        opened: first.at,
        goal: Goal::Forward,
        kind: target.kind.clone().track(),
        touched: false,
        window_progress: WindowProgress::default(),
        bake: None,
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
            RolloutEvent::StepStarted { attempt, step } => self.begin(*attempt, step, recorded.at)?,
            RolloutEvent::StepEnded { outcome } => self.end(outcome, recorded.at)?,
            RolloutEvent::StepAbandoned => {
                let step = self.kind.abandon()?;
                self.record.abandon(&step, self.unit_label(&step), recorded.at);
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
                self.kind.settle();
            }
            RolloutEvent::Concluded { conclusion } => self.conclusion = Some(conclusion.clone()),
        }
        Ok(())
    }

    fn begin(&mut self, attempt: u32, step: &Step, at: Timestamp) -> Result<(), IllegalEvent> {
        self.kind.begin(self.goal, attempt, step)?;
        let about = step.about();
        self.touched |= about.changes();
        self.record.begin(at);
        self.window_progress.begin(about, at);
        Ok(())
    }

    fn end(&mut self, outcome: &StepOutcome, at: Timestamp) -> Result<(), IllegalEvent> {
        let ended = self.kind.end(self.goal, outcome, at)?;
        // Nothing was changed after all: windows, halts and newer releases apply again.
        self.touched &= !ended.untouched;
        self.record.end(&ended, self.unit_label(&ended.step), outcome, at);
        Ok(())
    }

    /// The step under way.
    #[must_use]
    pub fn under_way(&self) -> Option<Step> {
        self.kind.under_way()
    }

    /// The report of the rollout for people. `ended`: its conclusion and time, while they are not journalled yet.
    #[must_use]
    pub fn incident(&self, ended: Option<(&RolloutConclusion, Timestamp)>) -> Incident {
        self.record.incident(self, ended)
    }

    /// Number of units, which move one after the other; 0 before preflight has chosen them.
    #[must_use]
    pub fn unit_count(&self) -> usize {
        self.kind.units().unwrap_or_default()
    }

    /// Name of the unit at this position; the target's, where units have no names. `None`: it is not known yet.
    #[must_use]
    pub fn unit_name(&self, unit: usize) -> Option<&str> {
        let chosen = unit < self.kind.units()?;
        let name = self.kind.unit_name(unit);
        chosen.then(|| name.unwrap_or(self.target.name.as_str()))
    }

    /// The unit of a step, for people.
    fn unit_label(&self, step: &Step) -> Option<String> {
        let unit = step.about().unit?;
        let name = self.unit_name(unit).map(str::to_owned);
        Some(name.unwrap_or_else(|| format!("unit {}", unit + 1)))
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
        let counts =
            *conclusion == RolloutConclusion::Done && self.window_progress.suspensions == 0 && took.is_positive();
        Some(Worked {
            units: self.unit_count(),
            took: counts.then_some(took),
            opening: self.window_progress.entered.clone(),
        })
    }

    /// How to recognise the release on its target. `None`: it did not arrive, or the target cannot be looked at.
    #[must_use]
    pub fn placed(&self, conclusion: &RolloutConclusion) -> Option<Placed> {
        match conclusion {
            RolloutConclusion::Done | RolloutConclusion::AlreadyThere => {}
            RolloutConclusion::Refused { .. }
            | RolloutConclusion::Superseded { .. }
            | RolloutConclusion::Reverted { .. }
            | RolloutConclusion::Stuck { .. } => return None,
        }
        let image = each_kind!(KindTrack, &self.kind, track => Kind::placed(view(self, track)))?;
        let kind = self.kind.kind();
        Some(Placed { kind, image })
    }
}

/// The decision. `track`: the state's own.
pub fn next<K: Kind>(
    state: &RolloutState,
    track: &Track<K>,
    seen: Option<&K::Observed>,
    outside: &Outside,
    now: Timestamp,
) -> Next<K::Step> {
    if state.conclusion.is_some() {
        return Next::Over;
    }
    let attempt = match after_failure(state, track, now) {
        Ok(attempt) => attempt,
        Err(next) => return timing::or_escalate(state, outside, *next, now),
    };
    let view = view(state, track);
    let planned = match state.goal {
        Goal::Forward => timing::held_back(state, outside, now)
            .or_else(|| timing::rolled_back_by_operator(state, view, outside))
            .unwrap_or_else(|| {
                let planned = ruled(state, view, K::forward(view, seen, now), now);
                timing::within(state, outside, planned, now)
            }),
        // Going back is never gated.
        Goal::Back => ruled(state, view, K::back(view, seen, &reason(state), now), now),
    };
    match planned {
        // The attempt counts for the very step that failed; a different step begins at 1.
        Next::Do { step, .. } => {
            let same = matches!(&track.progress, Progress::Failed { step: failed, .. } if failed.is_same(&step));
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

/// The decision before anybody has looked at the target.
pub fn next_unseen(state: &RolloutState, outside: &Outside, now: Timestamp) -> Next<Step> {
    each_kind!(KindTrack, &state.kind, track => next(state, track, None, outside, now).map(Step::from))
}

/// What the kind plans by.
pub fn view<'a, K: Kind>(state: &'a RolloutState, track: &'a Track<K>) -> View<'a, K> {
    View {
        id: state.id,
        target: &state.target,
        policy: &track.policy,
        state: &track.state,
        release: &state.release,
        purpose: state.purpose,
        goal: state.goal,
        touched: state.touched,
        bake: state.bake,
        failed: track.failed(),
    }
}

/// What the shared rules make of the kind's plan.
fn ruled<K: Kind>(state: &RolloutState, view: View<'_, K>, plan: Plan<K::Step>, now: Timestamp) -> Next<K::Step> {
    match plan {
        Plan::Do(step) => Next::Do { attempt: 1, step },
        Plan::Wait { until, reason } => Next::Wait {
            until: Some(until),
            reason,
        },
        Plan::Bake => Next::StartBake {
            until: now + state.target.bake,
        },
        Plan::Fail(failure) => revert_or_stop(view, failure),
        Plan::Returned => returned(view.state.ran(), reason(state)),
        Plan::Finish(conclusion) => Next::Finish(conclusion),
    }
}

/// Why the rollout goes back.
fn reason(state: &RolloutState) -> Failure {
    let without = || Failure::new(FailureKind::Invariant, "a revert without a reason");
    state.reverting.clone().unwrap_or_else(without)
}

/// The decision, for tests that know the kind.
#[cfg(test)]
pub(crate) fn next_of<K: crate::kinds::list::Listed>(
    state: &RolloutState,
    seen: Option<&K::Observed>,
    outside: &Outside,
    now: Timestamp,
) -> Next<K::Step> {
    let track = K::track(&state.kind).expect("the rollout is of this kind");
    next(state, track, seen, outside, now)
}
