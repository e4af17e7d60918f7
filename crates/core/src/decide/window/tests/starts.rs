//! Items 57, 60 and 64: one start per opening, only if the rollout fits, and always by the current zone data.

use super::{at, once, window};
use crate::decide::window::{Start, escalated, forecast, occurrence, openings, start};
use crate::kinds::command::policy::{CommandPolicy, CommandRequest, Probe};
use crate::kinds::containers::policy::{ContainerSelect, ContainersPolicy, PreflightPolicy};
use crate::kinds::kind::TargetSettings;
use crate::kinds::list::{TargetKind, TargetPolicy};
use jiff::civil::{Time, time};
use jiff::{SignedDuration, Timestamp};
use lowtide_model::policy::{Hook, Order, Ready, ReadyCheck};
use lowtide_model::window::{Day, Occurrence, Window};
use std::collections::BTreeMap;

const BERLIN: &str = "Europe/Berlin";

fn estimate(target: &TargetPolicy, units: usize, past: &[SignedDuration]) -> SignedDuration {
    crate::decide::window::estimate(target.unit_limit(), target.settings.bake, units, past)
}

fn minutes(n: i64) -> SignedDuration {
    SignedDuration::from_mins(n)
}

/// 03:00 to 05:00; in summer 01:00 to 03:00 UTC.
fn nights() -> Window {
    window(&Day::ALL, time(3, 0, 0, 0), time(5, 0, 0, 0))
}

fn later(text: &str) -> Start {
    Start::Later { opens: at(text) }
}

fn on(day: &str) -> Occurrence {
    Occurrence {
        day: day.parse().unwrap(),
        from: time(3, 0, 0, 0),
        zone: BERLIN.to_owned(),
    }
}

fn now_on(day: &str) -> Start {
    Start::Now { occurrence: on(day) }
}

#[test]
fn nothing_begins_that_would_not_be_over_in_time() {
    let window = nights();
    for (now, needs, expected) in [
        ("2026-06-01T00:59:59Z", 20, later("2026-06-01T01:00:00Z")),
        ("2026-06-01T01:00:00Z", 20, now_on("2026-06-01")),
        ("2026-06-01T02:40:00Z", 20, now_on("2026-06-01")),
        ("2026-06-01T02:40:01Z", 20, later("2026-06-02T01:00:00Z")),
        ("2026-06-01T03:00:00Z", 0, later("2026-06-02T01:00:00Z")),
        ("2026-06-01T01:00:00Z", 120, now_on("2026-06-01")),
    ] {
        assert_eq!(
            start(Some(&window), BERLIN, minutes(needs), None, at(now)),
            expected,
            "{now} {needs}"
        );
    }
}

#[test]
fn a_cutoff_of_the_operator_takes_the_place_of_the_estimate() {
    let mut window = nights();
    window.cutoff = Some(minutes(30));
    let begins = |now: &str| start(Some(&window), BERLIN, minutes(500), None, at(now));
    assert_eq!(begins("2026-06-01T02:30:00Z"), now_on("2026-06-01"));
    assert_eq!(begins("2026-06-01T02:30:01Z"), later("2026-06-02T01:00:00Z"));
}

#[test]
fn what_is_longer_than_every_opening_never_begins_and_says_why() {
    let mut window = nights();
    let now = at("2026-06-01T01:00:00Z");
    assert_eq!(
        start(Some(&window), BERLIN, minutes(121), None, now),
        Start::TooShort {
            needs: minutes(121),
            longest: minutes(120)
        }
    );
    // A deny in the middle leaves two short parts.
    window.closed = vec![once("2026-06-01T04:00", "2036-06-01T04:00", "long")];
    assert_eq!(
        start(Some(&window), BERLIN, minutes(61), None, now),
        Start::TooShort {
            needs: minutes(61),
            longest: minutes(60)
        }
    );
    // One opening a year that is long enough is enough.
    window.closed = vec![once("2026-06-01T04:00", "2026-11-01T00:00", "long")];
    assert_eq!(
        start(Some(&window), BERLIN, minutes(61), None, now),
        later("2026-11-01T02:00:00Z")
    );
}

#[test]
fn touching_openings_are_one_long_one() {
    let always = window(&Day::ALL, Time::midnight(), Time::midnight());
    let now = at("2026-06-01T21:00:00Z");
    let Start::Now { occurrence } = start(Some(&always), BERLIN, minutes(600), None, now) else {
        panic!("an open window is shut")
    };
    assert_eq!(occurrence.day.to_string(), "2026-06-01");
}

#[test]
fn frozen_and_without_a_window() {
    let mut window = nights();
    let now = at("2026-06-01T01:00:00Z");
    window.freeze = Some("release week".to_owned());
    let frozen = Start::Frozen {
        why: "release week".to_owned(),
    };
    assert_eq!(start(Some(&window), BERLIN, minutes(1), None, now), frozen);
    assert_eq!(
        escalated(Some(&window), BERLIN, None, now),
        frozen,
        "a freeze is stronger than impatience"
    );
    assert_eq!(start(None, BERLIN, minutes(1), None, now), Start::NoWindow);
    assert_eq!(escalated(None, BERLIN, None, now), Start::NoWindow);
    assert_eq!(
        start(Some(&nights()), "Mars/Olympus", minutes(1), None, now),
        Start::Never
    );
}

