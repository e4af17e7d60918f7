//! Item 56: starts and ends in gaps and folds, weekdays across midnight, days and weeks.

use super::{at, window};
use crate::decide::window::civil::weekday;
use crate::decide::window::{WindowState, forecast, openings, state, swallowed};
use jiff::civil::{DateTime, Time, time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use lowtide_model::window::{ClockChange, Day, Until, Weekly, Window};
use proptest::prelude::*;
use std::fmt::Write as _;

const ALL: [Day; 7] = Day::ALL;

/// Over `from..to`: the openings whose length is not the usual one, as a person reads them.
fn unusual(opens: &Weekly, zone: &str, from: &str, to: &str) -> String {
    let tz = TimeZone::get(zone).unwrap();
    let civil = |t: Timestamp| tz.to_datetime(t).duration_since(DateTime::ZERO);
    let usual = match opens.until {
        Until::For(length) => length,
        Until::To(to) => match to.duration_since(opens.from) {
            d if d.is_positive() => d,
            d => d + SignedDuration::from_hours(24),
        },
    };
    let mut text = String::new();
    let mut count = 0;
    let window = Window::from(opens.clone());
    for o in openings(&window, zone, at(from)).take_while(|o| o.start < at(to)) {
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
    two_years_of(&Weekly::between(&ALL, span.0, span.1), zone)
}

fn two_years_of(opens: &Weekly, zone: &str) -> String {
    unusual(opens, zone, TWO_YEARS.0, TWO_YEARS.1)
}

/// Every day from `from` on, for so many minutes of elapsed time.
fn lasting(days: &[Day], from: Time, minutes: i64) -> Weekly {
    Weekly {
        until: Until::For(SignedDuration::from_mins(minutes)),
        ..Weekly::between(days, from, from)
    }
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
fn new_york_gap_and_fold() {
    insta::assert_snapshot!(two_years((time(2, 30, 0, 0), time(4, 0, 0, 0)), "America/New_York"), @r"
    2025-03-09 Sun 09 03:00 -04:00 → Sun 09 04:00 -04:00 = 1h
    2026-03-08 Sun 08 03:00 -04:00 → Sun 08 04:00 -04:00 = 1h
    730 openings
    ");
    insta::assert_snapshot!(two_years((time(1, 30, 0, 0), time(3, 0, 0, 0)), "America/New_York"), @r"
    2025-03-09 Sun 09 01:30 -05:00 → Sun 09 03:00 -04:00 = 30m
    2025-11-02 Sun 02 01:30 -04:00 → Sun 02 03:00 -05:00 = 2h 30m
    2026-03-08 Sun 08 01:30 -05:00 → Sun 08 03:00 -04:00 = 30m
    2026-11-01 Sun 01 01:30 -04:00 → Sun 01 03:00 -05:00 = 2h 30m
    730 openings
    ");
    // Ends inside the repeated hour: its first occurrence.
    insta::assert_snapshot!(two_years((time(0, 0, 0, 0), time(1, 30, 0, 0)), "America/New_York"), @r"730 openings");
}

/// A length is elapsed time: the difference of the local times may be more or less.
#[test]
fn lengths_are_elapsed_time() {
    insta::assert_snapshot!(two_years_of(&lasting(&ALL, time(1, 30, 0, 0), 120), "Europe/Berlin"), @r"
    2025-03-30 Sun 30 01:30 +01:00 → Sun 30 04:30 +02:00 = 2h
    2025-10-26 Sun 26 01:30 +02:00 → Sun 26 02:30 +01:00 = 2h
    2026-03-29 Sun 29 01:30 +01:00 → Sun 29 04:30 +02:00 = 2h
    2026-10-25 Sun 25 01:30 +02:00 → Sun 25 02:30 +01:00 = 2h
    730 openings
    ");
    // A start in the gap moves with its whole length.
    insta::assert_snapshot!(two_years_of(&lasting(&ALL, time(2, 30, 0, 0), 120), "Europe/Berlin"), @r"
    2025-10-26 Sun 26 02:30 +02:00 → Sun 26 03:30 +01:00 = 2h
    2026-10-25 Sun 25 02:30 +02:00 → Sun 25 03:30 +01:00 = 2h
    730 openings
    ");
    // Across midnight into the gap of half an hour.
    insta::assert_snapshot!(two_years_of(&lasting(&[Day::Sat], time(23, 0, 0, 0), 240), "Australia/Lord_Howe"), @r"
    2025-04-05 Sat 05 23:00 +11:00 → Sun 06 02:30 +10:30 = 4h
    2025-10-04 Sat 04 23:00 +10:30 → Sun 05 03:30 +11:00 = 4h
    2026-04-04 Sat 04 23:00 +11:00 → Sun 05 02:30 +10:30 = 4h
    2026-10-03 Sat 03 23:00 +10:30 → Sun 04 03:30 +11:00 = 4h
    104 openings
    ");
    insta::assert_snapshot!(two_years_of(&lasting(&ALL, time(22, 0, 0, 0), 240), "Asia/Kolkata"), @r"730 openings");
}

/// Days of 23 hours: an opening that would reach into the next one ends there, so the window is simply always open.
#[test]
fn a_day_and_a_week_long() {
    insta::assert_snapshot!(two_years_of(&lasting(&ALL, time(6, 0, 0, 0), 24 * 60), "Europe/Berlin"), @r"
    2025-03-29 Sat 29 06:00 +01:00 → Sun 30 06:00 +02:00 = 23h
    2025-10-25 Sat 25 06:00 +02:00 → Sun 26 05:00 +01:00 = 24h
    2026-03-28 Sat 28 06:00 +01:00 → Sun 29 06:00 +02:00 = 23h
    2026-10-24 Sat 24 06:00 +02:00 → Sun 25 05:00 +01:00 = 24h
    731 openings
    ");
    insta::assert_snapshot!(two_years_of(&lasting(&[Day::Mon], time(6, 0, 0, 0), 7 * 24 * 60), "Europe/Berlin"), @r"
    2025-03-24 Mon 24 06:00 +01:00 → Mon 31 06:00 +02:00 = 167h
    2025-10-20 Mon 20 06:00 +02:00 → Mon 27 05:00 +01:00 = 168h
    2026-03-23 Mon 23 06:00 +01:00 → Mon 30 06:00 +02:00 = 167h
    2026-10-19 Mon 19 06:00 +02:00 → Mon 26 05:00 +01:00 = 168h
    105 openings
    ");
    // The last hour of a week with a fold is in no opening.
    let week = Window::from(lasting(&[Day::Mon], time(6, 0, 0, 0), 7 * 24 * 60));
    let at_five = at("2026-10-26T04:30:00Z");
    assert_eq!(
        state(Some(&week), "Europe/Berlin", at_five),
        WindowState::Closed {
            opens: at("2026-10-26T05:00:00Z")
        }
    );
    // Found from its last day as well.
    let found = openings(&week, "Europe/Berlin", at("2026-06-07T12:00:00Z"))
        .next()
        .unwrap();
    assert_eq!(found.day.to_string(), "2026-06-01");
}

#[test]
fn a_window_may_have_a_zone_of_its_own() {
    let mut kolkata = window(&[Day::Mon], time(3, 0, 0, 0), time(5, 0, 0, 0));
    kolkata.opens.zone = Some("Asia/Kolkata".to_owned());
    let found = openings(&kolkata, "America/New_York", at("2026-06-01T00:00:00Z"))
        .next()
        .unwrap();
    // 2026-06-08 is the Monday after; Kolkata is UTC+5:30.
    assert_eq!(
        (found.day.to_string().as_str(), found.start),
        ("2026-06-08", at("2026-06-07T21:30:00Z"))
    );
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
    insta::assert_snapshot!(unusual(&Weekly::between(&ALL, time(3, 0, 0, 0), time(5, 0, 0, 0)), "Pacific/Apia", span.0, span.1), @r"
    2011-04-02 Sat 02 03:00 -10:00 → Sat 02 05:00 -11:00 = 3h
    2011-09-24 Sat 24 04:00 -10:00 → Sat 24 05:00 -10:00 = 1h
    2012-04-01 Sun 01 03:00 +14:00 → Sun 01 05:00 +13:00 = 3h
    2012-09-30 Sun 30 04:00 +14:00 → Sun 30 05:00 +14:00 = 1h
    1095 openings
    ");
    insta::assert_snapshot!(unusual(&Weekly::between(&ALL, time(22, 0, 0, 0), time(2, 0, 0, 0)), "Pacific/Apia", span.0, span.1), @r"
    2010-09-25 Sat 25 22:00 -11:00 → Sun 26 02:00 -10:00 = 3h
    2011-12-29 Thu 29 22:00 -10:00 → Sat 31 00:00 +14:00 = 2h
    1095 openings
    ");
    insta::assert_snapshot!(unusual(&Weekly::between(&[Day::Fri], time(22, 0, 0, 0), time(2, 0, 0, 0)), "Pacific/Apia", span.0, span.1), @"156 openings");
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
    assert_eq!(state(None, "UTC", now), WindowState::NoWindow);
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
        // A search that starts inside an opening finds the same opening.
        let again = openings(&window, zone, found[60].start).next().unwrap();
        prop_assert_eq!(again, found[60]);
        prop_assert_eq!(state(Some(&window), zone, found[60].start) == WindowState::Never, false);
    }
}

#[test]
fn a_day_without_its_opening_is_reported() {
    let swallowed = |window: &Window, from: &str, to: &str| {
        let days = swallowed(window, "Europe/Berlin", (at(from), at(to)));
        days.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    // Wholly inside the hour that is skipped on that Sunday.
    let gap = |days: &[Day]| window(days, time(2, 10, 0, 0), time(2, 50, 0, 0));
    let (march, april) = ("2026-03-01T12:00:00Z", "2026-04-01T12:00:00Z");
    assert_eq!(swallowed(&gap(&ALL), march, april), ["2026-03-29"]);
    assert_eq!(
        swallowed(&gap(&[Day::Sat, Day::Mon]), march, april),
        Vec::<String>::new()
    );
    assert_eq!(swallowed(&gap(&ALL), "2026-03-29T12:00:00Z", april), ["2026-03-29"]);
    // The last day belongs to the next period.
    assert_eq!(
        swallowed(&gap(&ALL), march, "2026-03-29T12:00:00Z"),
        Vec::<String>::new()
    );
    let nights = window(&ALL, time(3, 0, 0, 0), time(5, 0, 0, 0));
    assert_eq!(swallowed(&nights, march, april), Vec::<String>::new());
}

#[test]
fn what_the_clock_does_to_an_opening_is_reported() {
    let clock_changes = |day: &str, from: Time, to: Time| {
        let start: jiff::civil::Date = day.parse().unwrap();
        let midnight = |day: jiff::civil::Date| day.in_tz("Europe/Berlin").unwrap().timestamp();
        let span = (midnight(start), midnight(start.tomorrow().unwrap()));
        let window = window(&ALL, from, to);
        let mut found = forecast(&window, "Europe/Berlin", jiff::SignedDuration::ZERO, span);
        found.next().unwrap().clock
    };
    let half_past_two = time(2, 30, 0, 0);
    let (spring, autumn) = ("2026-03-29", "2026-10-25");
    assert_eq!(
        clock_changes(spring, half_past_two, time(4, 0, 0, 0)),
        [ClockChange::BeginsLater { wanted: half_past_two }]
    );
    let longer = [
        ClockChange::EndsLater { wanted: half_past_two },
        ClockChange::GoesForward { lasts_secs: 3600 },
    ];
    assert_eq!(clock_changes(spring, time(1, 0, 0, 0), half_past_two), longer);
    assert_eq!(
        clock_changes(autumn, half_past_two, time(4, 0, 0, 0)),
        [ClockChange::GoesBack { lasts_secs: 9000 }]
    );
    assert_eq!(clock_changes("2026-06-01", half_past_two, time(4, 0, 0, 0)), []);
}
