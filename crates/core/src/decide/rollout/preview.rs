//! Forecast of a rollout in which every step succeeds. Nothing is decided here: the journal's steps are replayed on a
//! [`Simulation`], and the real decisions are called on it again and again. So there is no second list of steps to maintain.

use super::{Gate, Next, Outside, RolloutState, next, timing, view};
use crate::fleet::rollout::RolloutEvent;
use crate::kinds::kind::{Kind, KindStep, Simulation};
use crate::kinds::list::{Listed, StepOutcome, each_kind};
use crate::kinds::track::{Ended, Track};
use jiff::{SignedDuration, Timestamp};
use lowtide_model::failure::WaitReason;
use lowtide_model::journal::Recorded;
use lowtide_model::preview::{Chosen, Phase, Planned, PlannedState, RolloutPreview, What};
use lowtide_model::release::Release;
use lowtide_model::rollout::{Goal, Purpose, RolloutConclusion};

/// More steps than any rollout has; stops decisions that go in circles.
const ENOUGH: usize = 10_000;

/// `events` are those that `state` was folded from. `releases`: those of the app, for the names of their images.
#[must_use]
pub fn preview(
    state: &RolloutState,
    events: &[Recorded<RolloutEvent>],
    outside: &Outside,
    releases: &[Release],
    now: Timestamp,
) -> RolloutPreview {
    each_kind!(KindTrack, &state.kind, track => played(state, track, events, outside, releases, now))
}

fn played<K: Listed>(
    state: &RolloutState,
    track: &Track<K>,
    events: &[Recorded<RolloutEvent>],
    outside: &Outside,
    releases: &[Release],
    now: Timestamp,
) -> RolloutPreview {
    let mut play = Play::<K> {
        simulation: Simulation::of(view(state, track)),
        steps: Vec::new(),
        open: None,
    };
    play.replay(events);
    let ends = match (&state.conclusion, outside.gate) {
        (Some(conclusion), _) => Some(conclusion.clone()),
        (None, Gate::Superseded(by)) if !state.touched && state.purpose != Purpose::Revert => {
            Some(RolloutConclusion::Superseded { by })
        }
        (None, Gate::Withdrawn) if !state.touched => Some(timing::withdrawn(state)),
        (None, Gate::Open | Gate::Paused | Gate::Halted | Gate::Superseded(_) | Gate::Withdrawn) => {
            play.go_on(state, outside, now)
        }
    };
    let mut moves = play.simulation.moves(view(state, track), releases);
    for (index, moved) in moves.iter_mut().enumerate() {
        moved.phase = phase(state, &play.steps, index);
    }
    RolloutPreview {
        chosen: match state.kind.units() {
            Some(_) => Chosen::Preflighted,
            None => Chosen::Assumed,
        },
        moves,
        steps: play.steps,
        ends,
    }
}

struct Play<K: Kind> {
    simulation: K::Simulation,
    steps: Vec<Planned>,
    /// The line of the wait that follows a step: for tasks, or for the bake.
    open: Option<Open>,
}

struct Open {
    line: usize,
    since: Timestamp,
    /// Of a bake.
    until: Option<Timestamp>,
}

impl<K: Listed> Play<K> {
    /// Replays the journal.
    fn replay(&mut self, events: &[Recorded<RolloutEvent>]) {
        let mut begun: Option<(K::Step, Timestamp)> = None;
        for Recorded { at, event, .. } in events {
            match event {
                RolloutEvent::StepStarted { step, .. } => {
                    self.close(*at);
                    // A step of another kind does not fold either, so it is not there.
                    let Ok(step) = K::Step::try_from(step.clone()) else {
                        continue;
                    };
                    self.simulation.name(&step);
                    begun = Some((step, *at));
                }
                RolloutEvent::StepEnded { outcome } => {
                    let Some((step, since)) = begun.take() else { continue };
                    self.ended(&step, outcome, (since, *at));
                }
                RolloutEvent::StepAbandoned => {
                    let Some((step, _)) = begun.take() else { continue };
                    self.line(&step, PlannedState::Abandoned);
                }
                RolloutEvent::BakeStarted { until } => {
                    self.close(*at);
                    self.simulation.settle();
                    self.watch(None, bake(*at, *until), *at, Some(*until));
                }
                RolloutEvent::RevertDecided { .. } => {
                    if let Some(open) = self.open.take() {
                        self.steps[open.line].state = PlannedState::Failed;
                    }
                }
                RolloutEvent::Opened { .. }
                | RolloutEvent::Expedited { .. }
                | RolloutEvent::Entered { .. }
                | RolloutEvent::Suspended { .. }
                | RolloutEvent::LateNoticeSent { .. } => {}
                RolloutEvent::Concluded { .. } => self.close(*at),
            }
        }
        if let Some((step, since)) = begun {
            self.line(&step, PlannedState::Running { since });
        }
    }

    fn ended(&mut self, step: &K::Step, outcome: &StepOutcome, (since, at): (Timestamp, Timestamp)) {
        match outcome {
            Ended::Failed { .. } | Ended::Busy { .. } => return self.line(step, PlannedState::Failed),
            Ended::Well { .. } => {}
        }
        let took = at.duration_since(since);
        self.line(step, PlannedState::Done { took });
        self.simulation.perform(step);
        if let Some(total) = self.simulation.replaces(step) {
            self.watch(step.about().unit, What::Tasks { total }, at, None);
        }
    }

