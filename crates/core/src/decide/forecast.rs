//! Forecasts for people. Nothing is decided here: a forecast calls the decision functions and shows what they would
//! decide.

use super::rollout::{self, Next, Outside, RolloutState};
use super::window::{self, Start, WindowState};
use crate::fleet::app::App;
use crate::kinds::list::TargetPolicy;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use lowtide_model::failure::WaitReason;
use lowtide_model::policy::Schedule;
use lowtide_model::preview::Entry;
use lowtide_model::rollout::{Goal, Purpose};

/// What an open rollout waits for, as far as its journal alone shows; `None`: it is in progress.
#[must_use]
pub fn rollout_waits(state: &RolloutState, outside: &Outside, now: Timestamp) -> Option<WaitReason> {
    if let (Goal::Forward, Some(until)) = (state.goal, state.bake)
        && until > now
    {
        return Some(WaitReason::Baking { until });
    }
    if let (Goal::Forward, Some((closing, since))) = (state.goal, &state.window_progress.suspended) {
        let until = rollout::suspended_until(state, outside, (closing, *since), now)?;
        let closing = closing.clone();
        return Some(WaitReason::Suspended { closing, until });
    }
    // Without observed containers any later step comes out as `Finish`: the rollout is in progress.
    match rollout::next_unseen(state, outside, now) {
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
    window::state(target.settings.window.as_ref(), zone, now)
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
    let window = target.settings.window.as_ref()?;
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
pub(super) mod tests;
