//! What is taken out of openings: deny wins, once or every week, in its own zone or the window's.

use super::{at, once, window};
use crate::decide::window::{WindowState, openings, state};
use jiff::civil::{Time, time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use lowtide_model::window::{ClosedSpan, Closure, Day, Until, Weekly, Window};

const BERLIN: &str = "Europe/Berlin";

fn nights() -> Window {
    window(&Day::ALL, time(3, 0, 0, 0), time(5, 0, 0, 0))
}

fn weekly(opens: Weekly) -> Closure {
    Closure {
        span: ClosedSpan::Weekly(opens),
        why: None,
    }
}

fn shown(window: &Window, from: &str, to: &str) -> String {
    let tz = TimeZone::get(BERLIN).unwrap();
    let local = |t: Timestamp| t.to_zoned(tz.clone()).strftime("%a %d %H:%M").to_string();
    let found = openings(window, BERLIN, at(from)).take_while(|o| o.start < at(to));
    let lines: Vec<String> = found
        .map(|o| format!("{} {} → {}", o.day, local(o.start), local(o.end)))
        .collect();
    lines.join("\n")
}

#[test]
fn deny_wins_in_the_middle_at_the_ends_and_over_all() {
    let mut window = nights();
    window.closed = vec![
        // Monday: in the middle. Tuesday: over the beginning. Wednesday: over the end. Thursday: all of it.
        weekly(Weekly::between(&[Day::Mon], time(3, 30, 0, 0), time(4, 0, 0, 0))),
        weekly(Weekly::between(&[Day::Mon], time(23, 0, 0, 0), time(3, 15, 0, 0))),
        weekly(Weekly::between(&[Day::Wed], time(4, 45, 0, 0), time(6, 0, 0, 0))),
        weekly(Weekly::between(&[Day::Thu], Time::midnight(), Time::midnight())),
        // Overlapping ones count once.
        weekly(Weekly::between(&[Day::Mon], time(3, 45, 0, 0), time(4, 15, 0, 0))),
    ];
    insta::assert_snapshot!(shown(&window, "2026-06-01T00:00:00Z", "2026-06-05T12:00:00Z"), @r"
    2026-06-01 Mon 01 03:00 → Mon 01 03:30
    2026-06-01 Mon 01 04:15 → Mon 01 05:00
    2026-06-02 Tue 02 03:15 → Tue 02 05:00
    2026-06-03 Wed 03 03:00 → Wed 03 04:45
    2026-06-05 Fri 05 03:00 → Fri 05 05:00
    ");
}

#[test]
fn a_denied_length_reaches_over_midnight() {
    let mut window = nights();
    window.closed = vec![weekly(Weekly {
        until: Until::For(SignedDuration::from_hours(62)),
        ..Weekly::between(&[Day::Fri], time(16, 0, 0, 0), Time::midnight())
    })];
    // Friday 16:00 and 62 hours: until Monday 06:00.
    insta::assert_snapshot!(shown(&window, "2026-06-05T00:00:00Z", "2026-06-10T00:00:00Z"), @r"
    2026-06-05 Fri 05 03:00 → Fri 05 05:00
    2026-06-09 Tue 09 03:00 → Tue 09 05:00
    ");
}

#[test]
fn a_blackout_ends_before_its_last_date() {
    let mut window = window(&Day::ALL, time(22, 0, 0, 0), time(2, 0, 0, 0));
    window.closed = vec![once("2026-12-20T00:00", "2027-01-04T00:00", "year end")];
    insta::assert_snapshot!(shown(&window, "2026-12-18T12:00:00Z", "2027-01-05T12:00:00Z"), @r"
    2026-12-18 Fri 18 22:00 → Sat 19 02:00
    2026-12-19 Sat 19 22:00 → Sun 20 00:00
    2027-01-03 Mon 04 00:00 → Mon 04 02:00
    2027-01-04 Mon 04 22:00 → Tue 05 02:00
    ");
    assert_eq!(
        state(Some(&window), BERLIN, at("2026-12-25T00:00:00Z")),
        WindowState::Closed {
            opens: at("2027-01-03T23:00:00Z")
        }
    );
}

#[test]
fn blackouts_follow_the_clock_of_the_wall() {
    // Berlin skips 02:00–03:00: a blackout from 02:30 begins with the first moment after the gap.
    let mut window = window(&Day::ALL, time(1, 0, 0, 0), time(6, 0, 0, 0));
    window.closed = vec![once("2026-03-29T02:30", "2026-03-29T04:00", "gap")];
    insta::assert_snapshot!(shown(&window, "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z"), @r"
    2026-03-29 Sun 29 01:00 → Sun 29 03:00
    2026-03-29 Sun 29 04:00 → Sun 29 06:00
    ");
    // In the repeated hour both ends are first occurrences.
    window.closed = vec![once("2026-10-25T02:15", "2026-10-25T02:45", "fold")];
    let found: Vec<_> = openings(&window, BERLIN, at("2026-10-24T12:00:00Z")).take(2).collect();
    assert_eq!(found[0].end, at("2026-10-25T00:15:00Z"));
    assert_eq!(found[1].start, at("2026-10-25T00:45:00Z"));
}

#[test]
fn a_denied_span_may_have_a_zone_of_its_own() {
    let mut window = nights();
    let mut closed = Weekly::between(&Day::ALL, time(21, 0, 0, 0), time(21, 30, 0, 0));
    closed.zone = Some("America/New_York".to_owned());
    window.closed = vec![weekly(closed)];
    insta::assert_snapshot!(shown(&window, "2026-06-01T00:00:00Z", "2026-06-02T00:00:00Z"), @r"2026-06-01 Mon 01 03:30 → Mon 01 05:00");
}

#[test]
fn frozen_or_for_ever_denied() {
    let mut window = nights();
    let now = at("2026-06-01T01:30:00Z");
    assert!(matches!(state(Some(&window), BERLIN, now), WindowState::Open { .. }));
    window.freeze = Some("release week".to_owned());
    assert_eq!(state(Some(&window), BERLIN, now), WindowState::Frozen);
    window.freeze = None;
    window.closed = vec![weekly(Weekly::between(&Day::ALL, Time::midnight(), Time::midnight()))];
    assert_eq!(state(Some(&window), BERLIN, now), WindowState::Never);
}
