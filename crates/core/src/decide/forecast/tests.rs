use super::super::schedule::tests_app;
use super::*;
use crate::decide::app_state::AppState;
use crate::decide::gates::outside;
use crate::fleet::rollout::RolloutEvent;
use crate::kinds::containers::policy::{ContainerSelect, ContainersPolicy};
use crate::kinds::kind::TargetSettings;
use crate::kinds::list::TargetKind;
use jiff::civil::{Time, time};
use lowtide_model::journal::Recorded;
use lowtide_model::name::{RolloutId, RunId};
use lowtide_model::policy::{Ready, ReadyCheck};
use lowtide_model::release::{Images, Release};
use lowtide_model::window::{Day, Weekly, Window};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(in crate::decide) fn target(window: Option<(Time, Time)>) -> TargetPolicy {
    let minute = SignedDuration::from_mins(1);
    TargetPolicy {
        settings: TargetSettings {
            name: "front".parse().unwrap(),
            channel: None,
            host: "web1".parse().unwrap(),
            window: window.map(|(from, to)| Window::from(Weekly::between(&Day::ALL, from, to))),
            ready: Ready {
                check: ReadyCheck::Healthcheck,
                timeout: minute,
            },
            bake: minute,
            irreversible: false,
            unhealthy: lowtide_model::policy::Unhealthy::Refuse,
        },
        kind: TargetKind::Containers(Box::new(ContainersPolicy {
            select: ContainerSelect::Name { name: "web".into() },
            before: vec![],
            after: vec![],
            stop_timeout: None,
            order: lowtide_model::policy::Order::Auto,
            router: None,
            preflight: crate::kinds::containers::policy::PreflightPolicy::Full,
        })),
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

/// A rollout that waits, with a window from 3 to 5.
fn waiting(window_ignored: bool) -> RolloutState {
    let image = format!("sha256:{}", "b".repeat(64));
    let opened = RolloutEvent::Opened {
        app: "web".parse().unwrap(),
        target: Box::new(target(Some((time(3, 0, 0, 0), time(5, 0, 0, 0))))),
        timezone: "UTC".to_owned(),
        release: Box::new(Release {
            upstream: None,
            run: RunId(ulid::Ulid(7)),
            images: Images::one(image.parse().unwrap(), image.parse().unwrap()),
            commit: Some("c".repeat(40)),
            tag: "t1".to_owned(),
            digest: None,
            reference: "example.org/web:t1".parse().unwrap(),
            change: None,
            sidecars: std::collections::BTreeMap::new(),
            at: at("2026-11-23T00:00:00Z"),
        }),
        window_ignored,
        purpose: Purpose::Release,
    };
    let opened = Recorded {
        seq: 1,
        at: at("2026-11-23T00:00:00Z"),
        event: opened,
    };
    rollout::fold(RolloutId(ulid::Ulid(9)), &[opened]).unwrap()
}

#[test]
fn the_opening_is_forecast() {
    let (before, within) = (at("2026-11-24T00:00:00Z"), at("2026-11-24T03:30:00Z"));
    let (opens, until) = (at("2026-11-24T03:00:00Z"), at("2026-11-24T05:00:00Z"));
    let next = |opens, until| Entry::At {
        opens: Some(opens),
        until,
    };
    let open = Entry::At { opens: None, until };
    let tomorrow = next(at("2026-11-25T03:00:00Z"), at("2026-11-25T05:00:00Z"));
    let table = [
        (
            "waits",
            false,
            Some(WaitReason::Window { opens }),
            before,
            next(opens, until),
        ),
        (
            "is paused before",
            false,
            Some(WaitReason::Paused),
            before,
            next(opens, until),
        ),
        ("is paused within", false, Some(WaitReason::Paused), within, open),
        (
            "is paused too late",
            false,
            Some(WaitReason::Paused),
            at("2026-11-24T04:59:00Z"),
            tomorrow,
        ),
        ("works", false, None, within, open),
        (
            "bakes on after the end",
            false,
            Some(WaitReason::Baking { until }),
            before,
            Entry::Unknown,
        ),
        ("has none", false, Some(WaitReason::NoWindow), before, Entry::Unknown),
        ("was told not to wait", true, None, before, Entry::Ignored),
    ];
    for (name, ignored, waits, now, wanted) in table {
        let state = waiting(ignored);
        let app = tests_app("web", Schedule::Never, "UTC");
        let outside = outside(&state, &AppState::default(), Some(&app), false);
        assert_eq!(entry(&state, &outside, waits.as_ref(), now), wanted, "{name}");
    }
}

/// A rollout waits until exactly the end of its bake; a rollback does not wait for the bake.
#[test]
fn a_bake_is_waited_for_until_it_ends() {
    let end = at("2026-11-24T04:00:00Z");
    let waits = |goal, now: &str| {
        let mut state = waiting(true);
        (state.bake, state.goal) = (Some(end), goal);
        let app = tests_app("web", Schedule::Never, "UTC");
        let outside = outside(&state, &AppState::default(), Some(&app), false);
        rollout_waits(&state, &outside, at(now))
    };
    let baking = Some(WaitReason::Baking { until: end });
    assert_eq!(waits(Goal::Forward, "2026-11-24T03:00:00Z"), baking);
    assert_eq!(waits(Goal::Forward, "2026-11-24T03:59:59Z"), baking);
    assert_eq!(waits(Goal::Forward, "2026-11-24T04:00:00Z"), None);
    assert_eq!(waits(Goal::Forward, "2026-11-24T05:00:00Z"), None);
    assert_eq!(waits(Goal::Back, "2026-11-24T03:00:00Z"), None);
}
