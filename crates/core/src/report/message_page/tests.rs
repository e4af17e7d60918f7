use super::*;
use crate::report::{html, text};
use insta::assert_snapshot;
use jiff::Timestamp;
use lowtide_model::failure::{Failure, FailureKind, HaltReason};
use lowtide_model::halt::{Class, Exposure, Form, Incident, Require};
use lowtide_model::inventory::{Change, FileChanges, PackageChange};
use lowtide_model::message::{
    Built, DailyReport, DailyReportApp, DailyReportLine, MessageBody, RequestedBy, Unpromoted, WentBack,
};
use lowtide_model::run::Stage;
use lowtide_model::stages::resolve::Commit;

mod daily_reports;
mod halts;
mod hostile;
mod incidents;
mod late_rollout;
mod links;
mod outstanding;
mod run_records;

const RUN: &str = "01JDCS4Z00ABCDEFGHJKMNPQRS";

fn ts(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn sender() -> Sender {
    Sender {
        instance: "harbour".into(),
        timezone: "America/Moncton".into(),
        public_url: None,
    }
}

/// One message in both forms that a mail has.
struct Forms {
    subject: String,
    text: String,
    html: String,
}

fn render(body: &MessageBody, sender: &Sender) -> Forms {
    let Rendered { subject, page, lead } = page(body, ts("2026-11-23T05:12:00Z"), sender);
    Forms {
        subject,
        text: text::render(&page, lead),
        html: html::render(&page),
    }
}

/// Subject and text, as a person sees them.
fn shown(body: MessageBody) -> String {
    let forms = render(&body, &sender());
    check(&forms);
    format!("Subject: {}\n\n{}", forms.subject, forms.text)
}

/// What holds for every message.
fn check(forms: &Forms) {
    for line in forms.text.lines() {
        // Commands and links, which are copied or clicked, are never wrapped.
        let whole = line.starts_with("    lowtide ") || line.starts_with("  Page: https://");
        assert!(whole || line.chars().count() <= text::WIDTH, "{line}");
    }
    assert!(forms.html.starts_with("<!DOCTYPE html>") && forms.html.ends_with("</html>"));
    for fetched in ["<img", "src=", "url(", "<link", "<script", "href="] {
        // The only link that a mail may have: the commit's page. Mail clients do not fetch it by themselves.
        let html = forms
            .html
            .replace("<a href=\"https://github.com/example/archives/commit/", "");
        assert!(!html.contains(fetched), "{fetched} in {}", forms.html);
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
        "  Failed asserting that 500 matches expected 200.",
        "failed: Menu.search",
        "failed: Menu.footer",
        "Menu.home: expected 200, got 500",
        "\u{1b}[31mMenu.footer: the link to the page about cookies is missing from the footer of every page\u{1b}[0m",
        "",
        "Tests: 128, Failures: 3",
    ])
}

fn built(subject: &str, link: Option<&str>) -> Box<Built> {
    Box::new(Built {
        commit: Commit {
            id: "3f2a9c1d0e".repeat(4),
            subject: subject.to_owned(),
            author: subject.replace("Say", "Ana"),
            time: "2026-11-23T01:00:00Z".parse().unwrap(),
        },
        link: link.map(ToOwned::to_owned),
    })
}

fn run_failed() -> MessageBody {
    MessageBody::RunFailed {
        app: "archives".parse().unwrap(),
        run: RUN.parse().unwrap(),
        stage: Stage::Test,
        commit: Some(built(
            "Say good\u{1b}[31m night",
            Some("https://github.com/example/archives/commit/3f2a9c1d0e3f2a9c1d0e3f2a9c1d0e3f2a9c1d0e"),
        )),
        failure: tests_failed(),
        first: RUN.parse().unwrap(),
        since: ts("2026-11-23T05:12:00Z"),
        commit_to_blame: false,
    }
}

fn infra_failed() -> MessageBody {
    MessageBody::RunFailed {
        app: "archives".parse().unwrap(),
        run: RUN.parse().unwrap(),
        stage: Stage::Resolve,
        commit: None,
        failure: Failure::new(FailureKind::RegistryUnreachable, "ghcr.io: connection timed out"),
        first: RUN.parse().unwrap(),
        since: ts("2026-11-23T05:12:00Z"),
        commit_to_blame: false,
    }
}

