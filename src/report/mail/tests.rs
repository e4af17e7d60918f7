use super::*;
use crate::model::failure::{Failure, FailureKind, Fault, HaltReason};
use crate::model::inventory::{Change, FileChanges, PackageChange};
use crate::model::notice::{Audience, DigestApp, DigestBody, DigestLine};
use crate::model::run::Stage;
use insta::assert_snapshot;
use jiff::Timestamp;
use proptest::prelude::*;

const RUN: &str = "01JDCS4Z00ABCDEFGHJKMNPQRS";

fn ts(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn context() -> MailContext {
    MailContext {
        instance: "harbour".into(),
        domain: "example.org".into(),
        timezone: "America/Moncton".into(),
    }
}

fn notice(body: NoticeBody) -> Notice {
    Notice {
        dedup: "d".into(),
        thread: "d".into(),
        audience: Audience::Mail { to: vec![] },
        at: ts("2026-11-23T05:12:00Z"),
        body,
    }
}

/// Subject and text, as a person sees them.
fn shown(body: NoticeBody) -> String {
    let mail = render(&notice(body), &context());
    check(&mail);
    format!("Subject: {}\n\n{}", mail.subject, mail.text)
}

/// What holds for every mail.
fn check(mail: &Mail) {
    for line in mail.text.lines() {
        let command = line.starts_with("    lowtide ");
        assert!(command || line.chars().count() <= text::WIDTH, "{line}");
    }
    let headers = [&mail.subject, &mail.message_id, &mail.list_id];
    for header in headers.into_iter().chain(&mail.in_reply_to).chain(&mail.references) {
        assert!(!header.chars().any(char::is_control), "{header:?}");
    }
    assert!(mail.html.starts_with("<!DOCTYPE html>") && mail.html.ends_with("</html>"));
    for fetched in ["<img", "src=", "url(", "<link", "<script", "href="] {
        assert!(!mail.html.contains(fetched), "{fetched} in {}", mail.html);
    }
}

fn change() -> Change {
    let package = |name: &str, old: Option<&str>, new: Option<&str>| PackageChange {
        name: name.into(),
        old: old.map(Into::into),
        new: new.map(Into::into),
    };
    Change {
        packages: vec![
            package("libc6", Some("2.36-9+deb12u4"), Some("2.36-9+deb12u10")),
            package("libssl3", Some("3.0.11-1~deb12u2"), Some("3.0.17-1~deb12u3")),
            package("libzstd1", None, Some("1.5.4+dfsg2-5")),
            package("openssl", Some("3.0.11-1~deb12u2"), Some("3.0.17-1~deb12u3")),
            package("tzdata", Some("2024a-0+deb12u1"), None),
        ],
        config: vec!["env".into()],
        files: FileChanges {
            added: 3,
            removed: 1,
            changed: 41,
            examples: vec!["etc/ssl/openssl.cnf".into(), "usr/bin/openssl".into()],
        },
    }
}

fn tests_failed() -> Failure {
    Failure::new(
        FailureKind::TestFailed,
        "exec /scripts/runTests.sh ended with 1; 3 of 128 tests failed",
    )
    .with_excerpt([
        "failed: Menu.home",
        "failed: Menu.search",
        "failed: Menu.footer",
        "Menu.home: expected 200, got 500",
        "\u{1b}[31mMenu.footer: the link to the page about cookies is missing from the footer of every page\u{1b}[0m",
        "",
        "Tests: 128, Failures: 3",
    ])
}

fn run_failed() -> NoticeBody {
    NoticeBody::RunFailed {
        app: "archives".parse().unwrap(),
        run: RUN.parse().unwrap(),
        stage: Stage::Test,
        commit: Some("3f2a9c1d0e".repeat(4)),
        failure: tests_failed(),
        fault: Fault::Repo,
    }
}

fn infra_failed() -> NoticeBody {
    NoticeBody::RunFailed {
        app: "archives".parse().unwrap(),
        run: RUN.parse().unwrap(),
        stage: Stage::Resolve,
        commit: None,
        failure: Failure::new(FailureKind::RegistryUnreachable, "ghcr.io: connection timed out"),
        fault: Fault::Infra,
    }
}

fn rolled_out() -> NoticeBody {
    NoticeBody::RolledOut {
        app: "archives".parse().unwrap(),
        target: "compose-archives".parse().unwrap(),
        rollout: RUN.parse().unwrap(),
        tag: "20261123.7-3f2a9c1".into(),
        digest: format!("sha256:{}", "0123456789abcdef".repeat(4)),
        change: Some(change()),
        units: 2,
    }
}

fn refused() -> NoticeBody {
    NoticeBody::RolloutRefused {
        app: "archives".parse().unwrap(),
        target: "compose-archives".parse().unwrap(),
        rollout: RUN.parse().unwrap(),
        failure: Failure::new(
            FailureKind::PreflightRefused,
            "container web: HostConfig.Links cannot be kept",
        ),
    }
}

fn halted(reason: HaltReason, back: bool) -> NoticeBody {
    NoticeBody::Halted {
        app: "archives".parse().unwrap(),
        target: Some("compose-archives".parse().unwrap()),
        rollout: Some(RUN.parse().unwrap()),
        reason,
        tag: Some("20261123.7-3f2a9c1".into()),
        back,
        log: (1..=30)
            .map(|n| format!("12:00:{n:02} worker: cannot open the database"))
            .collect(),
    }
}

fn unhealthy() -> Failure {
    Failure::new(
        FailureKind::UnhealthyAfterRoll,
        "web answered 500 on /healthz for 2 min",
    )
}

fn digest(apps: Vec<(&str, Vec<DigestLine>)>, blind: Vec<String>) -> NoticeBody {
    NoticeBody::Digest(Box::new(DigestBody {
        from: ts("2026-11-22T12:00:00Z"),
        to: ts("2026-11-23T12:00:00Z"),
        timezone: "America/Moncton".into(),
        apps: apps
            .into_iter()
            .map(|(app, lines)| DigestApp {
                app: app.parse().unwrap(),
                lines,
            })
            .collect(),
        blind,
        next_run: Some(ts("2026-11-24T02:00:00Z")),
    }))
}

fn busy_digest(blind: Vec<String>) -> NoticeBody {
    let tag = || "20261123.7-3f2a9c1".to_owned();
    let target = || "compose-archives".parse().unwrap();
    let lines = vec![
        (
            "archives",
            vec![
                DigestLine::Released {
                    tag: tag(),
                    change: Some(change()),
                },
                DigestLine::RolledOut {
                    target: target(),
                    tag: tag(),
                },
            ],
        ),
        ("drupal-base", vec![DigestLine::Unchanged { runs: 1 }]),
        (
            "news",
            vec![DigestLine::Observed {
                tag: tag(),
                change: None,
            }],
        ),
        (
            "shop",
            vec![DigestLine::Halted {
                since: ts("2026-11-20T07:00:00Z"),
                reason: HaltReason::Reverted { failure: unhealthy() },
            }],
        ),
        (
            "wiki",
            vec![DigestLine::Failing {
                stage: Stage::Test,
                failure: tests_failed(),
                since: ts("2026-11-21T05:00:00Z"),
            }],
        ),
        (
            "blog",
            vec![DigestLine::Waiting {
                target: target(),
                tag: tag(),
                why: "waits for its window, 2026-11-24 03:00 America/Moncton".into(),
            }],
        ),
    ];
    digest(lines, blind)
}

#[test]
fn a_failed_run() {
    assert_snapshot!(shown(run_failed()), @r#"
    Subject: [lowtide] archives: tests failed at 3f2a9c1 (3 failing)

    archives: tests failed at 3f2a9c1 (3 failing)

    Nothing changed in production: what ran before still runs.

    WHAT HAPPENED
      In the tests inside the new image: tests failed.

    WHY
      exec /scripts/runTests.sh ended with 1; 3 of 128 tests failed.

      | failed: Menu.home
      | failed: Menu.search
      | failed: Menu.footer
      | Menu.home: expected 200, got 500
      | Menu.footer: the link to the page about cookies is missing from the
      | footer of every page
      |
      | Tests: 128, Failures: 3

    WHAT TO DO NEXT
      Correct the code or the named tests, and push; the next run takes it
      up.

      Everything recorded about this run:
        lowtide show 01JDCS4Z00ABCDEFGHJKMNPQRS
      Once mended, try now instead of tonight:
        lowtide run archives

    WHOSE CONCERN
      The app's maintainers: the cause is in the repository.

    -- 
    You hear of one cause once; the daily digest keeps it in view, and the
    last message of this thread says when it is over. Sent by lowtide
    harbour, 2026-11-23 01:12 America/Moncton.
    "#);
    assert_snapshot!(shown(infra_failed()), @r#"
    Subject: [lowtide] archives: the registry does not answer

    archives: the registry does not answer

    Nothing changed in production: what ran before still runs.

    WHAT HAPPENED
      While the inputs of the build were looked up: the registry does not
      answer.

    WHY
      The registry does not answer: ghcr.io: connection timed out.

    WHAT TO DO NEXT
      Nothing to do if the registry comes back: the next run tries again.

      Everything recorded about this run:
        lowtide show 01JDCS4Z00ABCDEFGHJKMNPQRS
      Try now instead of later:
        lowtide run archives

    WHOSE CONCERN
      The operators: the cause is outside the repository. It is not counted
      against the app.

    -- 
    You hear of one cause at most once a day; the daily digest keeps it in
    view. Sent by lowtide harbour, 2026-11-23 01:12 America/Moncton.
    "#);
}

#[test]
fn every_kind_makes_a_mail() {
    for kind in FailureKind::ALL {
        for stage in Stage::ALL {
            let failure = Failure::new(*kind, "detail");
            let fault = failure.fault();
            let (app, run) = ("archives".parse().unwrap(), RUN.parse().unwrap());
            shown(NoticeBody::RunFailed {
                app,
                run,
                stage,
                commit: None,
                failure,
                fault,
            });
        }
    }
}

#[test]
fn recovered_and_resumed() {
    let (app, run) = ("archives".parse().unwrap(), RUN.parse().unwrap());
    assert_snapshot!(shown(NoticeBody::RunRecovered { app, run }), @r#"
    Subject: [lowtide] archives: runs succeed again

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
    assert_snapshot!(shown(NoticeBody::Resumed { app, by, why }), @r#"
    Subject: [lowtide] archives: resumed by ana

    archives: resumed by ana

    Rollouts and promotions of archives go on in their next window.

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
    Subject: [lowtide] archives: 20261123.7-3f2a9c1 runs on compose-archives

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
        lowtide revert archives
      Each step that was taken:
        lowtide show 01JDCS4Z00ABCDEFGHJKMNPQRS

    -- 
    One message per release and target. Sent by lowtide harbour, 2026-11-23
    01:12 America/Moncton.
    "#);
    assert_snapshot!(shown(refused()), @r#"
    Subject: [lowtide] archives: rollout to compose-archives not begun, the container cannot be recreated faithfully

    archives: rollout to compose-archives not begun, the container cannot be
    recreated faithfully

    Nothing was touched: the containers that ran before still run.

    WHY
      The container cannot be recreated faithfully: container web:
      HostConfig.Links cannot be kept.

    WHAT TO DO NEXT
      Change the named setting of the container, or roll this target by
      other means.

      Everything recorded about this rollout:
        lowtide show 01JDCS4Z00ABCDEFGHJKMNPQRS
      Once mended, try it in the next window:
        lowtide run archives

    WHOSE CONCERN
      The operators: a setting, a right, or the place where it runs needs a
      hand.

    -- 
    You hear of one cause once; the daily digest keeps it in view. Sent by
    lowtide harbour, 2026-11-23 01:12 America/Moncton.
    "#);
}

#[test]
fn a_halt_that_went_back() {
    assert_snapshot!(shown(halted(HaltReason::Reverted { failure: unhealthy() }, true)), @r#"
    Subject: [lowtide] archives: taken back on compose-archives, the new container did not become ready

    archives: taken back on compose-archives, the new container did not
    become ready

    Back on the old containers: what ran before serves again.

    WHY
      A rollout was taken back. The new container did not become ready: web
      answered 500 on /healthz for 2 min.

      | … 10 earlier lines
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
      | 12:00:23 worker: cannot open the database
      | 12:00:24 worker: cannot open the database
      | 12:00:25 worker: cannot open the database
      | 12:00:26 worker: cannot open the database
      | 12:00:27 worker: cannot open the database
      | 12:00:28 worker: cannot open the database
      | 12:00:29 worker: cannot open the database
      | 12:00:30 worker: cannot open the database

    WHAT IS HALTED
      Rollouts and promotions of archives wait until somebody resumes it. It
      is still built and tested every night. Release 20261123.7-3f2a9c1 is
      not tried again by itself, nor is the same content under another name.

    WHAT TO DO NEXT
      Look at the new container's last lines above.

      Each step that was taken:
        lowtide show 01JDCS4Z00ABCDEFGHJKMNPQRS
      When it may go on, say so:
        lowtide resume archives --reason "…"

    WHOSE CONCERN
      The app's maintainers: the cause is in the repository.

    -- 
    One message per halt; the daily digest keeps it in view until it is
    resumed. Sent by lowtide harbour, 2026-11-23 01:12 America/Moncton.
    "#);
}

#[test]
fn halts_that_need_somebody() {
    assert_snapshot!(shown(halted(HaltReason::Irreversible { failure: unhealthy() }, false)), @r#"
    Subject: [lowtide] archives: stopped on compose-archives, needs you: the new container did not become ready

    archives: stopped on compose-archives, needs you: the new container did
    not become ready

    The rollout stopped where it was and was not taken back: its data may
    have moved on, and the old release might not understand it. Please look
    at the containers now.

    WHY
      A rollout that cannot be taken back failed. The new container did not
      become ready: web answered 500 on /healthz for 2 min.

      | … 10 earlier lines
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
      | 12:00:23 worker: cannot open the database
      | 12:00:24 worker: cannot open the database
      | 12:00:25 worker: cannot open the database
      | 12:00:26 worker: cannot open the database
      | 12:00:27 worker: cannot open the database
      | 12:00:28 worker: cannot open the database
      | 12:00:29 worker: cannot open the database
      | 12:00:30 worker: cannot open the database

    WHAT IS HALTED
      Rollouts and promotions of archives wait until somebody resumes it. It
      is still built and tested every night. Release 20261123.7-3f2a9c1 is
      not tried again by itself, nor is the same content under another name.

    WHAT TO DO NEXT
      Look at the new container's last lines above.

      Each step that was taken:
        lowtide show 01JDCS4Z00ABCDEFGHJKMNPQRS
      When it may go on, say so:
        lowtide resume archives --reason "…"

    WHOSE CONCERN
      The app's maintainers: the cause is in the repository.

    -- 
    One message per halt; the daily digest keeps it in view until it is
    resumed. Sent by lowtide harbour, 2026-11-23 01:12 America/Moncton.
    "#);
    let failure = Failure::new(FailureKind::RevertFailed, "web does not start: port 80 is taken");
    assert_snapshot!(shown(halted(HaltReason::Stuck { failure }, false)), @r#"
    Subject: [lowtide] archives: stuck on compose-archives, needs you: the revert failed

    archives: stuck on compose-archives, needs you: the revert failed

    Please look at the containers now: it is not certain that they serve.

    WHY
      A rollout is stuck. The revert failed: web does not start: port 80 is
      taken.

      | … 10 earlier lines
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
      | 12:00:23 worker: cannot open the database
      | 12:00:24 worker: cannot open the database
      | 12:00:25 worker: cannot open the database
      | 12:00:26 worker: cannot open the database
      | 12:00:27 worker: cannot open the database
      | 12:00:28 worker: cannot open the database
      | 12:00:29 worker: cannot open the database
      | 12:00:30 worker: cannot open the database

    WHAT IS HALTED
      Rollouts and promotions of archives wait until somebody resumes it. It
      is still built and tested every night. Release 20261123.7-3f2a9c1 is
      not tried again by itself, nor is the same content under another name.

    WHAT TO DO NEXT
      Look at the host now: a container may be down.

      Each step that was taken:
        lowtide show 01JDCS4Z00ABCDEFGHJKMNPQRS
      When it may go on, say so:
        lowtide resume archives --reason "…"

    WHOSE CONCERN
      The operators: the cause is outside the repository. It is not counted
      against the app.

    -- 
    One message per halt; the daily digest keeps it in view until it is
    resumed. Sent by lowtide harbour, 2026-11-23 01:12 America/Moncton.
    "#);
}

#[test]
fn a_halt_by_a_person() {
    let body = NoticeBody::Halted {
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
    };
    assert_snapshot!(shown(body), @r#"
    Subject: [lowtide] archives: halted by ana

    archives: halted by ana

    What runs now keeps running.

    WHY
      ana stopped it: the database moves on Friday.

    WHAT IS HALTED
      Rollouts and promotions of archives wait until somebody resumes it. It
      is still built and tested every night.

    WHAT TO DO NEXT
      When it may go on, say so:
        lowtide resume archives --reason "…"

    -- 
    One message per halt; the daily digest keeps it in view until it is
    resumed. Sent by lowtide harbour, 2026-11-23 01:12 America/Moncton.
    "#);
}

#[test]
fn a_refused_configuration() {
    let problems = "lowtide.yml:12:5: unknown key `chanels`, did you mean `channels`?\nlowtide.yml:30:11: no such zone: Amerika/Moncton";
    let body = NoticeBody::ConfigRefused {
        revision: "5d0c7e21".repeat(5),
        problems: problems.into(),
    };
    assert_snapshot!(shown(body), @r#"
    Subject: [lowtide] configuration 5d0c7e2 is refused

    configuration 5d0c7e2 is refused

    The last good configuration stays in force, all of it.

    WHAT IS WRONG
      | lowtide.yml:12:5: unknown key `chanels`, did you mean `channels`?
      | lowtide.yml:30:11: no such zone: Amerika/Moncton

    WHAT TO DO NEXT
      Correct the places above and push; the next look at the repository
      takes it up.

      See the same before you push:
        lowtide check --config FILE

    WHOSE CONCERN
      The operators: a setting, a right, or the place where it runs needs a
      hand.

    -- 
    One message per refused revision. Sent by lowtide harbour, 2026-11-23
    01:12 America/Moncton.
    "#);
}

#[test]
fn a_busy_digest() {
    assert_snapshot!(shown(busy_digest(vec![])), @r#"
    Subject: [lowtide] ACTION 2: 2 apps need you, 1 released, 1 rolled out, 1 waiting

    ACTION 2
    2 apps need you, 1 released, 1 rolled out, 1 waiting

    What needs you comes first; the rest is for your information.

    NEEDS YOU
      shop: is halted until somebody resumes it.
        lowtide resume shop --reason "…"
      wiki:
        fails at test for 2 days. exec /scripts/runTests.sh ended with 1; 3
        of 128 tests failed.
        lowtide history wiki

    WHAT CHANGED
      archives:
        released 20261123.7-3f2a9c1: libc6 2.36-9+deb12u4 → 2.36-9+deb12u10,
        libssl3 3.0.11-1~deb12u2 → 3.0.17-1~deb12u3, libzstd1 1.5.4+dfsg2-5
        (new), openssl 3.0.11-1~deb12u2 → 3.0.17-1~deb12u3 and 1 more
        package; image settings; 45 files
      archives: 20261123.7-3f2a9c1 runs on compose-archives

    WOULD HAVE CHANGED (OBSERVE MODE)
      news: 20261123.7-3f2a9c1: first release

    WHAT WAITS, AND WHY
      blog:
        20261123.7-3f2a9c1 for compose-archives: waits for its window,
        2026-11-24 03:00 America/Moncton

    HALTED
      shop:
        for 3 days. A rollout was taken back. The new container did not
        become ready: web answered 500 on /healthz for 2 min.

    AND BESIDES
      From 2026-11-22 08:00 to 2026-11-23 08:00 (America/Moncton): 6 apps
      watched, 1 run found nothing to change. The next run is due 2026-11-23
      22:00 America/Moncton.

    -- 
    At most one digest a day, and one a week when nothing happens: if none
    comes for eight days, lowtide is not well. Sent by lowtide harbour.
    "#);
}

#[test]
fn a_blind_digest() {
    let text = shown(busy_digest(vec![
        "registry.example.org has not answered since 2026-11-22 21:00".into(),
    ]));
    let above: Vec<&str> = text.lines().take(12).collect();
    assert_snapshot!(above.join("\n"), @r#"
    Subject: [lowtide] BLIND: 1 thing not seen, 2 apps need you, 1 released, 1 rolled out, 1 waiting

    BLIND
    1 thing not seen, 2 apps need you, 1 released, 1 rolled out, 1 waiting

    Some things could not be seen or told, so silence about them means
    nothing. They come first below.

    NOT SEEN
      - registry.example.org has not answered since 2026-11-22 21:00

    NEEDS YOU
    "#);
}

#[test]
fn a_sign_of_life() {
    let quiet = digest(
        vec![
            ("archives", vec![DigestLine::Unchanged { runs: 7 }]),
            ("news", vec![DigestLine::Unchanged { runs: 7 }]),
        ],
        vec![],
    );
    assert_snapshot!(shown(quiet), @r#"
    Subject: [lowtide] OK: 2 apps watched, nothing changed

    OK
    2 apps watched, nothing changed

    Nothing needs you.

    AND BESIDES
      From 2026-11-22 08:00 to 2026-11-23 08:00 (America/Moncton): 2 apps
      watched, 14 runs found nothing to change. The next run is due
      2026-11-23 22:00 America/Moncton.

    -- 
    At most one digest a day, and one a week when nothing happens: if none
    comes for eight days, lowtide is not well. Sent by lowtide harbour.
    "#);
    assert_snapshot!(shown(digest(vec![], vec![])).lines().next().unwrap(), @"Subject: [lowtide] OK: 0 apps watched, nothing changed");
}

#[test]
fn long_lists_end_in_and_more() {
    let names: Vec<String> = (0..40).map(|n| format!("app{n}")).collect();
    let apps = names
        .iter()
        .map(|n| {
            (
                n.as_str(),
                vec![DigestLine::Released {
                    tag: "1".into(),
                    change: None,
                }],
            )
        })
        .collect();
    assert!(shown(digest(apps, vec![])).contains("\n  and 15 more\n"));
    let many = |n: usize| PackageChange {
        name: format!("p{n}"),
        old: Some("1".into()),
        new: Some("2".into()),
    };
    let NoticeBody::RolledOut {
        app,
        target,
        rollout,
        tag,
        digest,
        units,
        ..
    } = rolled_out()
    else {
        unreachable!()
    };
    let change = Some(Change {
        packages: (0..30).map(many).collect(),
        ..Change::default()
    });
    let text = shown(NoticeBody::RolledOut {
        app,
        target,
        rollout,
        tag,
        digest,
        change,
        units,
    });
    assert!(text.contains("\n  and 10 more\n"), "{text}");
}

#[test]
fn the_same_notice_is_the_same_message() {
    let first = render(&notice(run_failed()), &context());
    assert_eq!(first, render(&notice(run_failed()), &context()));
    assert_eq!(first.in_reply_to, None);
    assert_snapshot!(first.message_id, @"<lowtide.122ed54517c81792ab2618d06aeae2f9@example.org>");
    assert_snapshot!(first.list_id, @"lowtide <harbour.lowtide.example.org>");
    let later = Notice {
        dedup: "d/recovered".into(),
        ..notice(run_failed())
    };
    let later = render(&later, &context());
    assert_ne!(later.message_id, first.message_id);
    assert_eq!(later.in_reply_to.as_ref(), Some(&first.message_id));
    assert_eq!(later.references, [first.message_id.clone()]);
    let elsewhere = MailContext {
        instance: "other".into(),
        ..context()
    };
    assert_ne!(render(&notice(run_failed()), &elsewhere).message_id, first.message_id);
}

#[test]
fn html_says_what_the_text_says() {
    let mail = render(&notice(rolled_out()), &context());
    for fact in [
        "compose-archives (2 containers)",
        "20261123.7-3f2a9c1",
        "libzstd1",
        "3.0.11-1~deb12u2 → 3.0.17-1~deb12u3",
        "lowtide revert archives",
    ] {
        assert!(mail.html.contains(fact) && mail.text.contains(fact), "{fact}");
    }
}

fn hostile() -> impl Strategy<Value = String> {
    let parts = prop_oneof![
        Just("\r\nBcc: x@example.org\r\n\r\n".to_owned()),
        Just("<script>alert(1)</script>".to_owned()),
        Just("\"><img src=x>".to_owned()),
        Just("\u{1b}[2J\u{7}\u{202e}\0".to_owned()),
        "(?s).{0,40}",
    ];
    prop::collection::vec(parts, 0..6).prop_map(|p| p.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn hostile_text_stays_text(evil in hostile()) {
        let failure = || Failure::new(FailureKind::TestFailed, evil.clone()).with_excerpt([evil.clone()]);
        let change = Change {
            packages: vec![PackageChange { name: evil.clone(), old: Some(evil.clone()), new: None }],
            config: vec![evil.clone()],
            files: FileChanges { added: 1, examples: vec![evil.clone()], ..FileChanges::default() },
        };
        let (app, target): (crate::model::name::AppName, crate::model::name::TargetName) = ("a".parse().unwrap(), "t".parse().unwrap());
        let (run, rollout) = (RUN.parse().unwrap(), RUN.parse().unwrap());
        let e = || evil.clone();
        let bodies = [
            NoticeBody::RunFailed { app: app.clone(), run, stage: Stage::Test, commit: Some(e()), failure: failure(), fault: Fault::Repo },
            NoticeBody::RolledOut { app: app.clone(), target: target.clone(), rollout, tag: e(), digest: e(), change: Some(change.clone()), units: 1 },
            NoticeBody::RolloutRefused { app: app.clone(), target: target.clone(), rollout, failure: failure() },
            NoticeBody::Halted { app: app.clone(), target: None, rollout: None, reason: HaltReason::Operator { by: e(), why: e() }, tag: Some(e()), back: false, log: vec![e()] },
            NoticeBody::Resumed { app: app.clone(), by: e(), why: e() },
            NoticeBody::ConfigRefused { revision: e(), problems: e() },
            digest(vec![("a", vec![
                DigestLine::Released { tag: e(), change: Some(change.clone()) },
                DigestLine::Failing { stage: Stage::Test, failure: failure(), since: ts("2026-11-21T05:00:00Z") },
                DigestLine::Waiting { target, tag: e(), why: e() },
            ])], vec![e()]),
        ];
        let context = MailContext { instance: e(), domain: e(), timezone: e() };
        for body in bodies {
            let mail = render(&notice(body), &context);
            check_hostile(&mail)?;
        }
    }
}

fn check_hostile(mail: &Mail) -> Result<(), TestCaseError> {
    let headers = [&mail.subject, &mail.message_id, &mail.list_id];
    for header in headers {
        prop_assert!(!header.chars().any(char::is_control), "{header:?}");
        prop_assert!(header.chars().count() <= 400);
    }
    for line in mail.text.lines() {
        prop_assert!(
            line.starts_with("    lowtide ") || line.chars().count() <= text::WIDTH,
            "{line:?}"
        );
        prop_assert!(!line.chars().any(char::is_control), "{line:?}");
    }
    prop_assert!(
        !mail.html.contains("<script") && !mail.html.contains("<img"),
        "{}",
        mail.html
    );
    Ok(())
}
