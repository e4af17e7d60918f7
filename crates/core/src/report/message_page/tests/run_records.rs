//! Records of runs, as a check beside a commit shows them.

use super::*;
use insta::assert_snapshot;
use lowtide_model::failure::SkipReason;
use lowtide_model::message::{EndedRun, StageTime, Verdict};
use lowtide_model::stages::resolve::Commit;
use lowtide_model::stages::test::TestReport;

fn ended(verdict: Verdict) -> MessageBody {
    let commit = Commit {
        id: "3f2a9c1d0e3f2a9c1d0e3f2a9c1d0e3f2a9c1d0e".to_owned(),
        subject: "Say hello".to_owned(),
        author: "Ana <ana@example.org>".to_owned(),
        time: ts("2026-11-22T15:00:00Z"),
    };
    let took = |stage, took_ms| StageTime { stage, took_ms };
    MessageBody::RunEnded(Box::new(EndedRun {
        app: "archives".parse().unwrap(),
        run: RUN.parse().unwrap(),
        built: Built { commit, link: None },
        started: ts("2026-11-23T05:00:00Z"),
        stages: vec![
            took(Stage::Resolve, 1_250),
            took(Stage::Build, 92_000),
            took(Stage::Test, 61_000),
        ],
        tests: Some(TestReport {
            passed: 125,
            skipped: 2,
            failed: Vec::new(),
            failed_count: 0,
        }),
        verdict,
    }))
}

#[test]
fn a_run_under_way_and_one_that_passed() {
    let started = MessageBody::RunStarted {
        app: "archives".parse().unwrap(),
        run: RUN.parse().unwrap(),
        commit: "3f2a9c1d0e3f2a9c1d0e3f2a9c1d0e3f2a9c1d0e".to_owned(),
    };
    assert_snapshot!(shown(started), @"
    Subject: archives: 3f2a9c1 is being built and tested

    archives: 3f2a9c1 is being built and tested

    What runs in production stays as it is until the new image has passed
    its tests.

    IF YOU WANT TO KNOW MORE
      What this run has done so far:
        lowtide show 01JDCS4Z00ABCDEFGHJKMNPQRS

    -- 
    One record per run that builds. Sent by lowtide harbour, 2026-11-23
    01:12 America/Moncton.
    ");
    let passed = Verdict::Passed {
        tag: Some("20261123.7-3f2a9c1".to_owned()),
        observed: false,
        change: Some(change()),
    };
    assert_snapshot!(shown(ended(passed)), @"
    Subject: archives: 3f2a9c1 passed

    archives: 3f2a9c1 passed

    Built, tested and released as 20261123.7-3f2a9c1.

    WHAT RAN
      Resolve  1.2 s
      Build    1 min 32 s
      Test     1 min 1 s
      Tests    125 passed, 2 skipped

    WHAT CHANGED
      libc6     2.36-9+deb12u4 → 2.36-9+deb12u10
      libssl3   3.0.11-1~deb12u2 → 3.0.17-1~deb12u3
      libzstd1  1.5.4+dfsg2-5 (new)
      openssl   3.0.11-1~deb12u2 → 3.0.17-1~deb12u3
      tzdata    2024a-0+deb12u1 (removed)

      Image settings that differ: env.

      Files: 3 added, 1 removed, 41 changed (etc/ssl/openssl.cnf,
      usr/bin/openssl, …).

    -- 
    One record per run that builds. Sent by lowtide harbour, 2026-11-23
    01:12 America/Moncton.
    ");
}

#[test]
fn ends_that_say_nothing_of_the_commit() {
    let unused = Verdict::Unused {
        why: SkipReason::Quarantined {
            digest: "sha256:0123456789abcdef".to_owned(),
        },
    };
    let above = |body| shown(body).lines().take(5).collect::<Vec<_>>().join("\n");
    assert_snapshot!(above(ended(unused)), @"
    Subject: archives: the image of 3f2a9c1 is not used

    archives: the image of 3f2a9c1 is not used

    A rebuild gives the same image that was rolled back (0123456789ab).
    ");
    let cancelled = Verdict::Cancelled { by: "kim".to_owned() };
    assert_snapshot!(above(ended(cancelled)), @"
    Subject: archives: the run of 3f2a9c1 was cancelled

    archives: the run of 3f2a9c1 was cancelled

    Cancelled by kim.
    ");
}
