//! What happens to a rollout that is in progress when its opening ends. Checked only between units, because a started
//! unit is always finished, and never for a rollback.

use super::occurrence;
use super::openings::{every_opening, openings};
use jiff::{SignedDuration, Timestamp};
use lowtide_model::window::{Closing, Occurrence, Overrun, Window};

/// Longest wait with old and new containers side by side: a night, and the day before it.
const LONGEST_SUSPENSION: SignedDuration = SignedDuration::from_hours(36);

/// How far a rollout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Underway {
    pub done: usize,
    pub units: usize,
    /// `None`: the engine goes on by itself and cannot be suspended.
    pub suspensions: Option<SuspensionsLeft>,
}

/// Whether it was suspended before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SuspensionsLeft {
    One,
    None,
}

/// What to do before the next unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Between {
    GoOn,
    Suspend(Closing),
    Back(Closing),
}

/// What to do with a suspended rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resume {
    Now(Occurrence),
    Wait {
        until: Timestamp,
    },
    /// The next opening is too far away.
    Back,
}

/// Before the next unit of a rollout whose first one was begun in an opening.
#[must_use]
pub fn between_units(window: Option<&Window>, zone: &str, underway: Underway, now: Timestamp) -> Between {
    let Some(closing) = closing(window, zone, now) else {
        return Between::GoOn;
    };
    let half = underway.done * 2 >= underway.units;
    let chosen = window.and_then(|window| window.overrun);
    let can_suspend = underway.suspensions.is_some();
    let rule = match (&closing, chosen) {
        (Closing::Ended, None) if half => Overrun::Finish,
        (Closing::Ended, None | Some(Overrun::Suspend)) if !can_suspend => Overrun::Finish,
        (Closing::Ended, Some(chosen)) => chosen,
        // An explicit closure or freeze overrides a configured `finish`.
        (Closing::Denied { .. } | Closing::Frozen { .. }, Some(Overrun::Revert)) => Overrun::Revert,
        (Closing::Denied { .. } | Closing::Frozen { .. }, _) if !can_suspend && half => Overrun::Finish,
        (Closing::Ended | Closing::Denied { .. } | Closing::Frozen { .. }, _) => Overrun::Suspend,
    };
    match rule {
        Overrun::Finish => Between::GoOn,
        Overrun::Revert => Between::Back(closing),
        Overrun::Suspend => match underway.suspensions {
            Some(SuspensionsLeft::One) if resumes_in_time(window, zone, &closing, now) => Between::Suspend(closing),
            Some(SuspensionsLeft::One | SuspensionsLeft::None) | None => Between::Back(closing),
        },
    }
}

/// A suspended rollout. `entered`: the opening in which it was under way before.
#[must_use]
pub fn resume(
    window: Option<&Window>,
    zone: &str,
    suspended: (&Closing, Timestamp),
    entered: Option<&Occurrence>,
    now: Timestamp,
) -> Resume {
    let (closing, since) = suspended;
    let limit = since.saturating_add(LONGEST_SUSPENSION).unwrap_or(Timestamp::MAX);
    let Some(window) = window.filter(|_| now < limit) else {
        return Resume::Back;
    };
    if window.freeze.is_some() {
        return Resume::Wait { until: limit };
    }
    // An opening that ended does not reopen, even if the clock is set back.
    let over = entered.filter(|_| *closing == Closing::Ended);
    let next = openings(window, zone, now).find(|next| over.is_none_or(|over| over.day != next.day));
    match next {
        Some(next) if next.start <= now => Resume::Now(occurrence(window, zone, &next)),
        Some(next) if next.start < limit => Resume::Wait { until: next.start },
        Some(_) | None => Resume::Back,
    }
}

/// What has closed the window; `None`: it is open.
fn closing(window: Option<&Window>, zone: &str, now: Timestamp) -> Option<Closing> {
    let Some(window) = window else {
        return Some(Closing::Ended);
    };
    if let Some(why) = &window.freeze {
        return Some(Closing::Frozen { why: why.clone() });
    }
    let around = every_opening(window, zone, now)
        .next()
        .filter(|(whole, _)| whole.start <= now);
    let Some((_, shut)) = around else {
        return Some(Closing::Ended);
    };
    let mut closed = shut.into_iter().filter(|shut| shut.start <= now && shut.end > now);
    closed.next().map(|shut| Closing::Denied { why: shut.why })
}

/// Is there an opening soon enough to wait for?
fn resumes_in_time(window: Option<&Window>, zone: &str, closing: &Closing, now: Timestamp) -> bool {
    match closing {
        // A freeze has no known end; the limit of a suspension applies all the same.
        Closing::Frozen { .. } => true,
        Closing::Ended | Closing::Denied { .. } => window
            .and_then(|window| openings(window, zone, now).next())
            .is_some_and(|next| next.start.duration_since(now) <= LONGEST_SUSPENSION),
    }
}
