use super::*;

fn app(name: &str) -> AppName {
    name.parse().unwrap()
}

fn run(n: u128) -> RunId {
    RunId(ulid::Ulid::from(n))
}

fn failed(kind: FailureKind, detail: &str) -> Failure {
    Failure::new(kind, detail)
}

fn ts(text: &str) -> Timestamp {
    text.parse().unwrap()
}

const DAY: Date = jiff::civil::date(2026, 11, 23);

#[test]
fn the_same_cause_has_the_same_key_night_after_night() {
    let cause = |detail| cause(&app("a"), Stage::Test, &failed(FailureKind::TestFailed, detail));
    let same = [
        ("3 of 128 tests failed: a.b", "4 of 130 tests failed: a.b"),
        ("commit 3f2a9c1d0e failed", "commit 77777777 failed"),
        (
            "container lowtide-01JDQ3V2R8W7T5S3P1N9M7K5H3 exited",
            "container lowtide-01JDQ3V2R8W7T5S3P1N9M7K5H4 exited",
        ),
        ("after 1.5 s  (port 8080)", "after 20.25 s (port 80)"),
    ];
    for (one, other) in same {
        assert_eq!(cause(one), cause(other), "{one}");
    }
    assert_ne!(cause("3 of 128 tests failed: a.b"), cause("3 of 128 tests failed: a.c"));
    let build = super::cause(&app("a"), Stage::Build, &failed(FailureKind::BuildFailed, "x"));
    assert_ne!(
        build,
        super::cause(&app("b"), Stage::Build, &failed(FailureKind::BuildFailed, "x"))
    );
    insta::assert_snapshot!(build, @"a/build/build_failed/2ac3e029f2ae");
}

#[test]
fn one_thread_per_incident_and_one_message_per_cause() {
    let (a, test, build) = (
        app("a"),
        failed(FailureKind::TestFailed, "x"),
        failed(FailureKind::BuildFailed, "y"),
    );
    let opened = Opened {
        run: run(1),
        cause: cause(&a, Stage::Test, &test),
    };
    let first = run_failure_keys(&a, Stage::Test, &test, &opened, DAY);
    assert_eq!(first.dedup, first.thread, "the first message opens the thread");
    assert_eq!(
        run_failure_keys(&a, Stage::Test, &test, &opened, DAY.tomorrow().unwrap()),
        first,
        "the next night says nothing new"
    );
    let other = run_failure_keys(&a, Stage::Build, &build, &opened, DAY);
    assert_eq!(other.thread, first.thread);
    assert_ne!(other.dedup, first.dedup);
    let (over, addressees) = recovered_keys(&a, &opened);
    assert_eq!(addressees, Addressees::Maintainers);
    assert_eq!(over.thread, first.thread);
    assert_ne!(over.dedup, first.dedup);
    let again = Opened { run: run(2), ..opened };
    assert_ne!(
        run_failure_keys(&a, Stage::Test, &test, &again, DAY),
        first,
        "after a recovery it is news again"
    );
}

#[test]
fn a_recovery_is_the_apps_own_and_not_that_of_one_whose_name_goes_on() {
    let test = failed(FailureKind::TestFailed, "front page");
    let opened = Opened {
        run: run(1),
        cause: cause(&app("web2"), Stage::Test, &test),
    };
    let addressees = |name| recovered_keys(&app(name), &opened).1;
    assert_eq!(addressees("web2"), Addressees::Maintainers);
    assert_eq!(addressees("web"), Addressees::Nobody);
}

#[test]
fn a_dead_registry_is_one_message_a_day_for_all_apps() {
    let down = failed(FailureKind::RegistryUnreachable, "registry.example.org does not answer");
    let keys = |name, day| {
        let opened = Opened {
            run: run(7),
            cause: cause(&app(name), Stage::Resolve, &down),
        };
        assert_eq!(recovered_keys(&app(name), &opened).1, Addressees::Nobody);
        run_failure_keys(&app(name), Stage::Resolve, &down, &opened, day)
    };
    assert_eq!(keys("a", DAY), keys("b", DAY));
    assert_ne!(keys("a", DAY), keys("a", DAY.tomorrow().unwrap()));
}

