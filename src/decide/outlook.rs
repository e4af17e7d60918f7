//! What lies ahead, foretold for people. Nothing is decided here: it asks the decisions what they would say.

use super::rollout::{self, Gate, Next, RolloutState};
use super::standing::Standing;
use super::window::{self, WindowState};
use crate::model::failure::WaitReason;
use crate::model::fleet::{App, Schedule, TargetPolicy};
use crate::model::name::RunId;
use crate::model::rollout::{Goal, Observed, Purpose};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

/// What holds a rollout of `release` back from outside.
#[must_use]
pub fn gate(standing: &Standing, release: RunId, paused: bool) -> Gate {
    let newer = standing
        .current()
        .map(|current| current.run)
        .filter(|current| *current > release);
    match newer {
        Some(newer) => Gate::Superseded(newer),
        None if paused => Gate::Paused,
        None if standing.halted.is_some() => Gate::Halted,
        None => Gate::Open,
    }
}

/// What an open rollout waits for, as far as its journal alone can tell; `None`: it is at work.
#[must_use]
pub fn rollout_waits(state: &RolloutState, standing: &Standing, paused: bool, now: Timestamp) -> Option<WaitReason> {
    if let (Goal::Forward, Some(until)) = (state.goal, state.bake)
        && until > now
    {
        return Some(WaitReason::Baking { until });
    }
    let gate = match (state.goal, state.purpose) {
        (Goal::Back, _) | (_, Purpose::Revert) => Gate::Open,
        (Goal::Forward, Purpose::Release) => gate(standing, state.release.run, paused),
    };
    // Without a look at the containers later steps come out as `Finish`: at work, then.
    match rollout::next(state, &Observed::Nothing, gate, now) {
        Next::Wait { reason, .. } => Some(reason),
        Next::Do { .. } | Next::StartBake { .. } | Next::DecideRevert(_) | Next::Finish(_) | Next::Over => None,
    }
}

/// When the window of a target opens, for a release that would be there now.
#[must_use]
pub fn target_window(target: &TargetPolicy, zone: &str, now: Timestamp) -> WindowState {
    window::state(target.window.as_ref(), zone, now)
}

/// A night that ends too late for a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLate {
    /// When a run that starts last thing in the night is done, going by earlier runs.
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
    // A window that is open all the while takes what comes.
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
