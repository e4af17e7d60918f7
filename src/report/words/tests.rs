use super::*;
use crate::model::name::RunId;
use insta::assert_snapshot;

fn ts(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn id() -> RunId {
    "01JDCS4Z00ABCDEFGHJKMNPQRS".parse().unwrap()
}

#[test]
fn every_kind_has_advice_and_a_sentence() {
    for kind in FailureKind::ALL {
        for stage in Stage::ALL {
            let sentence = failed_at(stage, *kind);
            assert!(
                sentence.ends_with('.') && sentence.chars().next().unwrap().is_uppercase(),
                "{sentence}"
            );
        }
        let advice = advice(*kind);
        assert!(
            advice.ends_with('.') && advice.chars().count() <= 120,
            "{kind:?}: {advice}"
        );
    }
    assert_snapshot!(failed_at(Stage::Bootstrap, FailureKind::MirrorUnreachable), @"");
    assert_snapshot!(Stage::ALL.map(|s| failed_at(s, FailureKind::EngineUnreachable)).join("\n"), @"");
}

#[test]
fn failures_and_faults() {
    let shown = [
        failure(&Failure::new(FailureKind::BuildFailed, "exit code 100")),
        failure(&Failure::new(FailureKind::BuildFailed, "")),
        failure(&Failure::new(FailureKind::BuildFailed, "line\nbreak?")),
    ];
    assert_snapshot!(shown.join("\n"), @"");
    assert_snapshot!([Fault::Repo, Fault::Infra, Fault::Operator, Fault::Bug].map(fault).join("\n"), @"");
}

#[test]
fn halts() {
    let f = Failure::new(FailureKind::UnhealthyAfterRoll, "web answered 500");
    let shown = [
        HaltReason::Reverted { failure: f.clone() },
        HaltReason::Irreversible { failure: f.clone() },
        HaltReason::Stuck { failure: f },
        HaltReason::Operator {
            by: "ana".into(),
            why: "the database moves".into(),
        },
    ];
    assert_snapshot!(shown.each_ref().map(halted).join("\n"), @"");
}

#[test]
fn waits_skips_triggers() {
    let at = ts("2026-11-24T07:00:00Z");
    let f = Failure::new(FailureKind::EngineUnreachable, "x");
    let shown = [
        WaitReason::Window { opens: at },
        WaitReason::NoWindow,
        WaitReason::Baking { until: at },
        WaitReason::HookBusy {
            hook: "drain".into(),
            retry: at,
        },
        WaitReason::Retry { at, failure: f },
        WaitReason::Paused,
        WaitReason::Halted,
        WaitReason::TargetBusy,
    ];
    assert_snapshot!(shown.each_ref().map(|w| waiting(w, "America/Moncton")).join("\n"), @"");
    let shown = [
        SkipReason::SameContent,
        SkipReason::Quarantined {
            digest: format!("sha256:{}", "ab".repeat(32)),
        },
    ];
    assert_snapshot!(shown.each_ref().map(skipped).join("\n"), @"");
    let shown = [
        Trigger::Schedule { slot: at },
        Trigger::ParentReleased {
            parent: "drupal-base".into(),
        },
        Trigger::Manual { by: "ana".into() },
        Trigger::Retry { of: id() },
    ];
    assert_snapshot!(shown.each_ref().map(triggered).join("\n"), @"");
}

#[test]
fn ends() {
    let f = Failure::new(FailureKind::UnhealthyAfterRoll, "x");
    let shown = [
        Conclusion::Unchanged {
            why: SkipReason::SameContent,
        },
        Conclusion::Failed {
            stage: Stage::Test,
            failure: Failure::new(FailureKind::TestFailed, "x"),
        },
        Conclusion::Cancelled { by: "ana".into() },
    ];
    assert_snapshot!(shown.each_ref().map(concluded).join("\n"), @"");
    let shown = [
        RolloutConclusion::Done,
        RolloutConclusion::AlreadyThere,
        RolloutConclusion::Refused { failure: f.clone() },
        RolloutConclusion::Superseded {
            by: "01JDCS4Z00ABCDEFGHJKMNPQRT".parse().unwrap(),
        },
        RolloutConclusion::Reverted { failure: f.clone() },
        RolloutConclusion::Stuck { failure: f },
    ];
    assert_snapshot!(shown.each_ref().map(rollout_concluded).join("\n"), @"");
}

#[test]
fn moments_and_spans() {
    let at = ts("2026-11-24T07:00:00Z");
    assert_eq!(moment(at, "America/Moncton"), "2026-11-24 03:00 America/Moncton");
    assert_eq!(moment(at, "No/Where"), "2026-11-24 07:00 UTC");
    let table = [
        (-5, "less than a minute"),
        (59, "less than a minute"),
        (60, "1 minute"),
        (7200, "2 hours"),
        (172_800, "2 days"),
    ];
    for (seconds, expected) in table {
        assert_eq!(span(at, at + jiff::SignedDuration::from_secs(seconds)), expected);
    }
}
