//! What is due.
//!
//! A *slot* is a moment at which a schedule fires. The slot an app last took up is in its journal; everything up to it is
//! over, so slots missed while lowtide was down or busy collapse into the latest one.

use super::family::{Families, Place};
use super::window::{self, Opening};
use crate::model::fleet::{App, Fleet, Schedule};
use crate::model::name::AppName;
use crate::model::window::Until;
use croner::parser::{CronParser, Seconds, Year};
use croner::{Cron, Direction};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Changes of the clock looked at around a search: some eight years.
const CHANGES: usize = 16;

/// How far an app's schedule has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// When the app was first seen with a schedule: what lies before never fires.
    pub since: Timestamp,
    /// The slot last taken up.
    pub last: Option<Timestamp>,
}

/// A run that should start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    pub app: AppName,
    pub slot: Timestamp,
    /// Generation in its family.
    pub generation: usize,
}

/// What should start now: parents first, never more than `limits.runs` together with what runs. An app without
/// `progress` was never seen before and is not due; a child waits while one of its ancestors runs or is due itself.
#[must_use]
pub fn due_apps(
    fleet: &Fleet,
    families: &Families,
    progress: &BTreeMap<AppName, Progress>,
    running: &BTreeSet<AppName>,
    now: Timestamp,
) -> Vec<Due> {
    let mut due: Vec<Due> = fleet
        .apps
        .values()
        .filter(|app| !running.contains(&app.name))
        .filter_map(|app| {
            let place = families.place(&app.name);
            Some(Due {
                app: app.name.clone(),
                slot: self::due(app, &place, *progress.get(&app.name)?, now)?,
                generation: place.generation,
            })
        })
        .collect();
    let busy: BTreeSet<AppName> = due.iter().map(|d| &d.app).chain(running).cloned().collect();
    due.retain(|d| d.generation == 0 || families.ancestors(&d.app).is_disjoint(&busy));
    due.sort_by(|a, b| (a.generation, a.slot, &a.app).cmp(&(b.generation, b.slot, &b.app)));
    due.truncate(fleet.limits.runs.saturating_sub(running.len()));
    due
}

/// The latest slot not later than `now` that was not taken up yet.
#[must_use]
pub fn due(app: &App, place: &Place, progress: Progress, now: Timestamp) -> Option<Timestamp> {
    let zone = TimeZone::get(&app.timezone).ok()?;
    match &app.schedule {
        Schedule::Never => None,
        Schedule::Cron(text) => {
            let slot = cron_slot(&cron(text)?, &zone, now, Direction::Backward)?;
            Some(slot).filter(|slot| *slot > over(progress))
        }
        Schedule::Between { .. } => {
            let night = nights(app, &zone, now)
                .take_while(|night| moment(app, place, night) <= now)
                .last()?;
            let slot = moment(app, place, &night);
            // Once per night, also when a new place in the family moved this app's moment in mid-night.
            let taken = progress.last.is_some_and(|last| last >= night.start);
            Some(slot).filter(|slot| !taken && *slot > over(progress))
        }
    }
}

/// The next slot after `now`, for people and for the next wake-up. What is due already is not looked at.
#[must_use]
pub fn next(app: &App, place: &Place, progress: Progress, now: Timestamp) -> Option<Timestamp> {
    let zone = TimeZone::get(&app.timezone).ok()?;
    let after = now.max(over(progress));
    match &app.schedule {
        Schedule::Never => None,
        Schedule::Cron(text) => cron_slot(&cron(text)?, &zone, after, Direction::Forward),
        Schedule::Between { .. } => nights(app, &zone, after)
            .filter(|night| progress.last.is_none_or(|last| last < night.start))
            .map(|night| moment(app, place, &night))
            .find(|slot| *slot > after),
    }
}

/// Five fields, as every crontab has them; croner's seconds and years are refused. Sundays are 0 or 7, and a pattern with
/// both a day of the month and a weekday matches either (crontab(5)).
fn cron(text: &str) -> Option<Cron> {
    let parser = CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed);
    parser.build().parse(text).ok()
}

