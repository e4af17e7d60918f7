//! When a rollout may move. Windows are checked before its first change and between two of its units, and never for a
//! rollback.

use super::failed::roll_back;
use super::{Next, RolloutState};
use crate::decide::app_state::Waits;
use crate::decide::window::{self, Between, Resume, Start, SuspensionsLeft, Underway};
use crate::kinds::kind::{About, Kind, KindState, KindStep, View};
use jiff::{SignedDuration, Timestamp};
use lowtide_model::failure::{Failure, FailureKind, WaitReason};
use lowtide_model::name::RunId;
use lowtide_model::rollout::{Purpose, RolloutConclusion};
use lowtide_model::window::{Closing, Escalation, Occurrence, Patience, Window};
use std::collections::BTreeSet;

/// How often a suspended rollout is checked: its new containers serve meanwhile.
const SUSPENDED_POLL: SignedDuration = SignedDuration::from_secs(30);

/// What can block rollouts from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    Open,
    Paused,
    Halted,
    /// A newer release of the app is there.
    Superseded(RunId),
    /// Its own release is quarantined.
    Withdrawn,
}

/// Outside conditions of a rollout. They are read again before each decision, because configuration, zone data and
/// clock can change while a rollout waits.
#[derive(Debug, Clone, PartialEq)]
pub struct Outside {
    pub gate: Gate,
    /// Of the configuration in force.
    pub window: Option<Window>,
    /// IANA zone of the app.
    pub timezone: String,
    /// How much of an opening it may need, bake and way back included.
    pub needs: SignedDuration,
    /// The opening in which an earlier rollout of this release was under way on this target.
    pub taken: Option<Occurrence>,
    pub waits: Waits,
}

/// How a rollout has moved through openings, as its events say.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WindowProgress {
    /// The opening it is, or was last, under way in.
    pub entered: Option<Occurrence>,
    /// The first change.
    pub begun: Option<Timestamp>,
    /// When the bake began.
    pub baking: Option<Timestamp>,
    /// Set while the rollout is suspended: why, and since when.
    pub suspended: Option<(Closing, Timestamp)>,
    /// How often it was suspended.
    pub suspensions: usize,
    /// People were notified that it waits.
    pub late_notice_sent: bool,
    /// Units with a step of their own, in whatever direction.
    pub units: BTreeSet<usize>,
}

impl WindowProgress {
    pub(super) fn begin(&mut self, about: About, at: Timestamp) {
        self.units.extend(about.unit);
        if about.changes() {
            self.begun.get_or_insert(at);
        }
    }

    pub(super) fn suspend(&mut self, closing: &Closing, at: Timestamp) {
        self.suspended = Some((closing.clone(), at));
        self.suspensions += 1;
    }

    pub(super) fn enter(&mut self, occurrence: &Occurrence) {
        self.entered = Some(occurrence.clone());
        self.suspended = None;
    }
}

/// What prevents a rollout from starting. Once the target was touched, other rules apply.
pub(super) fn held_back<S>(state: &RolloutState, outside: &Outside, now: Timestamp) -> Option<Next<S>> {
    if state.touched || state.purpose == Purpose::Revert {
        return None;
    }
    let wait = |reason| Some(Next::Wait { until: None, reason });
    match outside.gate {
        Gate::Open if state.window_ignored => None,
        Gate::Open => wait_for_window(state, outside, now),
        Gate::Paused => wait(WaitReason::Paused),
        Gate::Halted => wait(WaitReason::Halted),
        Gate::Superseded(by) => Some(Next::Finish(RolloutConclusion::Superseded { by })),
        Gate::Withdrawn => Some(Next::Finish(withdrawn(state))),
    }
}

/// Conclusion of a rollout that had changed nothing when its release was withdrawn.
pub(super) fn withdrawn(state: &RolloutState) -> RolloutConclusion {
    RolloutConclusion::Refused {
        failure: withdrawal(state),
    }
}

