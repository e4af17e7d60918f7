use super::*;
use crate::kinds::containers::step::ContainerStep;
use crate::report::quantity::bytes;
use crate::report::views::{StageRow, StepRow};
use insta::assert_snapshot;
use lowtide_model::failure::{Failure, FailureKind, WaitReason};
use lowtide_model::freshness::Because;
use lowtide_model::halt::Exposure;
use lowtide_model::inventory::Change;
use lowtide_model::inventory::{FileChanges, PackageChange};
use lowtide_model::name::{RunId, TargetName};
use lowtide_model::release::{Images, Release};
use lowtide_model::run::{Stage, Trigger};
use lowtide_model::stages::resolve::Commit;
use lowtide_model::stages::test::FailedTest;

const PLAIN: Style = Style {
    color: false,
    width: 100,
};

fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

fn run_id() -> RunId {
    "01JDCS4Z00ABCDEFGHJKMNPQRS".parse().unwrap()
}

fn change() -> Change {
    Change {
        packages: vec![
            PackageChange {
                name: "openssl".into(),
                old: Some("3.0.15-1".into()),
                new: Some("3.0.16-1".into()),
            },
            PackageChange {
                name: "libzstd1".into(),
                old: None,
                new: Some("1.5.4".into()),
            },
        ],
        config: vec!["env".into()],
        files: FileChanges {
            added: 1,
            removed: 0,
            changed: 2,
            examples: vec!["usr/lib/x".into()],
        },
    }
}

fn row(app: &str, conclusion: Option<Conclusion>) -> RunRow {
    RunRow {
        run: run_id(),
        app: app.parse().unwrap(),
        started: "2026-11-23T04:30:00Z".parse().unwrap(),
        took_ms: conclusion.is_some().then_some(185_000),
        trigger: Trigger::Schedule { slot: now() },
        conclusion,
    }
}

fn failed() -> Conclusion {
    let failure = Failure::new(FailureKind::TestFailed, "3 of 128 tests failed: a.b")
        .with_excerpt(["\u{1b}[31mFAIL\u{1b}[0m a.b", "expected 1, got 2"]);
    Conclusion::Failed {
        stage: Stage::Test,
        failure,
    }
}

fn release() -> Release {
    Release {
        upstream: None,
        run: run_id(),
        images: Images::one(
            format!("sha256:{}", "a".repeat(64)).parse().unwrap(),
            format!("sha256:{}", "b".repeat(64)).parse().unwrap(),
        ),
        commit: Some("3f2a9c1".repeat(5)),
        tag: "20261123.7-3f2a9c1".into(),
        digest: None,
        reference: "lowtide/archives:20261123.7-3f2a9c1".parse().unwrap(),
        change: None,
        sidecars: std::collections::BTreeMap::new(),
        at: now(),
    }
}

#[test]
fn times_lengths_and_sizes() {
    let at = |s: i64| now() + jiff::SignedDuration::from_secs(s);
    let shown: Vec<String> = [-400_000, -7200, -600, -45, -3, 0, 29, 60, 3000, 90_000]
        .iter()
        .map(|s| relative(at(*s), now()))
        .collect();
    assert_snapshot!(shown.join(" | "), @"4 d ago | 2 h ago | 10 min ago | 45 s ago | now | now | now | in 1 min | in 50 min | in 25 h");
    let shown: Vec<String> = [0, 999, 1000, 4250, 59_999, 185_000, 7_800_000]
        .iter()
        .map(|ms| duration(*ms))
        .collect();
    assert_snapshot!(shown.join(" | "), @"0 ms | 999 ms | 1.0 s | 4.2 s | 59 s | 3 min 5 s | 2 h 10 min");
    let shown: Vec<String> = [0, 1023, 1024, 1536, 148_897_792, 1 << 40, u64::MAX]
        .iter()
        .map(|n| bytes(*n))
        .collect();
    assert_snapshot!(shown.join(" | "), @"0 B | 1023 B | 1.0 KiB | 1.5 KiB | 142.0 MiB | 1.0 TiB | 15.9 EiB");
}

