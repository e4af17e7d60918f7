//! The openings in a period, with everything unusual about them, so that people can check a window before they rely on
//! it.

use super::civil::{opening, weekday};
use super::openings::{every_opening, open_parts, stretches};
use super::{Opening, Shut};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use lowtide_model::window::{ClockChange, Until, Window};

/// One opening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forecast {
    pub whole: Opening,
    /// What closures leave of it.
    pub open: Vec<Opening>,
    pub shut: Vec<Shut>,
    pub clock: Vec<ClockChange>,
    /// A rollout that takes `needs` can start in it.
    pub fits: bool,
}

/// Openings that end after `from` and begin before `to`, in order.
pub fn forecast(
    window: &Window,
    zone: &str,
    needs: SignedDuration,
    (from, to): (Timestamp, Timestamp),
) -> impl Iterator<Item = Forecast> + use<> {
    let name = window.opens.zone.as_deref().unwrap_or(zone);
    let tz = TimeZone::get(name).unwrap_or(TimeZone::UTC);
    let needs = window.cutoff.unwrap_or(needs);
    let opens = window.opens.clone();
    let mut long_enough = stretches(window, zone, from)
        .map(|stretch| (stretch.start(), stretch.end()))
        .filter(move |(start, end)| start.saturating_add(needs).is_ok_and(|done| done <= *end))
        .take_while(move |(start, _)| *start < to)
        .peekable();
    every_opening(window, zone, from)
        .take_while(move |(whole, _)| whole.start < to)
        .map(move |(whole, shut)| {
            let open = open_parts(whole, &shut);
            while long_enough.next_if(|(_, end)| *end <= whole.start).is_some() {}
            let fits = |part: &Opening| {
                long_enough.peek().is_some_and(|(start, end)| {
                    *start <= part.start && part.start.saturating_add(needs).is_ok_and(|done| done <= *end)
                })
            };
            // A long stretch may begin in the middle of the opening, after a closure.
            let begins = |part: &Opening| long_enough_within(part, needs);
            Forecast {
                fits: open.iter().any(fits) || open.iter().any(begins),
                clock: clock(&whole, opens.from, opens.until, &tz),
                whole,
                open,
                shut,
            }
        })
}

/// Days on which the window should open and does not: the clock skips all of it, or the day.
#[must_use]
pub fn swallowed(window: &Window, zone: &str, (from, to): (Timestamp, Timestamp)) -> Vec<Date> {
    let zone = window.opens.zone.as_deref().unwrap_or(zone);
    let Ok(zone) = TimeZone::get(zone) else {
        return Vec::new();
    };
    let (first, last) = (zone.to_datetime(from).date(), zone.to_datetime(to).date());
    let (at, until) = (window.opens.from, window.opens.until);
    std::iter::successors(Some(first), |day| day.tomorrow().ok())
        .take_while(|day| *day < last)
        .filter(|day| window.opens.days.iter().any(|d| weekday(*d) == day.weekday()))
        .filter(|day| opening(*day, at, until, &zone).is_none())
        .collect()
}

fn long_enough_within(part: &Opening, needs: SignedDuration) -> bool {
    part.end.duration_since(part.start) >= needs
}

fn clock(whole: &Opening, from: jiff::civil::Time, until: Until, zone: &TimeZone) -> Vec<ClockChange> {
    let (start, end) = (zone.to_datetime(whole.start), zone.to_datetime(whole.end));
    let mut changes = Vec::new();
    if start.time() != from {
        changes.push(ClockChange::BeginsLater { wanted: from });
    }
    if let Until::To(to) = until
        && end.time() > to
    {
        changes.push(ClockChange::EndsLater { wanted: to });
    }
    let lasts = whole.end.duration_since(whole.start);
    let wall = end.duration_since(start);
    let lasts_secs = lasts.as_secs();
    match lasts.cmp(&wall) {
        std::cmp::Ordering::Greater => changes.push(ClockChange::GoesBack { lasts_secs }),
        std::cmp::Ordering::Less => changes.push(ClockChange::GoesForward { lasts_secs }),
        std::cmp::Ordering::Equal => {}
    }
    changes
}
