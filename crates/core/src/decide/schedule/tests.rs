use super::super::family::{Member, families};
use super::*;
use jiff::civil::time;
use lowtide_model::policy::{BuildPolicy, GitRef, ImageOrigin, Limits, Mode, Ready, ReadyCheck, Retention, Source};
use proptest::prelude::*;
use std::fmt::Write as _;

/// With a calendar of its own for each question.
fn due(app: &App, place: &Place, progress: Progress, now: Timestamp) -> Option<Timestamp> {
    super::due(app, place, progress, &mut Calendar::default(), now)
}

fn next(app: &App, place: &Place, progress: Progress, now: Timestamp) -> Option<Timestamp> {
    super::next(app, place, progress, &mut Calendar::default(), now)
}

pub(crate) fn app(name: &str, schedule: Schedule, zone: &str) -> App {
    let hour = SignedDuration::from_hours(1);
    App {
        name: name.parse().unwrap(),
        mode: Mode::Observe,
        timezone: zone.to_owned(),
        maintainers: vec![],
        origin: ImageOrigin::Built {
            source: Source {
                repo: "https://git.example.org/app.git".into(),
                git_ref: GitRef::Head,
                context: String::new(),
                dockerfile: "Dockerfile".into(),
                submodules: false,
                username: None,
                token: None,
                ssh_key: None,
                timeout: hour,
                max_size: 1 << 30,
            },
            build: BuildPolicy {
                host: "build".parse().unwrap(),
                args: BTreeMap::new(),
                secrets: BTreeMap::new(),
                ssh: BTreeMap::new(),
                target: None,
                labels: BTreeMap::new(),
                label_schema: false,
                pull: true,
                timeout: hour,
                limits: Default::default(),
                max_log: 1 << 20,
                upgrade: false,
                max_age: None,
                ignore_paths: vec![],
            },
        },
        env: BTreeMap::new(),
        tests: vec![],
        ready: Ready {
            check: ReadyCheck::Healthcheck,
            timeout: hour,
        },
        publish: None,
        schedule,
        rollout: vec![],
        github_repo: None,
        halt: lowtide_model::halt::HaltPolicy::default(),
        repository_file: None,
    }
}

fn cron(text: &str) -> Schedule {
    Schedule::Cron(text.into())
}