/// A rollout in progress rolls back when its release is withdrawn, even on an irreversible target: a person has decided
/// so. Once old containers are being removed, there is nothing to roll back to: the rollout completes, and another one
/// brings the older release back.
pub(super) fn rolled_back_by_operator<K: Kind>(
    state: &RolloutState,
    view: View<'_, K>,
    outside: &Outside,
) -> Option<Next<K::Step>> {
    let turns = outside.gate == Gate::Withdrawn && !view.state.is_committed();
    turns.then(|| roll_back(view, withdrawal(state)))
}

fn withdrawal(state: &RolloutState) -> Failure {
    Failure::new(FailureKind::Withdrawn, format!("{} is quarantined", state.release.tag))
}

/// Returns `planned`, the next step by the target's own rules, or what the window requires instead.
pub(super) fn within<S: KindStep>(
    state: &RolloutState,
    outside: &Outside,
    planned: Next<S>,
    now: Timestamp,
) -> Next<S> {
    let Next::Do { step, .. } = &planned else {
        // A suspended rollout still watches the containers it has placed.
        return planned;
    };
    if state.window_ignored || state.purpose == Purpose::Revert {
        return planned;
    }
    if !state.touched {
        return match enters(state, outside, now).filter(|_| step.about().changes()) {
            Some(occurrence) => Next::Enter { occurrence },
            None => planned,
        };
    }
    // A started unit is always finished. Units move in the order of their numbers. A unit with a higher number may have
    // been stopped early because it lives in the namespaces of a lower one; it does not serve again until its own turn,
    // so all units up to it are finished.
    let begun = &state.window_progress.units;
    if step
        .about()
        .unit
        .is_none_or(|unit| begun.iter().any(|begun| *begun >= unit))
    {
        return planned;
    }
    match &state.window_progress.suspended {
        Some((closing, since)) => suspended(state, outside, (closing, *since), now),
        None => between_units(state, outside, planned, now),
    }
}

/// The opening that is entered with the first change.
fn enters(state: &RolloutState, outside: &Outside, now: Timestamp) -> Option<Occurrence> {
    match start(outside, now) {
        Start::Now { occurrence } if state.window_progress.entered.as_ref() != Some(&occurrence) => Some(occurrence),
        Start::Now { .. }
        | Start::Later { .. }
        | Start::TooShort { .. }
        | Start::Frozen { .. }
        | Start::NoWindow
        | Start::Never => None,
    }
}

fn start(outside: &Outside, now: Timestamp) -> Start {
    let Outside {
        window,
        timezone,
        needs,
        taken,
        ..
    } = outside;
    let (window, taken) = (window.as_ref(), taken.as_ref());
    let patience = patience(outside);
    if patience.then == Escalation::Start && due(outside, patience) <= now {
        window::escalated(window, timezone, taken, now)
    } else {
        window::start(window, timezone, *needs, taken, now)
    }
}

fn wait_for_window<S>(state: &RolloutState, outside: &Outside, now: Timestamp) -> Option<Next<S>> {
    let (until, reason) = match start(outside, now) {
        Start::Now { .. } => return None,
        Start::Later { opens } => (Some(opens), WaitReason::Window { opens }),
        Start::TooShort { needs, longest } => (None, WaitReason::WindowTooShort { needs, longest }),
        Start::Frozen { why } => (None, WaitReason::Frozen { why }),
        Start::NoWindow => (None, WaitReason::NoWindow),
        Start::Never => (None, WaitReason::WindowNeverOpens),
    };
    let due = due(outside, patience(outside));
    if due <= now && !state.window_progress.late_notice_sent {
        let since = outside.waits.since;
        return Some(Next::Escalate { since, reason });
    }
    let until = until.map(|opens| if due > now { opens.min(due) } else { opens });
    Some(Next::Wait { until, reason })
}