fn rows() -> Vec<StatusRow> {
    let ago = |h: i64| Some(now() - jiff::SignedDuration::from_hours(h));
    let row = |app: &str, mode, release: Option<&str>, last_run, state| StatusRow {
        app: app.parse().unwrap(),
        mode,
        release: release.map(ToOwned::to_owned),
        last_run,
        next_run: ago(-14),
        state,
        probation: if app == "wiki" {
            vec![("compose-archives".parse().unwrap(), 2)]
        } else {
            vec![]
        },
    };
    let target: TargetName = "compose-archives".parse().unwrap();
    let since = now() - jiff::SignedDuration::from_hours(70);
    let (built, security) = (ago(24 * 12), 4);
    let exposure = Exposure { built, security };
    let failing = AppCondition::Failing {
        stage: Stage::Test,
        kind: FailureKind::TestFailed,
        since,
    };
    let waiting = AppCondition::Waiting {
        target: target.clone(),
        why: WaitReason::Window { opens: now() },
    };
    vec![
        row(
            "drupal-base",
            Mode::Active,
            Some("20261123.7-3f2a9c1"),
            ago(8),
            AppCondition::Fresh,
        ),
        row("archives", Mode::Active, Some("20261120.2-77aa001"), ago(8), failing),
        row("news", Mode::Observe, None, None, AppCondition::New),
        row("wiki", Mode::Active, Some("1"), ago(8), waiting),
        row(
            "shop",
            Mode::Active,
            Some("1"),
            ago(8),
            AppCondition::Halted { since, exposure },
        ),
        row(
            "blog",
            Mode::Active,
            Some("1"),
            ago(0),
            AppCondition::Running { stage: Stage::Build },
        ),
        row(
            "mail",
            Mode::Active,
            Some("1"),
            ago(1),
            AppCondition::Rolling { target },
        ),
    ]
}

