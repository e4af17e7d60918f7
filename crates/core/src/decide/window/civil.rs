//! Civil spans as instants. Both ends of a span follow one rule, [`first_instant`], which never goes back when civil time
//! goes forward: so the spans of different days can touch, but never overlap, whatever the zone does.

use super::Opening;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use lowtide_model::window::{Day, Until};

/// The opening owned by `day`, if that day has one.
///
/// A start in a gap moves to the first instant after it; a time in a fold is its first occurrence. There is no opening
/// if a gap covers all of it, or on a day that the zone skipped. A length is elapsed time, whatever the clock does
/// meanwhile.
pub(in crate::decide) fn opening(day: Date, from: Time, until: Until, zone: &TimeZone) -> Option<Opening> {
    let midnight = first_instant(day.at(0, 0, 0, 0), zone)?;
    if zone.to_datetime(midnight).date() != day {
        return None;
    }
    let start = first_instant(day.to_datetime(from), zone)?;
    let end = match until {
        Until::To(to) => {
            let last = if to > from { day } else { day.tomorrow().ok()? };
            first_instant(last.to_datetime(to), zone)?
        }
        Until::For(length) => start.checked_add(length).ok()?,
    };
    (start < end).then_some(Opening { day, start, end })
}

/// The first instant at which the zone's clock shows `at` or, in a gap, anything later.
pub(super) fn first_instant(at: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    match zone.to_ambiguous_timestamp(at).offset() {
        AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
            offset.to_timestamp(at).ok()
        }
        AmbiguousOffset::Gap { after, .. } => {
            // Read with the offset after the gap, `at` lies before the change itself.
            let before_change = after.to_timestamp(at).ok()?;
            let mut changes = zone.following(before_change);
            changes.find(|c| c.offset() == after).map(|c| c.timestamp())
        }
    }
}

pub(super) fn weekday(day: Day) -> Weekday {
    match day {
        Day::Mon => Weekday::Monday,
        Day::Tue => Weekday::Tuesday,
        Day::Wed => Weekday::Wednesday,
        Day::Thu => Weekday::Thursday,
        Day::Fri => Weekday::Friday,
        Day::Sat => Weekday::Saturday,
        Day::Sun => Weekday::Sunday,
    }
}