/// A program that repeatedly requests a later retry is escalated like a window that does not open.
pub(super) fn or_escalate<S>(state: &RolloutState, outside: &Outside, next: Next<S>, now: Timestamp) -> Next<S> {
    if let Next::Wait { reason, .. } = &next
        && matches!(reason, WaitReason::HookBusy { .. })
        && due(outside, patience(outside)) <= now
        && !state.window_progress.late_notice_sent
    {
        return Next::Escalate {
            since: outside.waits.since,
            reason: reason.clone(),
        };
    }
    next
}

fn patience(outside: &Outside) -> Patience {
    outside
        .window
        .as_ref()
        .map(|window| window.patience)
        .unwrap_or_default()
}

/// When people are notified that the release waits.
fn due(outside: &Outside, patience: Patience) -> Timestamp {
    let Waits { since, security } = outside.waits;
    let limit = if security {
        patience.max_wait_security.min(patience.max_wait)
    } else {
        patience.max_wait
    };
    since.saturating_add(limit).unwrap_or(Timestamp::MAX)
}

fn between_units<S>(state: &RolloutState, outside: &Outside, planned: Next<S>, now: Timestamp) -> Next<S> {
    let left = if state.window_progress.suspensions == 0 {
        SuspensionsLeft::One
    } else {
        SuspensionsLeft::None
    };
    let underway = Underway {
        // Units go one after the other: those that were begun are done.
        done: state.window_progress.units.len(),
        units: state.unit_count(),
        suspensions: Some(left),
    };
    match window::between_units(outside.window.as_ref(), &outside.timezone, underway, now) {
        Between::GoOn => planned,
        Between::Suspend(closing) => Next::Suspend { closing },
        Between::Back(closing) => back(state, &closing).unwrap_or(planned),
    }
}

fn suspended<S>(state: &RolloutState, outside: &Outside, since: (&Closing, Timestamp), now: Timestamp) -> Next<S> {
    let entered = state.window_progress.entered.as_ref();
    // An irreversible target cannot roll back, so it waits without a limit.
    let since = if state.target.irreversible {
        (since.0, now)
    } else {
        since
    };
    match window::resume(outside.window.as_ref(), &outside.timezone, since, entered, now) {
        Resume::Now(occurrence) => Next::Enter { occurrence },
        Resume::Wait { until } => Next::Wait {
            until: Some(until.min(now + SUSPENDED_POLL)),
            reason: WaitReason::Suspended {
                closing: since.0.clone(),
                until,
            },
        },
        Resume::Back => back(state, since.0).unwrap_or_else(|| Next::Wait {
            until: Some(now + SUSPENDED_POLL),
            reason: WaitReason::NoWindow,
        }),
    }
}

/// When a suspended rollout goes on or back at the latest; `None`: now.
#[must_use]
pub fn suspended_until(
    state: &RolloutState,
    outside: &Outside,
    since: (&Closing, Timestamp),
    now: Timestamp,
) -> Option<Timestamp> {
    let entered = state.window_progress.entered.as_ref();
    match window::resume(outside.window.as_ref(), &outside.timezone, since, entered, now) {
        Resume::Wait { until } => Some(until),
        Resume::Now(_) | Resume::Back => None,
    }
}

/// `None` for an irreversible target: its data may have been migrated, so a rollback is worse than moving on outside
/// the window.
fn back<S>(state: &RolloutState, closing: &Closing) -> Option<Next<S>> {
    let why = match closing {
        Closing::Ended => "its window had closed".to_owned(),
        Closing::Denied { why: None } => "its window was denied".to_owned(),
        Closing::Denied { why: Some(why) } | Closing::Frozen { why } => format!("its window was closed: {why}"),
    };
    let (done, of) = (state.window_progress.units.len(), state.unit_count());
    let detail = format!("{done} of {of} were done when {why}");
    (!state.target.irreversible).then(|| Next::DecideRevert(Failure::new(FailureKind::WindowClosed, detail)))
}
