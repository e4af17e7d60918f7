//! When unattended steps may be taken.
//!
//! A window is civil time; its openings are instants. Both ends follow one rule, [`first_instant`], which never goes
//! back when civil time goes forward: so openings can touch, but never overlap, whatever the zone does.

use crate::model::fleet::{Day, Window};
use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan};

/// One opening of a window, `[start, end)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// The civil day that owns it: the day of `from`, also after midnight.
    pub day: Date,
    pub start: Timestamp,
    pub end: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowState {
    /// Openings that touch count as one.
    Open {
        until: Timestamp,
    },
    Closed {
        opens: Timestamp,
    },
    /// No window, or one that never opens: nothing happens unattended (fail closed).
    Never,
}

/// Openings of `window` in the IANA zone `zone` that end after `from`, in order. `to` not later than `from` is on the
/// next day; equal times are a whole day.
///
/// A start in a gap is the first instant after it, a time in a fold its first occurrence; what a gap swallows whole, and
/// a day the zone skipped, has no opening. An unknown zone (configuration refuses it, but the machine's zone data can
/// change) never opens.
pub fn openings(window: &Window, zone: &str, from: Timestamp) -> impl Iterator<Item = Opening> + use<> {
    let window = window.clone();
    let zone = TimeZone::get(zone).ok().filter(|_| !window.days.is_empty());
    // Two days back: yesterday's opening may still be open, and a zone can skip a day.
    let first = zone
        .as_ref()
        .and_then(|zone| zone.to_datetime(from).date().checked_sub(2.days()).ok());
    std::iter::successors(first, |day| day.tomorrow().ok())
        .filter(move |day| window.days.iter().any(|d| weekday(*d) == day.weekday()))
        .filter_map(move |day| opening(day, window.from, window.to, zone.as_ref()?))
        .filter(move |opening| opening.end > from)
}

/// May an unattended step be taken now?
#[must_use]
pub fn state(window: Option<&Window>, zone: &str, now: Timestamp) -> WindowState {
    let Some(window) = window else {
        return WindowState::Never;
    };
    // A week of touching openings is as good as for ever, and bounds the walk.
    let mut openings = openings(window, zone, now).take(8);
    let Some(first) = openings.next() else {
        return WindowState::Never;
    };
    if first.start > now {
        return WindowState::Closed { opens: first.start };
    }
    let until = openings.fold(
        first.end,
        |until, next| if next.start == until { next.end } else { until },
    );
    WindowState::Open { until }
}

/// The opening owned by `day`, if that day has one.
pub(super) fn opening(day: Date, from: jiff::civil::Time, to: jiff::civil::Time, zone: &TimeZone) -> Option<Opening> {
    let midnight = first_instant(day.at(0, 0, 0, 0), zone)?;
    if zone.to_datetime(midnight).date() != day {
        return None;
    }
    let last = if to > from { day } else { day.tomorrow().ok()? };
    let start = first_instant(day.to_datetime(from), zone)?;
    let end = first_instant(last.to_datetime(to), zone)?;
    (start < end).then_some(Opening { day, start, end })
}

