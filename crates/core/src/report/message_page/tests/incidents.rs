use super::*;
use insta::assert_snapshot;
use lowtide_model::freshness::{Fix, PendingPackage, UnavailablePin};

#[test]
fn a_failed_run() {
    assert_snapshot!(shown(run_failed()), @"
    Subject: archives: tests failed at 3f2a9c1 (3 failing)

    archives: tests failed at 3f2a9c1 (3 failing)

    Nothing changed in production: what ran before still runs.

    WHAT HAPPENED
      In the tests inside the new image: tests failed.

      Commit  3f2a9c1 Say good night
      Author  Ana good night

      Page: https://github.com/example/archives/commit/3f2a9c1d0e3f2a9c1d0e3f2a9c1d0e3f2a9c1d0e

    WHY
      exec /scripts/runTests.sh ended with 1; 3 of 128 tests failed.

      | failed: Menu.home
      |   Failed asserting that 500 matches expected 200.
      | failed: Menu.search
      | failed: Menu.footer
      | Menu.home: expected 200, got 500
      | Menu.footer: the link to the page about cookies is missing from the
      | footer of every page
      |
      | Tests: 128, Failures: 3

    WHAT TO DO NEXT
      Correct the code or the named tests, and push; the next run picks it
      up.

      Everything recorded about this run:
        lowtide show 01JDCS4Z00ABCDEFGHJKMNPQRS
      Once fixed, try now instead of tonight:
        lowtide run archives

    WHO NEEDS TO ACT
      The app's maintainers: the cause is in the repository.

    -- 
    You get one mail per problem; the daily report lists it until it is
    resolved, and the last message of this thread says when that is. Sent by
    lowtide harbour, 2026-11-23 01:12 America/Moncton.
    ");
    assert_snapshot!(shown(infra_failed()), @"
    Subject: archives: the registry does not answer

    archives: the registry does not answer

    Nothing changed in production: what ran before still runs.

    WHAT HAPPENED
      While resolving the inputs of the build: the registry does not answer.

    WHY
      The registry does not answer: ghcr.io: connection timed out.

    WHAT TO DO NEXT
      Nothing to do if the registry comes back: the next run tries again.

      Everything recorded about this run:
        lowtide show 01JDCS4Z00ABCDEFGHJKMNPQRS
      Try now instead of later:
        lowtide run archives

    WHO NEEDS TO ACT
      The operators: the cause is outside the repository. It is not counted
      against the app.

    -- 
    You get at most one mail a day per problem; the daily report lists it
    until it is resolved. Sent by lowtide harbour, 2026-11-23 01:12
    America/Moncton.
    ");
}

#[test]
fn every_kind_makes_a_mail() {
    for kind in FailureKind::ALL {
        for stage in Stage::ALL {
            let failure = Failure::new(*kind, "detail");
            let (app, run) = ("archives".parse().unwrap(), RUN.parse().unwrap());
            shown(MessageBody::RunFailed {
                app,
                run,
                stage,
                commit: None,
                failure,
                first: RUN.parse().unwrap(),
                since: ts("2026-11-23T05:12:00Z"),
                commit_to_blame: false,
            });
        }
    }
}

#[test]
fn recovered_and_resumed() {
    let (app, run) = ("archives".parse().unwrap(), RUN.parse().unwrap());
    assert_snapshot!(shown(MessageBody::RunRecovered { app, run }), @r#"
    Subject: archives: runs succeed again

    archives: runs succeed again

    All stages passed again. Nothing to do.

    IF YOU WANT TO KNOW MORE
      What this run did:
        lowtide show 01JDCS4Z00ABCDEFGHJKMNPQRS

    -- 
    This closes the thread. Sent by lowtide harbour, 2026-11-23 01:12
    America/Moncton.
    "#);
    let (app, by, why) = (
        "archives".parse().unwrap(),
        "ana".into(),
        "the database is mended".into(),
    );
    assert_snapshot!(shown(MessageBody::Resumed { app, by, why, form: None, probation: 0 }), @r#"
    Subject: archives: resumed by ana

    archives: resumed by ana

    Rollouts and promotions of archives continue in their next window.

    WHY
      ana: the database is mended

    -- 
    This closes the thread. Sent by lowtide harbour, 2026-11-23 01:12
    America/Moncton.
    "#);
}

#[test]
fn a_rollout() {
    assert_snapshot!(shown(rolled_out()), @r#"
    Subject: archives: 20261123.7-3f2a9c1 runs on compose-archives

    archives: 20261123.7-3f2a9c1 runs on compose-archives

    The new release serves: exactly the image that passed the tests, watched
    until it was steady. Nothing to do.

    WHAT RUNS NOW
      Target   compose-archives (2 containers)
      Release  20261123.7-3f2a9c1
      Digest
    sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef

    WHAT CHANGED
      libc6     2.36-9+deb12u4 → 2.36-9+deb12u10
      libssl3   3.0.11-1~deb12u2 → 3.0.17-1~deb12u3
      libzstd1  1.5.4+dfsg2-5 (new)
      openssl   3.0.11-1~deb12u2 → 3.0.17-1~deb12u3
      tzdata    2024a-0+deb12u1 (removed)

      Image settings that differ: env.

      Files: 3 added, 1 removed, 41 changed (etc/ssl/openssl.cnf,
      usr/bin/openssl, …).

    IF IT WAS NOT GOOD
      Go back to the release before:
        lowtide revert archives --reason "…"
      Each step that was taken:
        lowtide show 01JDCS4Z00ABCDEFGHJKMNPQRS

    -- 
    One message per release and target. Sent by lowtide harbour, 2026-11-23
    01:12 America/Moncton.
    "#);
    assert_snapshot!(shown(refused()), @"
    Subject: archives: rollout to compose-archives not begun, the container cannot be recreated faithfully

    archives: rollout to compose-archives not begun, the container cannot be
    recreated faithfully

    Nothing was touched: what ran before still runs.

    WHY
      The container cannot be recreated faithfully: container web:
      HostConfig.Links cannot be kept.

    WHAT TO DO NEXT
      Change the named setting of the container, or roll this target by
      other means.

      Everything recorded about this rollout:
        lowtide show 01JDCS4Z00ABCDEFGHJKMNPQRS
      Once it is fixed, try again now instead of after the next night's run:
        lowtide run archives

    WHO NEEDS TO ACT
      The operators: a setting, a right, or the place where it runs needs to
      be corrected.

    -- 
    You get one message per problem; the daily report lists it until a
    release arrives. Sent by lowtide harbour, 2026-11-23 01:12
    America/Moncton.
    ");
}

#[test]
fn a_halt_that_went_back() {
    assert_snapshot!(shown(halted(HaltReason::Reverted { failure: unhealthy() }, true)), @r#"
    Subject: archives: rolled back on compose-archives, the new container did not become ready

    archives: rolled back on compose-archives, the new container did not
    become ready

    Rolled back: what ran before serves again.

    WHY
      A rollout was rolled back. The new container did not become ready: web
      answered 500 on /healthz for 2 min.

      | … 2 earlier lines
      | 12:00:03 worker: cannot open the database
      | 12:00:04 worker: cannot open the database
      | 12:00:05 worker: cannot open the database
      | 12:00:06 worker: cannot open the database
      | 12:00:07 worker: cannot open the database
      | 12:00:08 worker: cannot open the database
      | 12:00:09 worker: cannot open the database
      | 12:00:10 worker: cannot open the database
      | 12:00:11 worker: cannot open the database
      | 12:00:12 worker: cannot open the database
      | 12:00:13 worker: cannot open the database
      | 12:00:14 worker: cannot open the database
      | 12:00:15 worker: cannot open the database
      | 12:00:16 worker: cannot open the database
      | 12:00:17 worker: cannot open the database
      | 12:00:18 worker: cannot open the database
      | 12:00:19 worker: cannot open the database
      | 12:00:20 worker: cannot open the database
      | 12:00:21 worker: cannot open the database
      | 12:00:22 worker: cannot open the database

    WHAT IS HALTED
      Rollouts and promotions of archives wait until it is resumed. It is
      still built and tested every night. Release 20261123.7-3f2a9c1 is not
      tried again by itself, nor is the same content under another name.

    WHAT TO DO NEXT
      Look at the new container's last lines above.

      Each step that was taken:
        lowtide show 01JDCS4Z00ABCDEFGHJKMNPQRS
      To resume it:
        lowtide resume archives --reason "…"

    WHO NEEDS TO ACT
      The app's maintainers: the cause is in the repository.

    -- 
    One message per halt; the daily report lists it until it is resumed.
    Sent by lowtide harbour, 2026-11-23 01:12 America/Moncton.
    "#);
}

#[test]
fn a_halt_of_what_cannot_go_back() {
    assert_snapshot!(shown(halted(HaltReason::Irreversible { failure: unhealthy() }, false)), @r#"
    Subject: archives: stopped on compose-archives, needs you: the new container did not become ready

    archives: stopped on compose-archives, needs you: the new container did
    not become ready

    The rollout stopped where it was and was not rolled back: its data may
    have moved on, and the old release might not understand it. Please look
    at the target now.

    WHY
      A rollout that cannot be rolled back failed. The new container did not
      become ready: web answered 500 on /healthz for 2 min.

      | … 2 earlier lines
      | 12:00:03 worker: cannot open the database
      | 12:00:04 worker: cannot open the database
      | 12:00:05 worker: cannot open the database
      | 12:00:06 worker: cannot open the database
      | 12:00:07 worker: cannot open the database
      | 12:00:08 worker: cannot open the database
      | 12:00:09 worker: cannot open the database
      | 12:00:10 worker: cannot open the database
      | 12:00:11 worker: cannot open the database
      | 12:00:12 worker: cannot open the database
      | 12:00:13 worker: cannot open the database
      | 12:00:14 worker: cannot open the database
      | 12:00:15 worker: cannot open the database
      | 12:00:16 worker: cannot open the database
      | 12:00:17 worker: cannot open the database
      | 12:00:18 worker: cannot open the database
      | 12:00:19 worker: cannot open the database
      | 12:00:20 worker: cannot open the database
      | 12:00:21 worker: cannot open the database
      | 12:00:22 worker: cannot open the database

    WHAT IS HALTED
      Rollouts and promotions of archives wait until it is resumed. It is
      still built and tested every night. Release 20261123.7-3f2a9c1 is not
      tried again by itself, nor is the same content under another name.

    WHAT TO DO NEXT
      Look at the new container's last lines above.

      Each step that was taken:
        lowtide show 01JDCS4Z00ABCDEFGHJKMNPQRS
      To resume it:
        lowtide resume archives --reason "…"

    WHO NEEDS TO ACT
      The app's maintainers: the cause is in the repository.

    -- 
    One message per halt; the daily report lists it until it is resumed.
    Sent by lowtide harbour, 2026-11-23 01:12 America/Moncton.
    "#);
}

#[test]
fn a_halt_that_is_stuck() {
    let failure = Failure::new(FailureKind::RevertFailed, "web does not start: port 80 is taken");
    assert_snapshot!(shown(halted(HaltReason::Stuck { failure }, false)), @r#"
    Subject: archives: stuck on compose-archives, needs you: the revert failed

    archives: stuck on compose-archives, needs you: the revert failed

    Please look at the target now: it is not certain that it serves.

    WHY
      A rollout is stuck. The revert failed: web does not start: port 80 is
      taken.

      | … 2 earlier lines
      | 12:00:03 worker: cannot open the database
      | 12:00:04 worker: cannot open the database
      | 12:00:05 worker: cannot open the database
      | 12:00:06 worker: cannot open the database
      | 12:00:07 worker: cannot open the database
      | 12:00:08 worker: cannot open the database
      | 12:00:09 worker: cannot open the database
      | 12:00:10 worker: cannot open the database
      | 12:00:11 worker: cannot open the database
      | 12:00:12 worker: cannot open the database
      | 12:00:13 worker: cannot open the database
      | 12:00:14 worker: cannot open the database
      | 12:00:15 worker: cannot open the database
      | 12:00:16 worker: cannot open the database
      | 12:00:17 worker: cannot open the database
      | 12:00:18 worker: cannot open the database
      | 12:00:19 worker: cannot open the database
      | 12:00:20 worker: cannot open the database
      | 12:00:21 worker: cannot open the database
      | 12:00:22 worker: cannot open the database

    WHAT IS HALTED
      Rollouts and promotions of archives wait until it is resumed. It is
      still built and tested every night. Release 20261123.7-3f2a9c1 is not
      tried again by itself, nor is the same content under another name.

    WHAT TO DO NEXT
      Look at the host now: a container may be down.

      Each step that was taken:
        lowtide show 01JDCS4Z00ABCDEFGHJKMNPQRS
      To resume it:
        lowtide resume archives --reason "…"

    WHO NEEDS TO ACT
      The operators: the cause is outside the repository. It is not counted
      against the app.

    -- 
    One message per halt; the daily report lists it until it is resumed.
    Sent by lowtide harbour, 2026-11-23 01:12 America/Moncton.
    "#);
}

#[test]
fn a_halt_by_a_person() {
    let body = MessageBody::Halted {
        app: "archives".parse().unwrap(),
        target: None,
        rollout: None,
        reason: HaltReason::Operator {
            by: "ana".into(),
            why: "the database moves on Friday".into(),
        },
        tag: None,
        back: false,
        log: vec![],
        incident: None,
        require: Require::Countermeasure,
    };
    assert_snapshot!(shown(body), @r#"
    Subject: archives: halted by ana

    archives: halted by ana

    What runs now keeps running.

    WHY
      ana stopped it: the database moves on Friday.

    WHAT IS HALTED
      Rollouts and promotions of archives wait until it is resumed. It is
      still built and tested every night.

    WHAT TO DO NEXT
      To resume it:
        lowtide resume archives --reason "…"

    -- 
    One message per halt; the daily report lists it until it is resumed.
    Sent by lowtide harbour, 2026-11-23 01:12 America/Moncton.
    "#);
}

#[test]
fn a_refused_configuration() {
    let problems = "lowtide.yml:12:5: unknown key `chanels`, did you mean `channels`?\nlowtide.yml:30:11: no such zone: Amerika/Moncton";
    let body = MessageBody::ConfigRefused {
        revision: "5d0c7e21".repeat(5),
        problems: problems.into(),
        commit: None,
    };
    assert_snapshot!(shown(body), @"
    Subject: configuration 5d0c7e2 is refused

    configuration 5d0c7e2 is refused

    The last valid configuration stays in effect, all of it.

    WHAT IS WRONG
      | lowtide.yml:12:5: unknown key `chanels`, did you mean `channels`?
      | lowtide.yml:30:11: no such zone: Amerika/Moncton

    WHAT TO DO NEXT
      Correct the places above and push; the next check of the repository
      picks it up.

      See the same before you push:
        lowtide check --config FILE

    WHO NEEDS TO ACT
      The operators: a setting, a right, or the place where it runs needs to
      be corrected.

    -- 
    One message per refused revision. Sent by lowtide harbour, 2026-11-23
    01:12 America/Moncton.
    ");
}

#[test]
fn what_no_rebuild_mends() {
    let pending = |package: &str, fix| PendingPackage {
        package: package.to_owned(),
        architecture: "amd64".to_owned(),
        installed: Some("3.0.15-1".to_owned()),
        candidate: "3.0.16-1".to_owned(),
        origin: "Debian-Security:12/stable-security".to_owned(),
        security: true,
        layer: None,
        fix,
    };
    let base = Fix::Base {
        reference: "debian:12-slim".to_owned(),
    };
    let pin = Fix::Pin {
        version: "3.0.15-1".to_owned(),
        line: 7,
    };
    let body = MessageBody::UnfixableUpdates {
        app: "archives".parse().unwrap(),
        packages: vec![pending("libssl3", base), pending("nginx", pin)],
        unavailable_pins: vec![UnavailablePin {
            package: "redis".to_owned(),
            version: "7.0.14-1".to_owned(),
            line: 9,
            available: Some("7.0.15-1".to_owned()),
        }],
    };
    assert_snapshot!(shown(body), @"
    Subject: archives: 2 security fixes need a newer debian:12-slim and another version in the Dockerfile

    archives: 2 security fixes need a newer debian:12-slim and another
    version in the Dockerfile

    Nothing changes: a rebuild would install the same packages.

    WHAT IS PENDING
      libssl3  3.0.15-1 → 3.0.16-1, security
      nginx    3.0.15-1 → 3.0.16-1, security

    WHAT IS GONE
      Line 9 of the Dockerfile pins redis 7.0.14-1, which no package
      repository has any more; the newest there is is 7.0.15-1.

    WHAT TO DO NEXT
      Wait: when the base is republished, the next night picks it up. Or set
      build.upgrade: true for this app: each build then upgrades everything
      as the last step of its final stage, and the night picks such fixes up
      by itself.

      Change the version in the Dockerfile, or leave it out there. While a
      version is asked for that is gone, the next build will fail.

      All pending packages, by repository:
        lowtide outdated --app archives

    -- 
    You get one mail per version; `lowtide status` lists it until it is
    fixed. Sent by lowtide harbour, 2026-11-23 01:12 America/Moncton.
    ");
}
