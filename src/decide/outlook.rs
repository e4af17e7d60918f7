//! Forecasts for people. Nothing is decided here: a forecast calls the decision functions and shows what they would
//! decide.

use super::rollout::{self, Gate, Next, Outside, RolloutState};
use super::standing::{self, Standing, TargetState, Waits};
use super::window::{self, Start, WindowState};
use crate::model::failure::WaitReason;
use crate::model::fleet::{App, Schedule, Select, TargetPolicy};
use crate::model::outlook::Entry;
use crate::model::rollout::{Goal, Observed, Purpose};
use crate::model::standing::Release;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

/// What outside the rollout keeps a rollout of `release` from starting.
#[must_use]
pub fn gate(standing: &Standing, release: &Release, paused: bool) -> Gate {
    if standing.quarantine.contains(&release.content) {
        return Gate::Withdrawn;
    }
    let newer = standing
        .current()
        .map(|current| current.run)
        .filter(|current| *current > release.run);
    match newer {
        Some(newer) => Gate::Superseded(newer),
        None if paused => Gate::Paused,
        None if standing.halted.is_some() => Gate::Halted,
        None => Gate::Open,
    }
}

/// Outside conditions of a rollout. `app`: its current configuration, whose windows apply, not those of the time when
/// the rollout was opened.
#[must_use]
pub fn outside(state: &RolloutState, standing: &Standing, app: Option<&App>, paused: bool) -> Outside {
    let nothing = TargetState::default();
    let known = standing.targets.get(&state.target.name).unwrap_or(&nothing);
    let named = app.and_then(|app| Some((app, app.rollout.iter().find(|target| target.name == state.target.name)?)));
    let (window, timezone) = named.map_or((&state.target.window, &state.timezone), |(app, target)| {
        (&target.window, &app.timezone)
    });
    let units = if state.breadth() > 0 {
        state.breadth()
    } else {
        units(&state.target, known)
    };
    let taken = known
        .opening
        .as_ref()
        .filter(|(release, _)| *release == state.release.run);
    Outside {
        gate: match (state.goal, state.purpose) {
            // Going back is never gated.
            (Goal::Back, _) | (_, Purpose::Revert) => Gate::Open,
            (Goal::Forward, Purpose::Release | Purpose::Probation) => gate(standing, &state.release, paused),
        },
        window: window.clone(),
        timezone: timezone.clone(),
        needs: window::estimate(&state.target, units, &known.took),
        taken: taken.map(|(_, opening)| opening.clone()),
        waits: known.waits.unwrap_or(Waits {
            since: state.opened,
            security: false,
        }),
    }
}

/// What an open rollout waits for, as far as its journal alone shows; `None`: it is in progress.
#[must_use]
pub fn rollout_waits(state: &RolloutState, outside: &Outside, now: Timestamp) -> Option<WaitReason> {
    if let (Goal::Forward, Some(until)) = (state.goal, state.bake)
        && until > now
    {
        return Some(WaitReason::Baking { until });
    }
    if let (Goal::Forward, Some((closing, since))) = (state.goal, &state.course.suspended) {
        let until = rollout::suspended_until(state, outside, (closing, *since), now)?;
        let closing = closing.clone();
        return Some(WaitReason::Suspended { closing, until });
    }
    // Without observed containers any later step comes out as `Finish`: the rollout is in progress.
    match rollout::next(state, &Observed::Nothing, outside, now) {
        Next::Wait { reason, .. } | Next::Escalate { reason, .. } => Some(reason),
        Next::Do { .. }
        | Next::StartBake { .. }
        | Next::Enter { .. }
        | Next::Suspend { .. }
        | Next::DecideRevert(_)
        | Next::Finish(_)
        | Next::Over => None,
    }
}