fn rolled_out() -> MessageBody {
    MessageBody::RolledOut {
        app: "archives".parse().unwrap(),
        target: "compose-archives".parse().unwrap(),
        rollout: RUN.parse().unwrap(),
        tag: "20261123.7-3f2a9c1".into(),
        digest: format!("sha256:{}", "0123456789abcdef".repeat(4)),
        commit: None,
        change: Some(change()),
        units: 2,
    }
}

fn refused() -> MessageBody {
    MessageBody::RolloutRefused {
        app: "archives".parse().unwrap(),
        target: "compose-archives".parse().unwrap(),
        rollout: RUN.parse().unwrap(),
        failure: Failure::new(
            FailureKind::PreflightRefused,
            "container web: HostConfig.Links cannot be kept",
        ),
    }
}

fn halted(reason: HaltReason, back: bool) -> MessageBody {
    MessageBody::Halted {
        app: "archives".parse().unwrap(),
        target: Some("compose-archives".parse().unwrap()),
        rollout: Some(RUN.parse().unwrap()),
        reason,
        tag: Some("20261123.7-3f2a9c1".into()),
        back,
        log: (1..=22)
            .map(|n| format!("12:00:{n:02} worker: cannot open the database"))
            .collect(),
        incident: None,
        require: Require::Reason,
    }
}

fn unhealthy() -> Failure {
    Failure::new(
        FailureKind::UnhealthyAfterRoll,
        "web answered 500 on /healthz for 2 min",
    )
}

fn report(apps: Vec<(&str, Vec<DailyReportLine>)>, blind: Vec<String>) -> MessageBody {
    MessageBody::DailyReport(Box::new(DailyReport {
        from: ts("2026-11-22T12:00:00Z"),
        to: ts("2026-11-23T12:00:00Z"),
        timezone: "America/Moncton".into(),
        apps: apps
            .into_iter()
            .map(|(app, lines)| DailyReportApp {
                app: app.parse().unwrap(),
                lines,
            })
            .collect(),
        blind,
        next_run: Some(ts("2026-11-24T02:00:00Z")),
    }))
}

fn busy_report(blind: Vec<String>) -> MessageBody {
    let tag = || "20261123.7-3f2a9c1".to_owned();
    let target = || "compose-archives".parse().unwrap();
    let lines = vec![
        (
            "archives",
            vec![
                DailyReportLine::Released {
                    tag: tag(),
                    change: Some(change()),
                },
                DailyReportLine::RolledOut {
                    target: target(),
                    tag: tag(),
                },
            ],
        ),
        ("drupal-base", vec![DailyReportLine::Unchanged { runs: 1 }]),
        (
            "news",
            vec![DailyReportLine::Observed {
                tag: tag(),
                change: None,
            }],
        ),
        (
            "shop",
            vec![DailyReportLine::Halted {
                since: ts("2026-11-20T07:00:00Z"),
                reason: HaltReason::Reverted { failure: unhealthy() },
                exposure: Exposure {
                    built: Some(ts("2026-11-11T07:00:00Z")),
                    security: 4,
                },
                require: Require::Reason,
            }],
        ),
        (
            "wiki",
            vec![DailyReportLine::Failing {
                stage: Stage::Test,
                failure: tests_failed(),
                since: ts("2026-11-21T05:00:00Z"),
            }],
        ),
        (
            "blog",
            vec![DailyReportLine::Waiting {
                target: target(),
                tag: tag(),
                why: "waits for its window, 2026-11-24 03:00 America/Moncton".into(),
            }],
        ),
    ];
    report(lines, blind)
}

#[test]
fn html_says_what_the_text_says() {
    let forms = render(&rolled_out(), &sender());
    for fact in [
        "compose-archives (2 containers)",
        "20261123.7-3f2a9c1",
        "libzstd1",
        "3.0.11-1~deb12u2 → 3.0.17-1~deb12u3",
        "lowtide revert archives --reason",
    ] {
        assert!(forms.html.contains(fact) && forms.text.contains(fact), "{fact}");
    }
}