/// The next slot after `from`, or the last one not later than it.
///
/// croner 4.0 gives up where a slot falls into a gap of more than two hours (a day the zone skipped); the search then
/// goes on from the gap's other side.
fn cron_slot(cron: &Cron, zone: &TimeZone, from: Timestamp, direction: Direction) -> Option<Timestamp> {
    let find = |from: Timestamp, inclusive| {
        let from = from.to_zoned(zone.clone());
        let found = match direction {
            Direction::Forward => cron.find_next_occurrence(&from, inclusive),
            Direction::Backward => cron.find_previous_occurrence(&from, inclusive),
        };
        found.ok().map(|slot| slot.timestamp())
    };
    let second = SignedDuration::from_secs(1);
    let is_long = |change: &Timestamp| {
        let before = zone.to_offset(*change - second).seconds();
        zone.to_offset(*change).seconds() - before > 2 * 3600
    };
    find(from, direction == Direction::Backward).or_else(|| match direction {
        Direction::Forward => {
            let mut changes = zone.following(from).take(CHANGES).map(|c| c.timestamp());
            find(changes.find(is_long)?, true)
        }
        Direction::Backward => {
            let mut changes = zone.preceding(from).take(CHANGES).map(|c| c.timestamp());
            find(changes.find(is_long)? - second, true)
        }
    })
}

fn over(progress: Progress) -> Timestamp {
    progress.last.map_or(progress.since, |last| last.max(progress.since))
}

/// The spans of a `between` schedule, from two days before `around` on.
fn nights(app: &App, zone: &TimeZone, around: Timestamp) -> impl Iterator<Item = Opening> {
    let span = match &app.schedule {
        Schedule::Between { from, to } => Some((*from, *to)),
        Schedule::Cron(_) | Schedule::Never => None,
    };
    let first = zone.to_datetime(around).date().checked_sub(3.days()).ok();
    // Ten days: longer than any run of nights a gap in the clock can swallow.
    std::iter::successors(first, |day| day.tomorrow().ok())
        .take(10)
        .filter_map(move |day| span.and_then(|(from, to)| window::opening(day, from, Until::To(to), zone)))
}

/// The app's own moment in the span: each generation of its family has an equal part of it, and within that part the
/// app's name decides. So a moment stays from night to night, and neighbours spread.
fn moment(app: &App, place: &Place, night: &Opening) -> Timestamp {
    let seconds = night.end.duration_since(night.start).as_secs();
    let generations = i64::try_from(place.generations.max(1)).unwrap_or(i64::MAX);
    let generation = i64::try_from(place.generation).unwrap_or(0).min(generations - 1);
    let part = seconds / generations;
    let within = i64::from(spread(&app.name)) * part / (i64::from(u32::MAX) + 1);
    let offset = SignedDuration::from_secs(part * generation + within);
    night.start.saturating_add(offset).unwrap_or(night.start)
}

fn spread(name: &AppName) -> u32 {
    let hash = Sha256::digest(name.as_str());
    hash.iter().take(4).fold(0, |n, byte| n << 8 | u32::from(*byte))
}

#[cfg(test)]
pub(super) use tests::app as tests_app;

#[cfg(test)]
mod tests {
    use super::super::family::{Member, families};
    use super::*;
    use crate::model::fleet::{BuildPolicy, GitRef, Limits, Mode, Ready, ReadyCheck, Retention, Source};
    use jiff::civil::time;
    use proptest::prelude::*;
    use std::fmt::Write as _;

    pub(in crate::decide) fn app(name: &str, schedule: Schedule, zone: &str) -> App {
        let hour = SignedDuration::from_hours(1);
        App {
            name: name.parse().unwrap(),
            mode: Mode::Observe,
            timezone: zone.to_owned(),
            maintainers: vec![],
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
                target: None,
                labels: BTreeMap::new(),
                label_schema: false,
                pull: true,
                timeout: hour,
                limits: Default::default(),
                max_log: 1 << 20,
                upgrade: false,
                max_age: None,
                noise: vec![],
            },
            env: BTreeMap::new(),
            test: None,
            ready: Ready {
                check: ReadyCheck::Healthcheck,
                timeout: hour,
            },
            publish: None,
            schedule,
            rollout: vec![],
            github_repo: None,
            halt: crate::model::halt::HaltPolicy::default(),
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

    /// Every slot of two years, one after the other as a living bot takes them up; those at an unusual local time are
    /// shown.
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
            archives: crate::model::fleet::ArchivePolicy::default(),
            email: None,
            github: None,
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
            },
            web: crate::model::fleet::WebPolicy::default(),
            apps: apps.iter().map(|a| (a.name.clone(), a.clone())).collect(),
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
            let due = due_apps(&fleet(&apps, runs), &families, progress, running, now);
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
            // Asleep until the second slot: one catch-up, and it is the later one.
            prop_assert_eq!(due(&app, &alone(), progress, after), Some(after));
        }
    }
}
