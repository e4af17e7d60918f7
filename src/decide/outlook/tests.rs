use super::super::schedule::tests_app;
use super::*;
use crate::model::fleet::{Ready, ReadyCheck, Select};
use crate::model::window::{Day, Weekly, Window};
use jiff::civil::{Time, time};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn target(window: Option<(Time, Time)>) -> TargetPolicy {
    let minute = SignedDuration::from_mins(1);
    TargetPolicy {
        name: "front".parse().unwrap(),
        channel: None,
        host: "web1".parse().unwrap(),
        select: Select::Container { name: "web".into() },
        window: window.map(|(from, to)| Window::from(Weekly::between(&Day::ALL, from, to))),
        ready: Ready {
            check: ReadyCheck::Healthcheck,
            timeout: minute,
        },
        before: vec![],
        after: vec![],
        bake: minute,
        stop_timeout: None,
        irreversible: false,
        order: crate::model::fleet::Order::Auto,
        router: None,
    }
}

#[test]
fn a_night_that_ends_too_late_is_seen() {
    let night = Schedule::Between {
        from: time(22, 0, 0, 0),
        to: time(2, 30, 0, 0),
    };
    let slot = at("2026-11-23T23:10:00Z");
    let window = Some((time(3, 0, 0, 0), time(5, 0, 0, 0)));
    let table = [
        ("fits", night.clone(), window, 29, None),
        ("just", night.clone(), window, 30, None),
        ("not", night.clone(), window, 31, Some("2026-11-24T03:01:00Z")),
        (
            "cron counts from its slot",
            Schedule::Cron("10 23 * * *".into()),
            window,
            31,
            None,
        ),
        (
            "cron too late",
            Schedule::Cron("10 23 * * *".into()),
            window,
            240,
            Some("2026-11-24T03:10:00Z"),
        ),
        ("no window, nothing to miss", night.clone(), None, 600, None),
        (
            "open all day",
            night.clone(),
            Some((time(0, 0, 0, 0), time(0, 0, 0, 0))),
            600,
            None,
        ),
        ("never", Schedule::Never, window, 600, None),
    ];
    for (name, schedule, window, minutes, done) in table {
        let app = tests_app("web", schedule, "UTC");
        let found = too_late(&app, &target(window), slot, SignedDuration::from_mins(minutes));
        assert_eq!(found.map(|late| late.done), done.map(at), "{name}");
    }
}

#[test]
fn the_median_is_one_of_them() {
    let of = |mins: &[i64]| median(mins.iter().map(|m| SignedDuration::from_mins(*m)).collect()).map(|d| d.as_mins());
    assert_eq!(of(&[]), None);
    assert_eq!(of(&[5]), Some(5));
    assert_eq!(of(&[9, 1]), Some(1));
    assert_eq!(of(&[9, 1, 4]), Some(4));
}