#[test]
fn status_at_a_glance() {
    assert_snapshot!(status(&rows(), now(), "America/Moncton", Style { width: 180, ..PLAIN }), @"
    APP          MODE     RELEASE             LAST RUN  NEXT RUN  STATE
    drupal-base  active   20261123.7-3f2a9c1  8 h ago   in 14 h   fresh
    archives     active   20261120.2-77aa001  8 h ago   in 14 h   failing at test for 2 days: tests failed
    news         observe  –                   –         in 14 h   new
    wiki         active   1                   8 h ago   in 14 h   compose-archives waits for its window, 2026-11-23 08:00 America/Moncton; on probation, 2 rollouts left
    shop         active   1                   8 h ago   in 14 h   halted for 2 days; runs an image 12 days old; 4 security fixes are pending
    blog         active   1                   now       in 14 h   running: build
    mail         active   1                   1 h ago   in 14 h   rolling out to compose-archives
    ");
    assert_snapshot!(status(&[], now(), "UTC", PLAIN), @"No apps are configured.");
    let colored = status(
        &rows()[..2],
        now(),
        "UTC",
        Style {
            color: true,
            width: 100,
        },
    );
    let bare = status(&rows()[..2], now(), "UTC", PLAIN);
    assert!(colored.contains("\u{1b}[32mfresh\u{1b}[0m"));
    let stripped: String = colored.lines().map(|l| clean::log_line(l) + "\n").collect();
    assert_eq!(stripped, bare, "colour does not move a column");
}

#[test]
fn history_and_one_line() {
    let rows = [
        row("archives", None),
        row("archives", Some(failed())),
        row("archives", Some(Conclusion::Released { release: release() })),
        row(
            "news",
            Some(Conclusion::Unchanged {
                why: lowtide_model::failure::SkipReason::SameContent,
            }),
        ),
    ];
    assert_snapshot!(history(&rows, now(), PLAIN), @r#"
    RUN       APP       STARTED  TOOK       TRIGGER       RESULT
    jkmnpqrs  archives  7 h ago             its schedule  under way
    jkmnpqrs  archives  7 h ago  3 min 5 s  its schedule  failed at test: tests failed
    jkmnpqrs  archives  7 h ago  3 min 5 s  its schedule  released 20261123.7-3f2a9c1
    jkmnpqrs  news      7 h ago  3 min 5 s  its schedule  unchanged: a rebuild changes nothing
    "#);
    assert_snapshot!(run_line(&rows[2], now(), PLAIN), @"jkmnpqrs  archives  7 h ago  3 min 5 s  its schedule  released 20261123.7-3f2a9c1");
    assert_snapshot!(history(&[], now(), PLAIN), @"No runs yet.");
    let narrow = history(&rows, now(), Style { width: 76, ..PLAIN });
    assert!(narrow.lines().all(|l| l.chars().count() <= 78), "{narrow}");
}

fn stage(stage: Stage, state: Progress, took_ms: Option<u64>, note: &str) -> StageRow {
    StageRow {
        stage,
        state,
        took_ms,
        note: note.into(),
    }
}

#[test]
fn a_run_in_full() {
    let view = RunView {
        because: vec![Because::Pending {
            packages: 12,
            security: 3,
        }],
        row: row("archives", Some(failed())),
        revision: "5d0c7e2".into(),
        commit: Some(Commit {
            id: "3f2a9c1d0e".repeat(4),
            subject: "Fix\tthe \u{1b}[2Jmenu".into(),
            author: "Ana".into(),
            time: now(),
        }),
        link: Some("https://github.com/a/b/commit/3f2a9c1".into()),
        files: vec!["/var/lib/lowtide/runs/01J/artefacts/a\u{1b}.png".into()],
        stages: vec![
            stage(Stage::Resolve, Progress::Done, Some(1200), ""),
            stage(Stage::Build, Progress::Abandoned, Some(9000), "lowtide was restarted"),
            stage(Stage::Build, Progress::Done, Some(92_000), "142.0 MiB"),
            stage(Stage::Test, Progress::Failed, Some(61_000), "125 passed, 3 failed"),
        ],
        tests: Some(TestReport {
            passed: 125,
            skipped: 0,
            failed: vec![FailedTest {
                name: "a.b".into(),
                message: vec!["expected 1, got 2".into()],
                place: None,
            }],
            failed_count: 3,
        }),
        change: Some(change()),
    };
    assert_snapshot!(show_run(&view, "America/Moncton", PLAIN), @"
    run          01JDCS4Z00ABCDEFGHJKMNPQRS
    app          archives
    trigger      its schedule
    started      2026-11-23 00:30 America/Moncton
    config       5d0c7e2
    commit       3f2a9c1 Fix the menu (Ana)
    page         https://github.com/a/b/commit/3f2a9c1
    rebuilt for  12 packages are pending (3 for security)
    result       failed at test: tests failed

    ✓  resolve  1.2 s
    ↻  build    9.0 s       lowtide was restarted
    ✓  build    1 min 32 s  142.0 MiB
    ✗  test     1 min 1 s   125 passed, 3 failed

    tests
    125 passed, 0 skipped, 3 failed
      a.b
        expected 1, got 2
      and 2 more

    changed
    openssl   3.0.15-1  →  3.0.16-1
    libzstd1  –         →  1.5.4
    image settings: env
    files: 1 added, 0 removed, 2 changed
      usr/lib/x

    why
    3 of 128 tests failed: a.b.
      | FAIL a.b
      | expected 1, got 2
    Correct the code or the named tests, and push; the next run picks it up.

    files
      /var/lib/lowtide/runs/01J/artefacts/a.png
    ");
}

#[test]
fn a_rollout_in_full() {
    let step = |step: ContainerStep, state, note: &str| StepRow {
        step: step.into(),
        state,
        took_ms: Some(300),
        note: note.into(),
    };
    let failure = Failure::new(FailureKind::UnhealthyAfterRoll, "web answered 500 for 2 min");
    let view = RolloutView {
        rollout: "01JDCS4Z00ABCDEFGHJKMNPQRT".parse().unwrap(),
        app: "archives".parse().unwrap(),
        target: "compose-archives".parse().unwrap(),
        tag: "20261123.7-3f2a9c1".into(),
        started: now(),
        steps: vec![
            step(ContainerStep::Preflight, Progress::Done, "2 containers"),
            step(ContainerStep::Pull, Progress::Done, ""),
            step(
                ContainerStep::CreateCandidate { unit: 0 },
                Progress::Failed,
                "no answer",
            ),
        ],
        conclusion: Some(RolloutConclusion::Reverted { failure }),
        incident: crate::report::incident::tests::incident(),
    };
    assert_snapshot!(show_rollout(&view, "America/Moncton", PLAIN), @r#"
    rollout  01JDCS4Z00ABCDEFGHJKMNPQRT
    app      archives
    target   compose-archives
    release  20261123.7-3f2a9c1
    started  2026-11-23 08:00 America/Moncton
    result   rolled back: the new container did not become ready

    ✓  preflight             300 ms  2 containers
    ✓  pull                  300 ms
    ✗  create new container  300 ms  no answer

    why
    The new container did not become ready: web answered 500 for 2 min.
    Look at the new container's last lines above.

    readiness
      web, new container: not ready after 2 min 0 s. The new container did not become ready: web answered 500 on /healthz for 2 min.
      web, old container: ready after 900 ms.

    new container web, exit code 137
      | cannot open the database

    what the release brought
      openssl  3.0.15-1  →  3.0.16-1

    hooks that ran
      before, in web: drush sql:dump; 2026-11-23 03:00 America/Moncton, done
    "#);
}

#[test]
fn what_changed() {
    assert_snapshot!(packages_table(&change(), PLAIN), @r#"
    openssl   3.0.15-1  →  3.0.16-1
    libzstd1  –         →  1.5.4
    image settings: env
    files: 1 added, 0 removed, 2 changed
      usr/lib/x
    "#);
    assert_snapshot!(packages_table(&Change::default(), PLAIN), @"The content is the same.");
}

#[test]
fn eighty_columns_are_enough() {
    let narrow = Style {
        color: false,
        width: 80,
    };
    let fits = |text: &str| text.lines().all(|line| line.chars().count() <= 80);
    let shown = status(&rows(), now(), "America/Moncton", narrow);
    assert!(fits(&shown), "{shown}");
    assert_snapshot!(shown, @"
    APP          MODE     RELEASE           LAST RUN  NEXT RUN  STATE
    drupal-base  active   20261123.7-3f2a…  8 h ago   in 14 h   fresh
    archives     active   20261120.2-77aa…  8 h ago   in 14 h   failing at test for
                                                                2 days: tests failed
    news         observe  –                 –         in 14 h   new
    wiki         active   1                 8 h ago   in 14 h   compose-archives
                                                                waits for its
                                                                window, 2026-11-23
                                                                08:00
                                                                America/Moncton; on
                                                                probation, 2
                                                                rollouts left
    shop         active   1                 8 h ago   in 14 h   halted for 2 days;
                                                                runs an image 12
                                                                days old; 4 security
                                                                fixes are pending
    blog         active   1                 now       in 14 h   running: build
    mail         active   1                 1 h ago   in 14 h   rolling out to
                                                                compose-archives
    ");
    let mut longest = row(&format!("web-{}", "x".repeat(50)), Some(failed()));
    longest.trigger = Trigger::Manual {
        by: "someone with a rather long name".into(),
        rebuild: false,
    };
    let shown = history(&[longest, row("web", None)], now(), narrow);
    assert!(fits(&shown), "{shown}");
    assert_snapshot!(shown, @"
    RUN       APP             STARTED  TOOK       TRIGGER       RESULT
    jkmnpqrs  web-xxxxxxxxx…  7 h ago  3 min 5 s  manual, by …  failed at test:
                                                                tests failed
    jkmnpqrs  web             7 h ago             its schedule  under way
    ");
}
