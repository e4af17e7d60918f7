//! Forecast of a rollout in which every step succeeds. Nothing is decided here: the journal's steps are replayed on a
//! [`Simulation`], and the real decisions are called on it again and again. So there is no second list of steps to maintain.

use super::containers::{self as rules, Sequence};
use super::{Gate, KindState, Next, Outside, Progress, RolloutState, next, timing};
use crate::model::app_state::Release;
use crate::model::failure::WaitReason;
use crate::model::fleet::{Order, TargetPolicy};
use crate::model::journal::Recorded;
use crate::model::preview::{Chosen, Move, OrderReason, Phase, Planned, PlannedState, RolloutPreview, What};
use crate::model::rollout::{Goal, Part, Purpose, RolloutConclusion, RolloutEvent, Step, StepOutcome, Unit};
use crate::model::service::{ServiceStep, ServiceUnit, UpdateOrder};
use jiff::{SignedDuration, Timestamp};
use simulation::Simulation;

mod command;
mod containers;
mod services;
mod simulation;

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
    let mut play = Play {
        simulation: Simulation::of(state),
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
    let (chosen, mut moves) = moves(state, &play.simulation, releases);
    for (index, moved) in moves.iter_mut().enumerate() {
        moved.phase = phase(state, &play.steps, index);
    }
    RolloutPreview {
        chosen,
        moves,
        steps: play.steps,
        ends,
    }
}

struct Play {
    simulation: Simulation,
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

impl Play {
    /// Replays the journal.
    fn replay(&mut self, events: &[Recorded<RolloutEvent>]) {
        let mut begun: Option<(&Step, Timestamp)> = None;
        for Recorded { at, event, .. } in events {
            match event {
                RolloutEvent::StepStarted { step, .. } => {
                    self.close(*at);
                    self.simulation.name(step);
                    begun = Some((step, *at));
                }
                RolloutEvent::StepEnded { outcome } => {
                    let Some((step, since)) = begun.take() else { continue };
                    self.ended(step, outcome, (since, *at));
                }
                RolloutEvent::StepAbandoned => {
                    let Some((step, _)) = begun.take() else { continue };
                    self.line(step, PlannedState::Abandoned);
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
            self.line(step, PlannedState::Running { since });
        }
    }

    fn ended(&mut self, step: &Step, outcome: &StepOutcome, (since, at): (Timestamp, Timestamp)) {
        let well = match outcome {
            StepOutcome::Failed { .. } | StepOutcome::Busy { .. } => false,
            StepOutcome::Done
            | StepOutcome::Unchanged
            | StepOutcome::Preflighted { .. }
            | StepOutcome::ServicesPreflighted { .. }
            | StepOutcome::Pulled { .. }
            | StepOutcome::Prepulled { .. }
            | StepOutcome::CommandPreflighted { .. }
            | StepOutcome::Ran { .. }
            | StepOutcome::Kept { .. } => true,
        };
        if !well {
            return self.line(step, PlannedState::Failed);
        }
        let took = at.duration_since(since);
        self.line(step, PlannedState::Done { took });
        self.simulation.perform(step);
        if let Some(total) = self.simulation.replaces(step) {
            self.watch(step.unit(), What::Tasks { total }, at, None);
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
        if let Progress::Started { step, .. } = &state.progress {
            self.take(&mut ahead, step, clock)?;
        }
        for _ in 0..ENOUGH {
            match next(&ahead, &self.simulation.seen(&ahead), &free, clock) {
                Next::Do { attempt, step } => {
                    self.line(&step, PlannedState::Ahead);
                    let started = RolloutEvent::StepStarted {
                        attempt,
                        step: step.clone(),
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
    fn take(&mut self, ahead: &mut RolloutState, step: &Step, clock: Timestamp) -> Option<()> {
        let outcome = self.simulation.perform(step);
        if let Some(total) = self.simulation.replaces(step) {
            self.ahead(step.unit(), What::Tasks { total });
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

    fn line(&mut self, step: &Step, state: PlannedState) {
        // A pre-pull changes nothing on the service, but people expect it in the service's list.
        let unit = if let Step::Service(ServiceStep::Prepull { unit }) = step {
            Some(*unit)
        } else {
            step.unit()
        };
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

fn moves(state: &RolloutState, simulation: &Simulation, releases: &[Release]) -> (Chosen, Vec<Move>) {
    let (chosen, unit_count) = match state.unit_count() {
        0 => (Chosen::Assumed, simulation.unit_count()),
        unit_count => (Chosen::Preflighted, unit_count),
    };
    let from = |from: String| (chosen == Chosen::Preflighted).then_some(from);
    let moves = match simulation {
        Simulation::Containers(simulation) => simulation.units[..unit_count]
            .iter()
            .map(|unit| Move {
                from: from(containers::image(unit, releases)),
                ..container(&state.target, unit)
            })
            .collect(),
        Simulation::Services(simulation) => simulation.units[..unit_count]
            .iter()
            .map(|unit| Move {
                from: from(services::image(unit)),
                order: (chosen == Chosen::Preflighted).then_some(unit.order),
                tasks: (chosen == Chosen::Preflighted).then(|| unit.size()),
                ..service(&state.target, unit)
            })
            .collect(),
        Simulation::Command(simulation) => vec![Move {
            name: simulation.name.clone(),
            part: Part::Release,
            from: simulation.unit.before.as_ref().map(|before| before.tag.clone()),
            order: None,
            why: OrderReason::Command,
            tasks: None,
            phase: Phase::Waiting,
        }],
    };
    (chosen, moves)
}

fn container(target: &TargetPolicy, unit: &Unit) -> Move {
    Move {
        name: unit.name.clone(),
        part: unit.part,
        from: None,
        order: Some(match rules::sequence(target, unit) {
            Sequence::StartFirst => UpdateOrder::StartFirst,
            Sequence::StopFirst => UpdateOrder::StopFirst,
        }),
        why: rules::reason(target, unit),
        tasks: None,
        phase: Phase::Waiting,
    }
}

fn service(target: &TargetPolicy, unit: &ServiceUnit) -> Move {
    Move {
        name: unit.name.clone(),
        part: Part::Release,
        from: None,
        order: None,
        why: match target.order {
            Order::Auto => OrderReason::Service,
            Order::StopFirst | Order::StartFirst => OrderReason::Configured,
        },
        tasks: None,
        phase: Phase::Waiting,
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