/// The hour from 02:00 to 03:00 comes twice on 2026-10-25 in Berlin: 00:00 UTC and 01:00 UTC.
#[test]
fn an_opening_in_a_fold_is_used_once() {
    let window = window(&Day::ALL, time(2, 0, 0, 0), time(2, 45, 0, 0));
    let first = at("2026-10-25T00:00:00Z");
    let Start::Now { occurrence: taken } = start(Some(&window), BERLIN, minutes(10), None, first) else {
        panic!("an open window is shut")
    };
    let next_night = later("2026-10-26T01:00:00Z");
    // A rollout that was started in this opening is not started again: not later in it, not when the clock shows 02:00
    // again.
    for now in [
        "2026-10-25T00:00:01Z",
        "2026-10-25T00:30:00Z",
        "2026-10-25T01:00:00Z",
        "2026-10-25T01:30:00Z",
    ] {
        assert_eq!(
            start(Some(&window), BERLIN, minutes(10), Some(&taken), at(now)),
            next_night,
            "{now}"
        );
    }
    // Even if nothing was started, the second 02:00 is no opening.
    assert_eq!(
        start(Some(&window), BERLIN, minutes(10), None, at("2026-10-25T01:00:00Z")),
        next_night
    );
    // An opening over the whole fold is one opening.
    let long = super::window(&Day::ALL, time(1, 30, 0, 0), time(3, 30, 0, 0));
    let whole: Vec<_> = openings(&long, BERLIN, at("2026-10-24T12:00:00Z")).take(2).collect();
    assert_eq!(whole[0].end.duration_since(whole[0].start), minutes(180));
    let taken = occurrence(&long, BERLIN, &whole[0]);
    assert_eq!(
        start(
            Some(&long),
            BERLIN,
            minutes(10),
            Some(&taken),
            at("2026-10-25T01:15:00Z")
        ),
        Start::Later { opens: whole[1].start }
    );
}

#[test]
fn each_day_of_an_open_window_counts_for_itself() {
    let always = window(&Day::ALL, Time::midnight(), Time::midnight());
    let now = at("2026-06-01T12:00:00Z");
    let Start::Now { occurrence: taken } = start(Some(&always), BERLIN, minutes(10), None, now) else {
        panic!("an open window is shut")
    };
    assert_eq!(
        start(Some(&always), BERLIN, minutes(10), Some(&taken), now),
        later("2026-06-01T22:00:00Z")
    );
}

/// The same call with other zone data: nothing of the previous result is remembered. Until 2027 Morocco's clock is
/// UTC+1 or, in Ramadan, UTC; a decree that changes a zone amounts to another zone from one call to the next.
#[test]
fn new_zone_data_count_from_the_next_question_on() {
    let window = nights();
    let now = at("2026-06-01T00:10:00Z");
    let before = start(Some(&window), "Europe/Berlin", minutes(10), None, now);
    let after = start(Some(&window), "Europe/Helsinki", minutes(10), None, now);
    assert_eq!(before, later("2026-06-01T01:00:00Z"));
    assert!(matches!(after, Start::Now { .. }), "{after:?}");
    // A rollout started under the old data is not started again under the new: the day is civil.
    let taken = on("2026-06-01");
    let again = start(
        Some(&window),
        "Europe/London",
        minutes(10),
        Some(&taken),
        at("2026-06-01T02:30:00Z"),
    );
    assert_eq!(again, later("2026-06-02T02:00:00Z"));
}

#[test]
fn a_clock_that_was_set_counts_from_the_next_question_on() {
    let window = nights();
    let decision = |now: &str, taken: Option<&Occurrence>| start(Some(&window), BERLIN, minutes(10), taken, at(now));
    assert_eq!(decision("2026-06-01T02:00:00Z", None), now_on("2026-06-01"));
    assert_eq!(
        decision("2026-06-01T04:00:00Z", None),
        later("2026-06-02T01:00:00Z"),
        "set forward"
    );
    assert_eq!(
        decision("2026-06-01T00:30:00Z", None),
        later("2026-06-01T01:00:00Z"),
        "set back"
    );
    let taken = on("2026-06-01");
    assert_eq!(
        decision("2026-06-01T01:30:00Z", Some(&taken)),
        later("2026-06-02T01:00:00Z"),
        "set back after it began"
    );
}

