use super::*;
use insta::assert_snapshot;
use lowtide_core::channels::list::Address;
use lowtide_model::message::{Keys, LongWait, Unpromoted};
use lowtide_model::policy::PublicUrl;
use lowtide_model::stages::resolve::Commit;
use serde_json::Value;

const ID: &str = "01JDCS4Z00ABCDEFGHJKMNPQRS";

fn at() -> Timestamp {
    "2026-11-23T05:12:00Z".parse().unwrap()
}

fn sent(addressees: Addressees, body: MessageBody) -> Value {
    let address = Receiver { addressees };
    let notice = Notice {
        keys: Keys {
            dedup: "webhook/d".to_owned(),
            thread: "webhook/t".to_owned(),
        },
        address: Address::Webhook(address.clone()),
        at: at(),
        body,
    };
    let sender = Sender {
        instance: "harbour".to_owned(),
        timezone: "America/Moncton".to_owned(),
        public_url: Some(PublicUrl("https://lowtide.example.org".to_owned())),
    };
    let mut payload = serde_json::to_value(payload(&notice, &address, &sender)).unwrap();
    // What the pages say is tested with the mails.
    let text = payload["data"]["text"].take();
    assert!(text.as_str().unwrap().contains("harbour"), "{text}");
    payload
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

fn run_failed() -> MessageBody {
    MessageBody::RunFailed {
        app: "archives".parse().unwrap(),
        run: ID.parse().unwrap(),
        stage: Stage::Test,
        commit: Some(Box::new(Built {
            commit: Commit {
                id: "3f2a9c1d0e".repeat(4),
                subject: "Add the front page".to_owned(),
                author: "Ada".to_owned(),
                time: at(),
            },
            link: None,
        })),
        failure: Failure::new(FailureKind::TestFailed, "3 of 128 tests failed"),
        first: ID.parse().unwrap(),
        since: at(),
        commit_to_blame: true,
    }
}

#[test]
fn a_failed_run() {
    assert_snapshot!(pretty(&sent(Addressees::Maintainers, run_failed())), @r#"
    {
      "type": "run.failed",
      "timestamp": "2026-11-23T05:12:00Z",
      "data": {
        "instance": "harbour",
        "thread": "webhook/t",
        "addressees": "maintainers",
        "title": "archives: tests failed at 3f2a9c1 (3 failing)",
        "summary": "3 of 128 tests failed.",
        "text": null,
        "url": "https://lowtide.example.org/runs/01JDCS4Z00ABCDEFGHJKMNPQRS",
        "app": "archives",
        "run": "01JDCS4Z00ABCDEFGHJKMNPQRS",
        "commit": "3f2a9c1d0e3f2a9c1d0e3f2a9c1d0e3f2a9c1d0e",
        "failure": {
          "kind": "test_failed",
          "fault": "repo",
          "stage": "test",
          "detail": "3 of 128 tests failed"
        }
      }
    }
    "#);
}

#[test]
fn a_halt() {
    let halted = MessageBody::Halted {
        app: "archives".parse().unwrap(),
        target: Some("front".parse().unwrap()),
        rollout: Some(ID.parse().unwrap()),
        reason: HaltReason::Reverted {
            failure: Failure::new(FailureKind::UnhealthyAfterRoll, "front-1 answers 500"),
        },
        tag: Some("20261123.1".to_owned()),
        back: true,
        log: vec![],
        incident: None,
        require: lowtide_model::halt::Require::Reason,
    };
    assert_snapshot!(pretty(&sent(Addressees::Both, halted)), @r#"
    {
      "type": "app.halted",
      "timestamp": "2026-11-23T05:12:00Z",
      "data": {
        "instance": "harbour",
        "thread": "webhook/t",
        "addressees": "both",
        "title": "archives: rolled back on front, the new container did not become ready",
        "summary": "A rollout was rolled back. The new container did not become ready: front-1 answers 500.",
        "text": null,
        "url": "https://lowtide.example.org/apps/archives",
        "app": "archives",
        "target": "front",
        "rollout": "01JDCS4Z00ABCDEFGHJKMNPQRS",
        "tag": "20261123.1",
        "failure": {
          "kind": "unhealthy_after_roll",
          "fault": "repo",
          "detail": "front-1 answers 500"
        }
      }
    }
    "#);
}

#[test]
fn a_rollout_that_waits_and_a_channel_without_its_release() {
    let waits = MessageBody::RolloutWaits(Box::new(LongWait {
        app: "archives".parse().unwrap(),
        target: "front".parse().unwrap(),
        rollout: ID.parse().unwrap(),
        tag: "20261123.1".to_owned(),
        timezone: "UTC".to_owned(),
        since: "2026-11-01T05:12:00Z".parse().unwrap(),
        reason: lowtide_model::failure::WaitReason::NoWindow,
    }));
    assert_snapshot!(pretty(&sent(Addressees::Both, waits)), @r#"
    {
      "type": "rollout.late",
      "timestamp": "2026-11-23T05:12:00Z",
      "data": {
        "instance": "harbour",
        "thread": "webhook/t",
        "addressees": "both",
        "title": "archives: a release has waited 22 days for front",
        "summary": "20261123.1 waits for front.",
        "text": null,
        "url": "https://lowtide.example.org/rollouts/01JDCS4Z00ABCDEFGHJKMNPQRS",
        "app": "archives",
        "target": "front",
        "rollout": "01JDCS4Z00ABCDEFGHJKMNPQRS",
        "tag": "20261123.1"
      }
    }
    "#);
    let failed = MessageBody::PromotionFailed(Box::new(Unpromoted {
        app: "archives".parse().unwrap(),
        channel: "production".parse().unwrap(),
        tag: "20261123.1".to_owned(),
        failure: Failure::new(FailureKind::RegistryDenied, "prod.example.org: 403"),
    }));
    assert_snapshot!(pretty(&sent(Addressees::Operators, failed)), @r#"
    {
      "type": "promotion.failed",
      "timestamp": "2026-11-23T05:12:00Z",
      "data": {
        "instance": "harbour",
        "thread": "webhook/t",
        "addressees": "operators",
        "title": "archives: 20261123.1 could not be promoted to production, the registry refuses our credentials",
        "summary": "Not promoted to production: The registry refuses our credentials: prod.example.org: 403.",
        "text": null,
        "url": "https://lowtide.example.org/apps/archives",
        "app": "archives",
        "channel": "production",
        "tag": "20261123.1",
        "failure": {
          "kind": "registry_denied",
          "fault": "operator",
          "detail": "prod.example.org: 403"
        }
      }
    }
    "#);
}

#[test]
fn what_is_about_no_app_names_none() {
    let refused = MessageBody::ConfigRefused {
        revision: "3f2a9c1".to_owned(),
        problems: "there is no key `nmae`".to_owned(),
        commit: None,
    };
    let refused = sent(Addressees::Operators, refused);
    assert_eq!(refused["type"], "config.refused");
    assert_eq!(refused["data"].get("app"), None);
    let ping = serde_json::to_value(ping("harbour", at())).unwrap();
    assert_eq!(
        (&ping["type"], &ping["data"]["addressees"]),
        (&"ping".into(), &"nobody".into())
    );
}

/// `docs/webhook.schema.json` is what receivers check against. After a change: run this test with
/// `LOWTIDE_WRITE_SCHEMA=1`, and look at what it wrote.
#[test]
fn the_published_schema_is_that_of_the_code() {
    let schema = serde_json::to_string_pretty(&schemars::schema_for!(Payload)).unwrap() + "\n";
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/webhook.schema.json");
    if std::env::var_os("LOWTIDE_WRITE_SCHEMA").is_some() {
        std::fs::write(file, &schema).unwrap();
    }
    let published = std::fs::read_to_string(file).unwrap_or_default();
    assert_eq!(
        published, schema,
        "docs/webhook.schema.json is not that of this version"
    );
}