#[test]
fn a_halt_and_its_resume_are_one_thread() {
    let id = RolloutId(ulid::Ulid::from(3));
    let (halt, resume) = (
        rollout_keys(id, RolloutMessage::First),
        rollout_keys(id, RolloutMessage::Resumed),
    );
    assert_eq!(halt.dedup, halt.thread);
    assert_eq!(resume.thread, halt.thread);
    assert_ne!(resume.dedup, halt.dedup);
}

#[test]
fn a_digest_is_due_once_a_day() {
    let at = jiff::civil::time(8, 0, 0, 0);
    let due = |last: &str, now: &str, zone: &str| daily_report_due(ts(last), ts(now), at, zone).map(|t| t.to_string());
    let table = [
        // Moncton is four hours behind UTC in winter.
        ("2026-11-22T12:00:00Z", "2026-11-23T11:59:59Z", None),
        (
            "2026-11-22T12:00:00Z",
            "2026-11-23T12:00:00Z",
            Some("2026-11-23T12:00:00Z"),
        ),
        ("2026-11-23T12:00:00Z", "2026-11-23T23:00:00Z", None),
        // Down for three days: one report, at the latest moment.
        (
            "2026-11-20T12:00:00Z",
            "2026-11-23T10:00:00Z",
            Some("2026-11-22T12:00:00Z"),
        ),
        // Summer time began in the night: 08:00 is an hour earlier in UTC.
        (
            "2026-03-07T12:00:00Z",
            "2026-03-08T11:00:00Z",
            Some("2026-03-08T11:00:00Z"),
        ),
    ];
    for (last, now, expected) in table {
        assert_eq!(due(last, now, "America/Moncton").as_deref(), expected, "{last} {now}");
    }
    assert_eq!(
        due("2026-11-22T08:00:00Z", "2026-11-23T08:00:00Z", "No/Where").as_deref(),
        Some("2026-11-23T08:00:00Z")
    );
    let gap = daily_report_due(
        ts("2026-03-07T12:00:00Z"),
        ts("2026-03-08T12:00:00Z"),
        jiff::civil::time(2, 30, 0, 0),
        "America/Moncton",
    );
    assert_eq!(
        gap.unwrap().to_string(),
        "2026-03-08T06:30:00Z",
        "02:30 does not exist: 03:30 ADT"
    );
}

#[test]
fn a_week_of_silence_is_broken() {
    let at = jiff::civil::time(8, 0, 0, 0);
    let due = |last_sent: &str, now: &str| heartbeat_due(ts(last_sent), ts(now), at, "Europe/Berlin");
    assert!(!due("2026-10-20T06:00:00Z", "2026-10-26T07:00:00Z"));
    assert!(
        !due("2026-10-20T06:00:00Z", "2026-10-27T06:59:00Z"),
        "summer time ended in between"
    );
    assert!(due("2026-10-20T06:00:00Z", "2026-10-27T07:00:00Z"));
    assert!(due("2026-10-01T06:00:00Z", "2026-10-27T07:00:00Z"));
}

#[test]
fn nothing_changed_is_no_news() {
    let mut body = DailyReport {
        from: ts("2026-11-22T12:00:00Z"),
        to: ts("2026-11-23T12:00:00Z"),
        timezone: "UTC".to_owned(),
        apps: vec![lowtide_model::message::DailyReportApp {
            app: app("a"),
            lines: vec![DailyReportLine::Unchanged { runs: 3 }],
        }],
        blind: vec![],
        next_run: None,
    };
    assert!(!has_news(&body));
    body.blind.push("the registry".to_owned());
    assert!(has_news(&body));
    body.blind.clear();
    body.apps[0].lines.push(DailyReportLine::Released {
        tag: "1".to_owned(),
        change: None,
    });
    assert!(has_news(&body));
}
