//! The openings of a window, and what closures leave of them.

use super::Opening;
use super::civil::{first_instant, opening, weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp, ToSpan};
use lowtide_model::window::{ClosedSpan, Occurrence, Until, Weekly, Window};

/// How far ahead openings are searched: a window that is closed for longer counts as one that never opens.
const HORIZON: SignedDuration = SignedDuration::from_hours(1100 * 24);
/// At most this many touching openings are merged: a week of them is as good as always open, and the search stays
/// bounded.
const TOUCHING: usize = 8;

/// A closure as it falls on the calendar, `[start, end)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shut {
    pub start: Timestamp,
    pub end: Timestamp,
    /// Once, not every week.
    pub once: bool,
    /// In the operator's words.
    pub why: Option<String>,
}

/// Openings that touch, in order; never empty.
pub(super) struct Stretch(Vec<Opening>);

impl Stretch {
    pub(super) fn start(&self) -> Timestamp {
        self.0.first().map_or(Timestamp::MAX, |opening| opening.start)
    }
    pub(super) fn end(&self) -> Timestamp {
        self.0.last().map_or(Timestamp::MIN, |opening| opening.end)
    }
    /// The first moment from `now` on that is not in the opening `taken`, and the opening it is in.
    pub(super) fn without(&self, taken: Option<&Occurrence>, now: Timestamp) -> Option<(Timestamp, Opening)> {
        let free = |opening: &&Opening| opening.end > now && taken.is_none_or(|taken| taken.day != opening.day);
        let first = self.0.iter().find(free)?;
        Some((first.start.max(now), *first))
    }
}

/// Openings of `window` that end after `from`, in order, with closures taken out. `zone` is the app's; the window may have
/// its own. An unknown zone (configuration refuses it, but the machine's zone data can change) never opens.
pub fn openings(window: &Window, zone: &str, from: Timestamp) -> impl Iterator<Item = Opening> + use<> {
    every_opening(window, zone, from)
        .flat_map(|(whole, shut)| open_parts(whole, &shut))
        .filter(move |part| part.end > from)
}

/// Whole openings with the closures that fall on each.
pub(super) fn every_opening(
    window: &Window,
    zone: &str,
    from: Timestamp,
) -> impl Iterator<Item = (Opening, Vec<Shut>)> + use<> {
    let zone = window.opens.zone.as_deref().unwrap_or(zone).to_owned();
    let closures = window.closed.clone();
    let last = from.saturating_add(HORIZON).unwrap_or(Timestamp::MAX);
    weekly(&window.opens, &zone, from)
        .take_while(move |opening| opening.start <= last)
        .map(move |opening| {
            let found = closures.iter().flat_map(|closure| {
                let spans = falls_on(&closure.span, &zone, &opening);
                spans.into_iter().map(|(start, end)| Shut {
                    start,
                    end,
                    once: matches!(closure.span, ClosedSpan::Once { .. }),
                    why: closure.why.clone(),
                })
            });
            let mut shut: Vec<Shut> = found.collect();
            shut.sort_by_key(|shut| (shut.start, shut.end));
            (opening, shut)
        })
}

/// Openings that touch, taken together.
pub(super) fn stretches(window: &Window, zone: &str, from: Timestamp) -> impl Iterator<Item = Stretch> + use<> {
    let mut parts = openings(window, zone, from).peekable();
    std::iter::from_fn(move || {
        let first = parts.next()?;
        let mut end = first.end;
        let mut touching = vec![first];
        while let Some(next) = parts.next_if(|next| next.start == end && touching.len() < TOUCHING) {
            end = next.end;
            touching.push(next);
        }
        Some(Stretch(touching))
    })
}

/// The occurrences of a weekly span on the calendar. A `to` that is not later than `from` is on the next day. An
/// occurrence that would reach into the next one ends where the next begins.
fn weekly(span: &Weekly, zone: &str, from: Timestamp) -> impl Iterator<Item = Opening> + use<> {
    let Weekly {
        days, from: at, until, ..
    } = span.clone();
    let zone = span.zone.as_deref().unwrap_or(zone);
    let zone = TimeZone::get(zone).ok().filter(|_| !days.is_empty());
    // Yesterday's opening may still be open, and a zone can skip a day.
    let back: Span = match until {
        Until::To(_) => 2.days(),
        Until::For(_) => 9.days(),
    };
    let first = zone
        .as_ref()
        .and_then(|zone| zone.to_datetime(from).date().checked_sub(back).ok());
    let mut whole = std::iter::successors(first, |day| day.tomorrow().ok())
        .filter(move |day| days.iter().any(|d| weekday(*d) == day.weekday()))
        .filter_map(move |day| opening(day, at, until, zone.as_ref()?))
        .peekable();
    let apart = std::iter::from_fn(move || {
        let mut one = whole.next()?;
        one.end = whole.peek().map_or(one.end, |next| one.end.min(next.start));
        Some(one)
    });
    apart.filter(move |opening| opening.end > from)
}

fn falls_on(span: &ClosedSpan, zone: &str, on: &Opening) -> Vec<(Timestamp, Timestamp)> {
    let Opening { start, end, .. } = *on;
    match span {
        ClosedSpan::Weekly(span) => weekly(span, zone, start)
            .take_while(|closed| closed.start < end)
            .map(|closed| (closed.start, closed.end))
            .collect(),
        ClosedSpan::Once { from, to } => {
            let Ok(zone) = TimeZone::get(zone) else {
                return Vec::new();
            };
            let span = first_instant(*from, &zone).zip(first_instant(*to, &zone));
            span.filter(|(a, b)| *a < end && *b > start).into_iter().collect()
        }
    }
}

/// `shut` is ordered by start.
pub(super) fn open_parts(whole: Opening, shut: &[Shut]) -> Vec<Opening> {
    let mut parts = Vec::new();
    let mut start = whole.start;
    for closed in shut {
        if closed.start > start {
            parts.push(Opening {
                start,
                end: closed.start.min(whole.end),
                ..whole
            });
        }
        start = start.max(closed.end);
    }
    if start < whole.end {
        parts.push(Opening { start, ..whole });
    }
    parts
}
