//! Text that somebody else can put into a message, in each kind of message; and the messages that released versions wrote.

use super::*;
use crate::fleet::corpus;
use lowtide_model::failure::WaitReason;
use lowtide_model::freshness::UnavailablePin;
use lowtide_model::message::{LongWait, Untimely};
use lowtide_model::name::{AppName, TargetName};
use proptest::prelude::*;

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
        let sender = Sender { instance: evil.clone(), timezone: evil.clone(), public_url: None };
        for body in bodies(&evil) {
            check_hostile(&render(&body, &sender))?;
        }
    }
}

fn bodies(evil: &str) -> Vec<MessageBody> {
    let mut all = of_runs(evil);
    all.extend(of_rollouts(evil));
    all.extend(of_operators(evil));
    all.push(daily_report(evil));
    all
}

fn failure(evil: &str) -> Failure {
    Failure::new(FailureKind::TestFailed, evil.to_owned()).with_excerpt([evil.to_owned()])
}

fn hostile_change(evil: &str) -> Change {
    Change {
        packages: vec![PackageChange {
            name: evil.to_owned(),
            old: Some(evil.to_owned()),
            new: None,
        }],
        config: vec![evil.to_owned()],
        files: FileChanges {
            added: 1,
            examples: vec![evil.to_owned()],
            ..FileChanges::default()
        },
    }
}

fn app() -> AppName {
    "a".parse().unwrap()
}

fn target() -> TargetName {
    "t".parse().unwrap()
}

fn of_runs(evil: &str) -> Vec<MessageBody> {
    let run = RUN.parse().unwrap();
    let e = || evil.to_owned();
    vec![
        MessageBody::RunFailed {
            app: app(),
            run,
            stage: Stage::Test,
            commit: Some(built(evil, None)),
            failure: failure(evil),
            first: run,
            since: ts("2026-11-21T05:00:00Z"),
            commit_to_blame: false,
        },
        MessageBody::RunRecovered { app: app(), run },
        MessageBody::RunPassed {
            app: app(),
            run,
            commit: e(),
            tag: Some(e()),
            observed: false,
        },
        MessageBody::UnfixableUpdates {
            app: app(),
            packages: Vec::new(),
            unavailable_pins: vec![UnavailablePin {
                package: e(),
                version: e(),
                line: 1,
                available: Some(e()),
            }],
        },
        MessageBody::PromotionFailed(Box::new(Unpromoted {
            app: app(),
            channel: "c".parse().unwrap(),
            tag: e(),
            failure: failure(evil),
        })),
        MessageBody::Promoted {
            app: app(),
            channel: "c".parse().unwrap(),
            tag: e(),
        },
    ]
}

fn of_rollouts(evil: &str) -> Vec<MessageBody> {
    let rollout = RUN.parse().unwrap();
    let since = ts("2026-11-21T05:00:00Z");
    let e = || evil.to_owned();
    vec![
        MessageBody::RolledOut {
            app: app(),
            target: target(),
            rollout,
            tag: e(),
            digest: e(),
            commit: None,
            change: Some(hostile_change(evil)),
            units: 1,
        },
        MessageBody::RolloutRefused {
            app: app(),
            target: target(),
            rollout,
            failure: failure(evil),
        },
        MessageBody::Halted {
            app: app(),
            target: None,
            rollout: None,
            reason: HaltReason::Operator { by: e(), why: e() },
            tag: Some(e()),
            back: false,
            log: vec![e()],
            incident: Some(Box::new(hostile_incident(evil))),
            require: Require::Countermeasure,
        },
        MessageBody::WentBack(Box::new(WentBack {
            app: app(),
            target: target(),
            rollout,
            tag: e(),
            commit: None,
            from: Some(e()),
            asked: Some(RequestedBy { by: e(), why: e() }),
            units: 1,
        })),
        MessageBody::RolloutWaits(Box::new(LongWait {
            app: app(),
            target: target(),
            rollout,
            tag: e(),
            timezone: "UTC".to_owned(),
            since,
            reason: WaitReason::Frozen { why: e() },
        })),
        MessageBody::RolloutUntimely(Box::new(Untimely {
            app: app(),
            target: target(),
            rollout,
            tag: e(),
            failure: failure(evil),
        })),
    ]
}

fn of_operators(evil: &str) -> Vec<MessageBody> {
    let e = || evil.to_owned();
    vec![
        MessageBody::Resumed {
            app: app(),
            by: e(),
            why: e(),
            form: Some(Box::new(Form {
                whys: vec![e()],
                class: Class::Noise,
                commit: Some(e()),
                config: true,
            })),
            probation: 3,
        },
        MessageBody::ConfigRefused {
            revision: e(),
            problems: e(),
            commit: None,
        },
    ]
}

fn daily_report(evil: &str) -> MessageBody {
    let e = || evil.to_owned();
    report(
        vec![(
            "a",
            vec![
                DailyReportLine::Released {
                    tag: e(),
                    change: Some(hostile_change(evil)),
                },
                DailyReportLine::Failing {
                    stage: Stage::Test,
                    failure: failure(evil),
                    since: ts("2026-11-21T05:00:00Z"),
                },
                DailyReportLine::Waiting {
                    target: target(),
                    tag: e(),
                    why: e(),
                },
                DailyReportLine::WentBack {
                    target: target(),
                    tag: e(),
                    from: Some(e()),
                    by: Some(e()),
                },
                DailyReportLine::Refused {
                    target: target(),
                    tag: e(),
                    since: ts("2026-11-21T05:00:00Z"),
                    failure: failure(evil),
                },
                DailyReportLine::Unpromoted {
                    channel: "c".parse().unwrap(),
                    tag: e(),
                    since: ts("2026-11-21T05:00:00Z"),
                    failure: failure(evil),
                    again: None,
                },
            ],
        )],
        vec![e()],
    )
}

#[test]
fn what_released_versions_wrote_is_read() {
    let all = bodies("in other words");
    corpus::holds("messages", vec![("each".to_owned(), all)], |messages| {
        serde_json::Value::from(messages.len())
    });
}

fn hostile_incident(evil: &str) -> Incident {
    let e = || evil.to_owned();
    let failure = Failure::new(FailureKind::UnhealthyAfterRoll, e());
    let mut incident = crate::report::incident::tests::incident();
    incident.irreversible = true;
    incident.timezone = e();
    incident.tag = e();
    incident.commit = Some(e());
    incident.hooks[0].command = vec![e()];
    incident.hooks[0].unit = e();
    incident.candidates[0].unit = e();
    incident.candidates[0].log = vec![e()];
    incident.readiness[0].unit = e();
    incident.readiness[0].failure = Some(failure);
    incident
}

fn check_hostile(forms: &Forms) -> Result<(), TestCaseError> {
    for line in forms.text.lines() {
        prop_assert!(
            line.starts_with("    lowtide ") || line.chars().count() <= text::WIDTH,
            "{line:?}"
        );
        prop_assert!(!line.chars().any(char::is_control), "{line:?}");
    }
    prop_assert!(
        !forms.html.contains("<script") && !forms.html.contains("<img"),
        "{}",
        forms.html
    );
    Ok(())
}