/// The window opening in which a rollout runs or will run, as far as known. `waits`: what [`rollout_waits`] says.
#[must_use]
pub fn entry(state: &RolloutState, outside: &Outside, waits: Option<&WaitReason>, now: Timestamp) -> Entry {
    if state.window_ignored || state.purpose == Purpose::Revert || state.goal == Goal::Back {
        return Entry::Ignored;
    }
    let (window, zone) = (outside.window.as_ref(), outside.timezone.as_str());
    let opens = match waits {
        Some(WaitReason::Window { opens } | WaitReason::Suspended { until: opens, .. }) => *opens,
        Some(
            WaitReason::NoWindow
            | WaitReason::WindowNeverOpens
            | WaitReason::WindowTooShort { .. }
            | WaitReason::Frozen { .. },
        ) => {
            return Entry::Unknown;
        }
        // Something other than the window holds it back.
        Some(WaitReason::Paused | WaitReason::Halted | WaitReason::LastInQueue) if !state.touched => {
            match window::start(window, zone, outside.needs, outside.taken.as_ref(), now) {
                Start::Now { .. } => now,
                Start::Later { opens } => opens,
                Start::TooShort { .. } | Start::Frozen { .. } | Start::NoWindow | Start::Never => {
                    return Entry::Unknown;
                }
            }
        }
        Some(
            WaitReason::Paused
            | WaitReason::Halted
            | WaitReason::LastInQueue
            | WaitReason::OtherRuns { .. }
            | WaitReason::Baking { .. }
            | WaitReason::Converging { .. }
            | WaitReason::HookBusy { .. }
            | WaitReason::Retry { .. },
        )
        | None => now,
    };
    match window::state(window, zone, opens) {
        WindowState::Open { until } => Entry::At {
            opens: (opens > now).then_some(opens),
            until,
        },
        WindowState::Closed { .. } | WindowState::Frozen | WindowState::NoWindow | WindowState::Never => Entry::Unknown,
    }
}

/// When the window of a target opens, for a release that would be there now.
#[must_use]
pub fn target_window(target: &TargetPolicy, zone: &str, now: Timestamp) -> WindowState {
    window::state(target.window.as_ref(), zone, now)
}

/// Estimated duration of a target's next rollout, and the number of earlier rollouts it is based on.
#[must_use]
pub fn estimate(target: &TargetPolicy, standing: &Standing) -> (SignedDuration, usize) {
    let nothing = TargetState::default();
    let known = standing.targets.get(&target.name).unwrap_or(&nothing);
    let target = standing::expected(standing, target.clone());
    (
        window::estimate(&target, units(&target, known), &known.took),
        known.took.len(),
    )
}

/// Number of containers or services: as in the last rollout, otherwise as configured.
fn units(target: &TargetPolicy, known: &TargetState) -> usize {
    match &target.select {
        _ if known.units > 0 => known.units,
        Select::Compose { services, .. } => services.len(),
        Select::Stack { services, .. } => services.len().max(1),
        Select::Container { .. }
        | Select::Label { .. }
        | Select::Service { .. }
        | Select::Itself
        | Select::Command(_) => 1,
    }
}

/// A night that ends too late for a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLate {
    /// When a run that starts at the end of the night would be done, going by earlier runs.
    pub done: Timestamp,
    pub opens: Timestamp,
}

/// Would a run of the night of `slot` that takes as long as earlier ones (`usual`) be done before the target's window
/// opens? `None`: yes, or there is nothing to compare.
#[must_use]
pub fn too_late(app: &App, target: &TargetPolicy, slot: Timestamp, usual: SignedDuration) -> Option<TooLate> {
    let window = target.window.as_ref()?;
    let opening = window::openings(window, &app.timezone, slot).next()?;
    let done = night_end(app, slot)? + usual;
    // A window that is already open at `slot` cannot be missed.
    (opening.start > slot && done > opening.start).then_some(TooLate {
        done,
        opens: opening.start,
    })
}

/// The end of the night a slot lies in; for a cron schedule the slot itself.
fn night_end(app: &App, slot: Timestamp) -> Option<Timestamp> {
    match &app.schedule {
        Schedule::Never => None,
        Schedule::Cron(_) => Some(slot),
        Schedule::Between { to, .. } => {
            let zone = TimeZone::get(&app.timezone).ok()?;
            let local = slot.to_zoned(zone.clone()).datetime();
            let day = if local.time() <= *to {
                local.date()
            } else {
                local.date().checked_add(1.day()).ok()?
            };
            day.to_datetime(*to).to_zoned(zone).ok().map(|end| end.timestamp())
        }
    }
}

/// The middle one; of an even number the smaller of the two.
#[must_use]
pub fn median(mut durations: Vec<SignedDuration>) -> Option<SignedDuration> {
    durations.sort_unstable();
    durations.get(durations.len().checked_sub(1)? / 2).copied()
}

#[cfg(test)]
mod tests;