    /// Adds the steps ahead, if every step succeeds; returns how the rollout ends.
    fn go_on(&mut self, state: &RolloutState, outside: &Outside, now: Timestamp) -> Option<RolloutConclusion> {
        // The forecast lists steps, not waits: windows, pauses and halts are shown separately.
        let free = Outside {
            gate: Gate::Open,
            ..outside.clone()
        };
        let mut ahead = state.clone();
        ahead.window_ignored = true;
        let mut clock = now;
        if let Some(step) = K::track(&state.kind)?.under_way() {
            self.take(&mut ahead, step, clock)?;
        }
        for _ in 0..ENOUGH {
            let track = K::track(&ahead.kind)?;
            let seen = self.simulation.seen(view(&ahead, track));
            match next(&ahead, track, seen.as_ref(), &free, clock) {
                Next::Do { attempt, step } => {
                    self.line(&step, PlannedState::Ahead);
                    let started = RolloutEvent::StepStarted {
                        attempt,
                        step: step.clone().into(),
                    };
                    apply(&mut ahead, started, clock)?;
                    self.take(&mut ahead, &step, clock)?;
                }
                Next::StartBake { until } => {
                    self.ahead(None, bake(clock, until));
                    apply(&mut ahead, RolloutEvent::BakeStarted { until }, clock)?;
                }
                Next::DecideRevert(failure) => apply(&mut ahead, RolloutEvent::RevertDecided { failure }, clock)?,
                Next::Wait { until, reason } => clock = self.wait(until, &reason)?.max(clock),
                Next::Finish(conclusion) => return Some(conclusion),
                Next::Enter { .. } | Next::Suspend { .. } | Next::Escalate { .. } | Next::Over => return None,
            }
        }
        None
    }

    /// Ends a step that was begun.
    fn take(&mut self, ahead: &mut RolloutState, step: &K::Step, clock: Timestamp) -> Option<()> {
        let outcome = Ended::Well {
            outcome: self.simulation.perform(step).into(),
        };
        if let Some(total) = self.simulation.replaces(step) {
            self.ahead(step.about().unit, What::Tasks { total });
        }
        apply(ahead, RolloutEvent::StepEnded { outcome }, clock)
    }

    /// The moment at which a wait is over.
    fn wait(&mut self, until: Option<Timestamp>, reason: &WaitReason) -> Option<Timestamp> {
        match reason {
            WaitReason::Converging { .. } => {
                self.simulation.settle();
                until
            }
            WaitReason::Baking { until } => Some(*until),
            WaitReason::HookBusy { .. } | WaitReason::Retry { .. } => until,
            WaitReason::Window { .. }
            | WaitReason::NoWindow
            | WaitReason::WindowNeverOpens
            | WaitReason::WindowTooShort { .. }
            | WaitReason::Frozen { .. }
            | WaitReason::Suspended { .. }
            | WaitReason::Paused
            | WaitReason::Halted
            | WaitReason::OtherRuns { .. }
            | WaitReason::LastInQueue => None,
        }
    }

    fn line(&mut self, step: &K::Step, state: PlannedState) {
        let unit = step.about().listed;
        let what = What::Step { step: step.to_string() };
        self.steps.push(Planned { unit, what, state });
    }

    fn ahead(&mut self, unit: Option<usize>, what: What) {
        let state = PlannedState::Ahead;
        self.steps.push(Planned { unit, what, state });
    }

    fn watch(&mut self, unit: Option<usize>, what: What, since: Timestamp, until: Option<Timestamp>) {
        let line = self.steps.len();
        let state = PlannedState::Running { since };
        self.steps.push(Planned { unit, what, state });
        self.open = Some(Open { line, since, until });
    }

    /// The next step began, so the current wait is over.
    fn close(&mut self, at: Timestamp) {
        if let Some(open) = self.open.take_if(|open| open.until.is_none_or(|until| until <= at)) {
            let took = at.duration_since(open.since);
            self.steps[open.line].state = PlannedState::Done { took };
            self.simulation.settle();
        }
    }
}

fn apply(state: &mut RolloutState, event: RolloutEvent, at: Timestamp) -> Option<()> {
    state.apply(&Recorded { seq: 0, at, event }).ok()
}

fn bake(from: Timestamp, until: Timestamp) -> What {
    What::Bake {
        lasts: until.duration_since(from).max(SignedDuration::ZERO),
    }
}

fn phase(state: &RolloutState, steps: &[Planned], unit: usize) -> Phase {
    let is_open = |line: &Planned| match line.state {
        PlannedState::Running { .. } | PlannedState::Ahead => true,
        PlannedState::Done { .. } | PlannedState::Failed | PlannedState::Abandoned => false,
    };
    let is_bake = |line: &&Planned| matches!(line.what, What::Bake { .. });
    let open = |line: &Planned| line.unit == Some(unit) && is_open(line);
    let begun = state.window_progress.units.contains(&unit);
    if state.goal == Goal::Back {
        return match (begun, steps.iter().any(open)) {
            (_, true) => Phase::Returning,
            (true, false) => Phase::Returned,
            (false, false) => Phase::Untouched,
        };
    }
    let bake = steps.iter().find(is_bake).map(|line| line.state);
    match bake {
        _ if !begun && state.conclusion.is_none() => Phase::Waiting,
        Some(PlannedState::Running { .. }) => Phase::Baking,
        Some(PlannedState::Done { .. }) if steps.iter().any(open) => Phase::Finishing,
        Some(PlannedState::Done { .. }) => Phase::Moved,
        Some(PlannedState::Ahead | PlannedState::Failed | PlannedState::Abandoned) | None => {
            let before_bake = steps.iter().take_while(|line| !is_bake(line));
            if before_bake.into_iter().any(open) {
                Phase::Moving
            } else {
                Phase::Moved
            }
        }
    }
}