fn nightly() -> Schedule {
    Schedule::Between {
        from: time(22, 0, 0, 0),
        to: time(2, 30, 0, 0),
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn since(text: &str) -> Progress {
    Progress {
        since: at(text),
        last: None,
    }
}

fn alone() -> Place {
    Families::default().place(&"x".parse().unwrap())
}

/// Every slot of two years, one after the other as a running bot uses them; those at an unusual local time are shown.
fn two_years(schedule: &Schedule, zone: &str, years: (&str, &str)) -> String {
    let app = app("archives", schedule.clone(), zone);
    let tz = TimeZone::get(zone).unwrap();
    let mut progress = since(years.0);
    let mut times: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut count = 0;
    while let Some(slot) = next(&app, &alone(), progress, progress.last.unwrap_or(progress.since)) {
        if slot >= at(years.1) {
            break;
        }
        assert_eq!(due(&app, &alone(), progress, slot), Some(slot), "next and due agree");
        let before = slot - SignedDuration::from_secs(1);
        assert_eq!(due(&app, &alone(), progress, before), None, "nothing is due before it");
        progress.last = Some(slot);
        assert_eq!(due(&app, &alone(), progress, slot), None, "a slot is taken up once");
        let local = slot.to_zoned(tz.clone());
        let of_time = times.entry(local.strftime("%H:%M").to_string()).or_default();
        of_time.push(local.strftime("%F %:z").to_string());
        count += 1;
    }
    let mut text = format!("{count} slots\n");
    for (time, days) in times {
        match days.len() {
            1..=9 => writeln!(text, "{time}: {}", days.join(", ")).unwrap(),
            n => writeln!(text, "{time}: {n} times").unwrap(),
        }
    }
    text
}

const YEARS: (&str, &str) = ("2025-01-01T00:00:00Z", "2027-01-01T00:00:00Z");

#[test]
fn cron_over_gaps_and_folds() {
    insta::assert_snapshot!(two_years(&cron("30 2 * * *"), "Europe/Berlin", YEARS), @r"
    730 slots
    02:30: 728 times
    03:00: 2025-03-30 +02:00, 2026-03-29 +02:00
    ");
    insta::assert_snapshot!(two_years(&cron("30 1 * * *"), "America/Moncton", YEARS), @r"
    730 slots
    01:30: 730 times
    ");
    insta::assert_snapshot!(two_years(&cron("15 2 * * *"), "Australia/Lord_Howe", YEARS), @r"
    730 slots
    02:15: 728 times
    02:30: 2025-10-05 +11:00, 2026-10-04 +11:00
    ");
    insta::assert_snapshot!(two_years(&cron("30 1 * * *"), "Asia/Kolkata", YEARS), @r"
    730 slots
    01:30: 730 times
    ");
    // The Friday that was skipped has no slot.
    insta::assert_snapshot!(two_years(&cron("0 3 * * 5"), "Pacific/Apia", ("2010-01-01T00:00:00Z", "2012-12-31T00:00:00Z")), @r"
    156 slots
    03:00: 156 times
    ");
}

#[test]
fn nightly_over_gaps_and_folds() {
    insta::assert_snapshot!(two_years(&nightly(), "Europe/Berlin", YEARS), @r"
    730 slots
    01:28: 2025-03-30 +01:00, 2026-03-29 +01:00
    01:54: 728 times
    ");
    insta::assert_snapshot!(two_years(&nightly(), "America/Moncton", YEARS), @r"
    730 slots
    01:28: 2025-03-09 -04:00, 2026-03-08 -04:00
    01:46: 2025-11-02 -04:00, 2026-11-01 -04:00
    01:54: 726 times
    ");
    insta::assert_snapshot!(two_years(&nightly(), "Australia/Lord_Howe", YEARS), @r"
    730 slots
    01:28: 2025-10-05 +10:30, 2026-10-04 +10:30
    01:50: 2025-04-06 +10:30, 2026-04-05 +10:30
    01:54: 726 times
    ");
    insta::assert_snapshot!(two_years(&nightly(), "Asia/Kolkata", YEARS), @r"
    730 slots
    01:54: 730 times
    ");
    insta::assert_snapshot!(two_years(&nightly(), "Pacific/Apia", ("2010-01-01T00:00:00Z", "2012-12-31T00:00:00Z")), @r"
    1095 slots
    01:54: 1093 times
    02:02: 2010-09-26 -10:00
    23:44: 2011-12-29 -10:00
    ");
}

#[test]
fn missed_slots_are_one_catch_up() {
    let app = app("a", cron("0 3 * * *"), "UTC");
    let progress = Progress {
        since: at("2026-01-01T00:00:00Z"),
        last: Some(at("2026-05-01T03:00:00Z")),
    };
    let now = at("2026-05-09T12:00:00Z");
    assert_eq!(due(&app, &alone(), progress, now), Some(at("2026-05-09T03:00:00Z")));
    let taken = Progress {
        last: due(&app, &alone(), progress, now),
        ..progress
    };
    assert_eq!(due(&app, &alone(), taken, now), None);
    assert_eq!(next(&app, &alone(), taken, now), Some(at("2026-05-10T03:00:00Z")));
}

#[test]
fn a_new_app_waits_for_its_first_slot() {
    let app = app("a", cron("0 3 * * *"), "UTC");
    let progress = since("2026-05-09T12:00:00Z");
    assert_eq!(due(&app, &alone(), progress, at("2026-05-10T02:59:59Z")), None);
    assert!(due(&app, &alone(), progress, at("2026-05-10T03:00:00Z")).is_some());
}

#[test]
fn a_clock_that_goes_back_repeats_nothing() {
    let app = app("a", cron("0 * * * *"), "UTC");
    let progress = Progress {
        since: at("2026-01-01T00:00:00Z"),
        last: Some(at("2026-05-09T12:00:00Z")),
    };
    assert_eq!(due(&app, &alone(), progress, at("2026-05-09T11:30:00Z")), None);
    let next = next(&app, &alone(), progress, at("2026-05-09T11:30:00Z"));
    assert_eq!(next, Some(at("2026-05-09T13:00:00Z")));
}

#[test]
fn what_cannot_fire_is_never_due() {
    let now = at("2026-05-09T12:00:00Z");
    for (schedule, zone) in [
        (Schedule::Never, "UTC"),
        (cron("0 0 30 2 *"), "UTC"),
        (cron("nonsense"), "UTC"),
        (cron("0 0 3 * * *"), "UTC"),
        (cron("0 3 * * *"), "Mars/Olympus"),
    ] {
        let app = app("a", schedule, zone);
        assert_eq!(
            due(&app, &alone(), since("2020-01-01T00:00:00Z"), now),
            None,
            "{:?}",
            app.schedule
        );
        assert_eq!(
            next(&app, &alone(), since("2020-01-01T00:00:00Z"), now),
            None,
            "{:?}",
            app.schedule
        );
    }
}

#[test]
fn a_slot_at_the_very_start_of_the_night_takes_the_night() {
    let app = app("child", nightly(), "UTC");
    let progress = |last| Progress {
        last: Some(at(last)),
        ..since("2026-05-01T12:00:00Z")
    };
    let morning = at("2026-05-10T12:00:00Z");
    let taken = progress("2026-05-09T22:00:00Z");
    assert_eq!(due(&app, &alone(), taken, morning), None);
    assert!(next(&app, &alone(), taken, at("2026-05-09T22:00:00Z")).unwrap() > at("2026-05-10T22:00:00Z"));
    let of_the_night_before = progress("2026-05-09T21:59:59Z");
    assert!(due(&app, &alone(), of_the_night_before, morning).is_some());
}

#[test]
fn a_new_place_in_the_family_does_not_fire_twice_a_night() {
    let app = app("child", nightly(), "UTC");
    let first = next(
        &app,
        &alone(),
        since("2026-05-09T12:00:00Z"),
        at("2026-05-09T12:00:00Z"),
    )
    .unwrap();
    let progress = Progress {
        last: Some(first),
        ..since("2026-05-09T12:00:00Z")
    };
    let place = Place {
        generation: 4,
        generations: 5,
        parents: BTreeSet::new(),
    };
    assert!(moment(&app, &place, &nights(&app, &TimeZone::UTC, first).nth(3).unwrap()) > first);
    assert_eq!(due(&app, &place, progress, at("2026-05-10T12:00:00Z")), None);
    let next = next(&app, &place, progress, first).unwrap();
    assert!(next > at("2026-05-10T22:00:00Z"), "{next}");
}

fn fleet(apps: &[App], runs: usize) -> Fleet {
    Fleet {
        timezone: "UTC".to_owned(),
        hosts: BTreeMap::new(),
        registries: BTreeMap::new(),
        archives: lowtide_model::policy::ArchivePolicy::default(),
        channels: Default::default(),
        limits: Limits {
            runs,
            rollouts: 1,
            rollouts_per_host: 1,
            min_free_disk: 0,
        },
        retention: Retention {
            audit: SignedDuration::ZERO,
            history: SignedDuration::ZERO,
            images: 0,
            logs: 0,
            build_cache: 0,
            registry: lowtide_model::defaults::REGISTRY_RETENTION,
        },
        web: lowtide_model::policy::WebPolicy::default(),
        apps: apps.iter().map(|a| (a.name.clone(), a.clone().into())).collect(),
    }
}

#[test]
fn parents_first_and_within_the_limit() {
    let repository = |name: &str| format!("registry.example.org/{name}").parse().unwrap();
    let apps = ["a-child", "base", "loner", "new"].map(|name| app(name, nightly(), "UTC"));
    let members = apps.clone().map(|a| Member {
        bases: if a.name.as_str() == "a-child" {
            vec![repository("base")]
        } else {
            vec![]
        },
        publishes: vec![repository(a.name.as_str())],
        app: a.name,
    });
    let families = families(&members).unwrap();
    let mut progress: BTreeMap<AppName, Progress> = apps
        .iter()
        .map(|a| (a.name.clone(), since("2026-05-09T12:00:00Z")))
        .collect();
    progress.remove(&apps[3].name);
    let now = at("2026-05-10T12:00:00Z");
    let none = BTreeSet::new();
    let names = |runs, progress: &_, running: &_| {
        let mut calendar = Calendar::default();
        let due = due_apps(&fleet(&apps, runs), &families, progress, running, &mut calendar, now);
        due.iter().map(|d| d.app.to_string()).collect::<Vec<_>>().join(" ")
    };
    // The child waits for its parent; the app never seen before is not due; the two others by their moment.
    let first = names(9, &progress, &none);
    assert!(first == "base loner" || first == "loner base", "{first}");
    assert_eq!(names(1, &progress, &none), first.split(' ').next().unwrap());
    let running = BTreeSet::from([apps[1].name.clone()]);
    assert_eq!(names(9, &progress, &running), "loner");
    assert_eq!(names(1, &progress, &running), "", "the limit counts what runs");
    for name in ["base", "loner"] {
        progress.get_mut(&name.parse().unwrap()).unwrap().last = Some(now);
    }
    assert_eq!(names(9, &progress, &running), "", "the parent still runs");
    assert_eq!(names(9, &progress, &none), "a-child");
}

#[test]
fn a_child_has_its_moment_after_its_parents() {
    let night = Opening {
        day: jiff::civil::date(2026, 5, 9),
        start: at("2026-05-09T22:00:00Z"),
        end: at("2026-05-10T02:30:00Z"),
    };
    let of = |name: &str, generation| {
        let place = Place {
            generation,
            generations: 3,
            parents: BTreeSet::new(),
        };
        moment(&app(name, nightly(), "UTC"), &place, &night)
    };
    for n in 0..50 {
        for generation in 0..2 {
            assert!(of(&format!("parent{n}"), generation) < of(&format!("child{n}"), generation + 1));
        }
        assert!(of(&format!("x{n}"), 0) >= night.start && of(&format!("x{n}"), 2) < night.end);
    }
}

#[test]
fn neighbours_spread_over_the_night() {
    let slots: BTreeSet<_> = (0..200)
        .map(|n| app(&format!("app-{n}"), nightly(), "UTC"))
        .filter_map(|app| {
            next(
                &app,
                &alone(),
                since("2026-05-09T12:00:00Z"),
                at("2026-05-09T12:00:00Z"),
            )
        })
        .map(|slot| slot.as_second() / 1800)
        .collect();
    assert_eq!(slots.len(), 9, "each half hour of the night is used");
}

proptest! {
    #[test]
    fn due_finds_the_slot_that_next_promised(
        zone in prop::sample::select(vec!["Europe/Berlin", "America/Moncton", "Australia/Lord_Howe", "Pacific/Apia", "America/Sao_Paulo"]),
        schedule in prop::sample::select(vec![
            cron("30 2 * * *"), cron("*/20 1-3 * * *"), cron("0 0 * * 5"), cron("0 0 30 12 *"), cron("0 3 1 * *"), cron("0 * * * *"), nightly(),
        ]),
        // 2009 to 2030
        start in 1_230_000_000_i64..1_900_000_000,
    ) {
        let app = app("app", schedule, zone);
        let start = Timestamp::from_second(start).unwrap();
        let progress = Progress { since: start, last: None };
        let slot = next(&app, &alone(), progress, start).unwrap();
        prop_assert!(slot > start);
        prop_assert_eq!(due(&app, &alone(), progress, slot - SignedDuration::from_secs(1)), None);
        prop_assert_eq!(due(&app, &alone(), progress, slot), Some(slot));
        let taken = Progress { since: start, last: Some(slot) };
        let after = next(&app, &alone(), taken, slot).unwrap();
        prop_assert!(after > slot);
        // lowtide was down until the second slot: one catch-up run, for the later slot.
        prop_assert_eq!(due(&app, &alone(), progress, after), Some(after));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What a calendar remembers changes no result, in whatever order it is called, also for a moment before the last
    /// one.
    #[test]
    fn a_calendar_that_remembers_says_the_same(
        zone in prop::sample::select(vec!["Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia", "America/Sao_Paulo"]),
        text in prop::sample::select(vec!["30 2 * * *", "*/20 1-3 * * *", "0 0 * * 5", "0 0 30 12 *", "0 3 1 * *", "59 23 * 3,10 0"]),
        start in 1_230_000_000_i64..1_900_000_000,
        steps in prop::collection::vec(-20_000_i64..30_000, 1..12),
    ) {
        let (app, mut calendar) = (app("app", cron(text), zone), Calendar::default());
        let start = Timestamp::from_second(start).unwrap();
        let progress = Progress { since: start, last: None };
        let mut now = start;
        for step in steps {
            now += SignedDuration::from_secs(step);
            let remembered = (
                super::due(&app, &alone(), progress, &mut calendar, now),
                super::next(&app, &alone(), progress, &mut calendar, now),
            );
            prop_assert_eq!(remembered, (due(&app, &alone(), progress, now), next(&app, &alone(), progress, now)));
        }
    }
}