#[test]
fn impatience_takes_the_longest_opening_of_the_coming_days() {
    let mut window = nights();
    // Monday to Thursday only an hour, Friday two.
    window.closed = vec![
        once("2026-06-01T04:00", "2026-06-01T09:00", "x"),
        once("2026-06-02T04:00", "2026-06-02T09:00", "x"),
    ];
    let decision = |now: &str| escalated(Some(&window), BERLIN, None, at(now));
    assert_eq!(decision("2026-06-01T00:00:00Z"), later("2026-06-03T01:00:00Z"));
    assert_eq!(decision("2026-06-03T01:00:00Z"), now_on("2026-06-03"));
    assert_eq!(
        decision("2026-06-03T02:00:00Z"),
        now_on("2026-06-03"),
        "half of it is left"
    );
    assert_eq!(decision("2026-06-03T02:00:01Z"), later("2026-06-04T01:00:00Z"));
    // A second late it is still the best of those that come before the same night next week.
    let weekly = super::window(&[Day::Mon, Day::Sat], time(3, 0, 0, 0), time(5, 0, 0, 0));
    let begun = escalated(Some(&weekly), BERLIN, None, at("2026-06-06T01:00:00Z"));
    assert_eq!(begun, now_on("2026-06-06"));
    // Only one opening a week: then that one.
    let weekly = super::window(&[Day::Mon], time(3, 0, 0, 0), time(5, 0, 0, 0));
    assert_eq!(
        escalated(Some(&weekly), BERLIN, None, at("2026-06-01T12:00:00Z")),
        later("2026-06-08T01:00:00Z")
    );
}

fn target(before: Vec<Hook>) -> TargetPolicy {
    TargetPolicy {
        settings: TargetSettings {
            name: "front".parse().unwrap(),
            channel: None,
            host: "web1".parse().unwrap(),
            window: None,
            ready: Ready {
                check: ReadyCheck::Healthcheck,
                timeout: minutes(2),
            },
            bake: minutes(10),
            irreversible: false,
            unhealthy: lowtide_model::policy::Unhealthy::Refuse,
        },
        kind: TargetKind::Containers(Box::new(ContainersPolicy {
            select: ContainerSelect::Name { name: "web".into() },
            before,
            after: vec![],
            stop_timeout: Some(minutes(1)),
            order: Order::default(),
            router: None,
            preflight: PreflightPolicy::Full,
        })),
    }
}

#[test]
fn a_command_may_take_its_own_time() {
    let mut target = target(vec![]);
    let probe = Some(Probe {
        ask: CommandRequest::Exec { command: vec![] },
        timeout: minutes(3),
    });
    let command = |probe| CommandPolicy {
        run: vec![],
        back: vec![],
        timeout: minutes(20),
        env: BTreeMap::new(),
        probe,
    };
    target.kind = TargetKind::Command(Box::new(command(None)));
    assert_eq!(estimate(&target, 1, &[]), minutes(20 + 10 + 20));
    target.kind = TargetKind::Command(Box::new(command(probe)));
    assert_eq!(estimate(&target, 1, &[]), minutes(23 + 10 + 23));
}

#[test]
fn the_estimate_counts_work_bake_and_the_way_back() {
    let target = target(vec![]);
    // No history: for each of two units 3 min forward and 3 min back, and 10 min bake.
    assert_eq!(estimate(&target, 2, &[]), minutes(22));
    assert_eq!(
        estimate(&target, 0, &[]),
        estimate(&target, 1, &[]),
        "before anyone has counted: one"
    );
    // Half again as long as the longest of a few.
    let past: Vec<_> = [2, 4, 3].map(minutes).to_vec();
    assert_eq!(estimate(&target, 2, &past), minutes(6 + 10 + 6));
    // One slow night in twenty does not count.
    let mut past = vec![minutes(2); 19];
    past.push(minutes(60));
    assert_eq!(estimate(&target, 1, &past), minutes(3 + 10 + 3));
    past.push(minutes(60));
    assert_eq!(estimate(&target, 1, &past), minutes(90 + 10 + 3));
}

#[test]
fn starts_are_found_fast_enough_to_be_polled() {
    // Three years of openings, each with a closure, none long enough: all of them are walked through.
    let mut window = nights();
    window.closed = vec![once("2026-06-01T04:00", "2036-06-01T04:00", "long")];
    let found = start(Some(&window), BERLIN, minutes(500), None, Timestamp::UNIX_EPOCH);
    assert!(matches!(found, Start::TooShort { .. }), "{found:?}");
}

/// A rollout fits if it fits into an uninterrupted open stretch, which may span several openings.
#[test]
fn a_forecast_says_what_fits() {
    let fits = |window: &Window, hours: i64| {
        let span = (at("2026-06-01T00:00:00Z"), at("2026-06-03T00:00:00Z"));
        let forecasts = forecast(window, "UTC", SignedDuration::from_hours(hours), span);
        forecasts.map(|forecast| forecast.fits).collect::<Vec<_>>()
    };
    let nights = window(&Day::ALL, time(3, 0, 0, 0), time(5, 0, 0, 0));
    assert_eq!(fits(&nights, 2), [true, true]);
    assert_eq!(fits(&nights, 3), [false, false]);
    let mut closed = nights.clone();
    closed.closed = vec![once("2026-06-01T03:30", "2026-06-01T04:00", "sale")];
    assert_eq!(fits(&closed, 1), [true, true], "after the closure");
    assert_eq!(fits(&closed, 2), [false, true]);
    let always = window(&Day::ALL, time(0, 0, 0, 0), time(0, 0, 0, 0));
    assert!(fits(&always, 30).into_iter().all(|fits| fits));
}