/// The first instant at which the zone's clock shows `at` or, in a gap, anything later.
fn first_instant(at: DateTime, zone: &TimeZone) -> Option<Timestamp> {
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

fn weekday(day: Day) -> Weekday {
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

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::{Time, time};
    use proptest::prelude::*;
    use std::fmt::Write as _;

    const ALL: [Day; 7] = [Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri, Day::Sat, Day::Sun];

    fn window(days: &[Day], from: Time, to: Time) -> Window {
        Window {
            days: days.to_vec(),
            from,
            to,
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// Over `from..to`: the openings whose length is not the usual one, as a person reads them.
    fn unusual(days: &[Day], span: (Time, Time), zone: &str, from: &str, to: &str) -> String {
        let tz = TimeZone::get(zone).unwrap();
        let civil = |t: Timestamp| tz.to_datetime(t).duration_since(DateTime::ZERO);
        let usual = match span.1.duration_since(span.0) {
            d if d.is_positive() => d,
            d => d + jiff::SignedDuration::from_hours(24),
        };
        let mut text = String::new();
        let mut count = 0;
        for o in openings(&window(days, span.0, span.1), zone, at(from)).take_while(|o| o.start < at(to)) {
            count += 1;
            let elapsed = o.end.duration_since(o.start);
            if elapsed != usual || civil(o.end) - civil(o.start) != usual {
                let shown = |t: Timestamp| t.to_zoned(tz.clone()).strftime("%a %d %H:%M %:z").to_string();
                writeln!(text, "{} {} → {} = {elapsed:#}", o.day, shown(o.start), shown(o.end)).unwrap();
            }
        }
        writeln!(text, "{count} openings").unwrap();
        text
    }

    const TWO_YEARS: (&str, &str) = ("2025-01-01T00:00:00Z", "2027-01-01T00:00:00Z");

    fn two_years(span: (Time, Time), zone: &str) -> String {
        unusual(&ALL, span, zone, TWO_YEARS.0, TWO_YEARS.1)
    }

    #[test]
    fn berlin_gap_and_fold() {
        insta::assert_snapshot!(two_years((time(2, 30, 0, 0), time(4, 0, 0, 0)), "Europe/Berlin"), @r"
        2025-03-30 Sun 30 03:00 +02:00 → Sun 30 04:00 +02:00 = 1h
        2025-10-26 Sun 26 02:30 +02:00 → Sun 26 04:00 +01:00 = 2h 30m
        2026-03-29 Sun 29 03:00 +02:00 → Sun 29 04:00 +02:00 = 1h
        2026-10-25 Sun 25 02:30 +02:00 → Sun 25 04:00 +01:00 = 2h 30m
        730 openings
        ");
        insta::assert_snapshot!(two_years((time(1, 0, 0, 0), time(2, 30, 0, 0)), "Europe/Berlin"), @r"
        2025-03-30 Sun 30 01:00 +01:00 → Sun 30 03:00 +02:00 = 1h
        2026-03-29 Sun 29 01:00 +01:00 → Sun 29 03:00 +02:00 = 1h
        730 openings
        ");
        // Wholly inside the gap: no opening on that day.
        insta::assert_snapshot!(two_years((time(2, 10, 0, 0), time(2, 50, 0, 0)), "Europe/Berlin"), @"728 openings");
    }

    #[test]
    fn moncton_over_midnight() {
        insta::assert_snapshot!(two_years((time(22, 0, 0, 0), time(2, 30, 0, 0)), "America/Moncton"), @r"
        2025-03-08 Sat 08 22:00 -04:00 → Sun 09 03:00 -03:00 = 4h
        2025-11-01 Sat 01 22:00 -03:00 → Sun 02 02:30 -04:00 = 5h 30m
        2026-03-07 Sat 07 22:00 -04:00 → Sun 08 03:00 -03:00 = 4h
        2026-10-31 Sat 31 22:00 -03:00 → Sun 01 02:30 -04:00 = 5h 30m
        730 openings
        ");
        insta::assert_snapshot!(two_years((time(1, 30, 0, 0), time(3, 30, 0, 0)), "America/Moncton"), @r"
        2025-03-09 Sun 09 01:30 -04:00 → Sun 09 03:30 -03:00 = 1h
        2025-11-02 Sun 02 01:30 -03:00 → Sun 02 03:30 -04:00 = 3h
        2026-03-08 Sun 08 01:30 -04:00 → Sun 08 03:30 -03:00 = 1h
        2026-11-01 Sun 01 01:30 -03:00 → Sun 01 03:30 -04:00 = 3h
        730 openings
        ");
    }

    #[test]
    fn lord_howe_moves_by_half_an_hour() {
        insta::assert_snapshot!(two_years((time(1, 45, 0, 0), time(3, 0, 0, 0)), "Australia/Lord_Howe"), @r"
        2025-04-06 Sun 06 01:45 +11:00 → Sun 06 03:00 +10:30 = 1h 45m
        2025-10-05 Sun 05 01:45 +10:30 → Sun 05 03:00 +11:00 = 45m
        2026-04-05 Sun 05 01:45 +11:00 → Sun 05 03:00 +10:30 = 1h 45m
        2026-10-04 Sun 04 01:45 +10:30 → Sun 04 03:00 +11:00 = 45m
        730 openings
        ");
        insta::assert_snapshot!(two_years((time(2, 15, 0, 0), time(3, 0, 0, 0)), "Australia/Lord_Howe"), @r"
        2025-10-05 Sun 05 02:30 +11:00 → Sun 05 03:00 +11:00 = 30m
        2026-10-04 Sun 04 02:30 +11:00 → Sun 04 03:00 +11:00 = 30m
        730 openings
        ");
    }

    #[test]
    fn kolkata_is_always_the_same() {
        insta::assert_snapshot!(two_years((time(3, 0, 0, 0), time(5, 0, 0, 0)), "Asia/Kolkata"), @"730 openings");
    }

    #[test]
    fn apia_skipped_a_day() {
        let span = ("2010-01-01T00:00:00Z", "2012-12-31T00:00:00Z");
        insta::assert_snapshot!(unusual(&ALL, (time(3, 0, 0, 0), time(5, 0, 0, 0)), "Pacific/Apia", span.0, span.1), @r"
        2011-04-02 Sat 02 03:00 -10:00 → Sat 02 05:00 -11:00 = 3h
        2011-09-24 Sat 24 04:00 -10:00 → Sat 24 05:00 -10:00 = 1h
        2012-04-01 Sun 01 03:00 +14:00 → Sun 01 05:00 +13:00 = 3h
        2012-09-30 Sun 30 04:00 +14:00 → Sun 30 05:00 +14:00 = 1h
        1095 openings
        ");
        insta::assert_snapshot!(unusual(&ALL, (time(22, 0, 0, 0), time(2, 0, 0, 0)), "Pacific/Apia", span.0, span.1), @r"
        2010-09-25 Sat 25 22:00 -11:00 → Sun 26 02:00 -10:00 = 3h
        2011-12-29 Thu 29 22:00 -10:00 → Sat 31 00:00 +14:00 = 2h
        1095 openings
        ");
        insta::assert_snapshot!(unusual(&[Day::Fri], (time(22, 0, 0, 0), time(2, 0, 0, 0)), "Pacific/Apia", span.0, span.1), @"156 openings");
    }

    #[test]
    fn a_whole_day_is_as_long_as_that_day() {
        insta::assert_snapshot!(two_years((Time::midnight(), Time::midnight()), "Europe/Berlin"), @r"
        2025-03-30 Sun 30 00:00 +01:00 → Mon 31 00:00 +02:00 = 23h
        2025-10-26 Sun 26 00:00 +02:00 → Mon 27 00:00 +01:00 = 25h
        2026-03-29 Sun 29 00:00 +01:00 → Mon 30 00:00 +02:00 = 23h
        2026-10-25 Sun 25 00:00 +02:00 → Mon 26 00:00 +01:00 = 25h
        731 openings
        ");
    }

    #[test]
    fn after_midnight_belongs_to_the_day_before() {
        // 2026-06-01 is a Monday; Berlin is UTC+2.
        let monday = window(&[Day::Mon], time(23, 0, 0, 0), time(2, 0, 0, 0));
        let state = |text| state(Some(&monday), "Europe/Berlin", at(text));
        let opens = at("2026-06-01T21:00:00Z");
        let until = at("2026-06-02T00:00:00Z");
        assert_eq!(
            state("2026-05-31T23:00:00Z"),
            WindowState::Closed { opens },
            "Monday 01:00"
        );
        assert_eq!(state("2026-06-01T20:59:59Z"), WindowState::Closed { opens });
        assert_eq!(state("2026-06-01T21:00:00Z"), WindowState::Open { until });
        assert_eq!(
            state("2026-06-01T23:59:59Z"),
            WindowState::Open { until },
            "Tuesday 01:59:59"
        );
        let opens = at("2026-06-08T21:00:00Z");
        assert_eq!(state("2026-06-02T00:00:00Z"), WindowState::Closed { opens });
    }

    #[test]
    fn touching_openings_are_one() {
        let always = window(&ALL, Time::midnight(), Time::midnight());
        let WindowState::Open { until } = state(Some(&always), "UTC", at("2026-06-01T12:00:00Z")) else {
            panic!("closed");
        };
        assert_eq!(until, at("2026-06-09T00:00:00Z"));
    }

    #[test]
    fn no_window_no_days_no_zone_never_opens() {
        let now = at("2026-06-01T12:00:00Z");
        assert_eq!(state(None, "UTC", now), WindowState::Never);
        let none = window(&[], time(1, 0, 0, 0), time(2, 0, 0, 0));
        assert_eq!(state(Some(&none), "UTC", now), WindowState::Never);
        let good = window(&ALL, time(1, 0, 0, 0), time(2, 0, 0, 0));
        assert_eq!(state(Some(&good), "Mars/Olympus", now), WindowState::Never);
    }

    fn zones() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "Europe/Berlin",
            "America/Moncton",
            "America/St_Johns",
            "America/Sao_Paulo",
            "Australia/Lord_Howe",
            "Asia/Kolkata",
            "Pacific/Apia",
            "Africa/Casablanca",
            "Antarctica/Troll",
            "UTC",
        ])
    }

    fn times() -> impl Strategy<Value = Time> {
        (0_i8..24, 0_i8..60).prop_map(|(h, m)| time(h, m, 0, 0))
    }

    proptest! {
        #[test]
        fn openings_are_ordered_nonempty_and_apart(
            zone in zones(),
            from in times(),
            to in times(),
            days in prop::collection::vec(prop::sample::select(ALL.to_vec()), 1..7),
            // 2009 to 2030
            start in 1_230_000_000_i64..1_900_000_000,
        ) {
            let start = Timestamp::from_second(start).unwrap();
            let window = window(&days, from, to);
            let found: Vec<_> = openings(&window, zone, start).take(120).collect();
            prop_assert_eq!(found.len(), 120);
            prop_assert!(found[0].end > start);
            for o in &found {
                prop_assert!(o.start < o.end, "{:?}", o);
                prop_assert!(days.iter().any(|d| weekday(*d) == o.day.weekday()));
            }
            for pair in found.windows(2) {
                prop_assert!(pair[0].end <= pair[1].start, "{:?}", pair);
            }
            // The same openings are found from anywhere inside.
            let again = openings(&window, zone, found[60].start).next().unwrap();
            prop_assert_eq!(again, found[60]);
            prop_assert_eq!(state(Some(&window), zone, found[60].start) == WindowState::Never, false);
        }
    }
}
