use super::*;
use insta::assert_snapshot;
use lowtide_model::name::RunId;
use lowtide_model::secret::SecretRef;

fn ts(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn id() -> RunId {
    "01JDCS4Z00ABCDEFGHJKMNPQRS".parse().unwrap()
}

#[test]
fn a_set_of_a_matrix_shows_no_secret() {
    let set = BTreeMap::from([
        ("DB".to_owned(), EnvValue::from("11.4")),
        (
            "PW".to_owned(),
            EnvValue::Secret(SecretRef::Env("NIGHTLY_PW".to_owned())),
        ),
    ]);
    let set = of_set(&set).unwrap();
    assert_snapshot!(round(1, 2, &set), @"round 2 of 2, with DB=11.4, PW");
    assert_eq!(of_set(&BTreeMap::new()), None);
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
    assert_snapshot!(failed_at(Stage::Bootstrap, FailureKind::MirrorUnreachable), @"While installing the test tools in the new image: the testing tools could not be fetched.");
    assert_snapshot!(Stage::ALL.map(|s| failed_at(s, FailureKind::EngineUnreachable)).join("\n"), @"
    While resolving the inputs of the build: the engine does not answer.
    During the build: the engine does not answer.
    While pulling the new image: the engine does not answer.
    While inspecting the new image: the engine does not answer.
    While installing the test tools in the new image: the engine does not answer.
    In the tests inside the new image: the engine does not answer.
    While publishing the tested image: the engine does not answer.
    ");
}

#[test]
fn failures_and_faults() {
    let shown = [
        failure(&Failure::new(FailureKind::BuildFailed, "exit code 100")),
        failure(&Failure::new(FailureKind::BuildFailed, "")),
        failure(&Failure::new(FailureKind::BuildFailed, "line\nbreak?")),
    ];
    assert_snapshot!(shown.join("\n"), @r#"
    The build failed: exit code 100.
    The build failed.
    The build failed: line break?
    "#);
    assert_snapshot!([Fault::Repo, Fault::Infra, Fault::Operator, Fault::Bug].map(fault).join("\n"), @r#"
    The app's maintainers: the cause is in the repository.
    The operators: the cause is outside the repository. It is not counted against the app.
    The operators: a setting, a right, or the place where it runs needs to be corrected.
    The operators: this is a fault of lowtide itself. The run is stopped; please report it.
    "#);
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
    assert_snapshot!(shown.each_ref().map(halted).join("\n"), @r#"
    A rollout was rolled back. The new container did not become ready: web answered 500.
    A rollout that cannot be rolled back failed. The new container did not become ready: web answered 500.
    A rollout is stuck. The new container did not become ready: web answered 500.
    ana stopped it: the database moves.
    "#);
}

#[test]
fn waits_skips_triggers() {
    let at = ts("2026-11-24T07:00:00Z");
    let f = Failure::new(FailureKind::EngineUnreachable, "x");
    let shown = [
        WaitReason::Window { opens: at },
        WaitReason::NoWindow,
        WaitReason::WindowNeverOpens,
        WaitReason::Baking { until: at },
        WaitReason::Converging {
            service: "shop_web".into(),
            done: 3,
            total: 10,
            deadline: at,
        },
        WaitReason::HookBusy {
            hook: "drain".into(),
            retry: at,
        },
        WaitReason::Retry { at, failure: f },
        WaitReason::Paused,
        WaitReason::Halted,
        WaitReason::LastInQueue,
    ];
    assert_snapshot!(shown.each_ref().map(|w| waiting(w, "America/Moncton")).join("\n"), @"
    waits for its window, 2026-11-24 03:00 America/Moncton
    has no window: `lowtide run APP --now` starts it
    waits for a window that never opens: it starts with `lowtide run APP --now`, or when the window is changed
    is being watched until 2026-11-24 03:00 America/Moncton
    shop_web: 3 of 10 tasks, until 2026-11-24 03:00 America/Moncton at the latest
    `drain` asked for a later retry, at 2026-11-24 03:00 America/Moncton
    is tried again at 2026-11-24 03:00 America/Moncton: the engine does not answer
    everything is paused
    the app is halted
    lowtide replaces itself when nothing else is under way
    ");
    let shown = [
        SkipReason::SameContent,
        SkipReason::Quarantined {
            digest: format!("sha256:{}", "ab".repeat(32)),
        },
    ];
    assert_snapshot!(shown.each_ref().map(skipped).join("\n"), @r#"
    a rebuild changes nothing
    a rebuild gives the same image that was rolled back (abababababab)
    "#);
    let shown = [
        Trigger::Schedule { slot: at },
        Trigger::ParentReleased {
            parent: "drupal-base".into(),
        },
        Trigger::Manual {
            by: "ana".into(),
            rebuild: false,
        },
        Trigger::Retry { of: id() },
    ];
    assert_snapshot!(shown.each_ref().map(triggered).join("\n"), @r#"
    its schedule
    a release of drupal-base
    manual, by ana
    another try of run 01JDCS4Z00ABCDEFGHJKMNPQRS
    "#);
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
    assert_snapshot!(shown.each_ref().map(concluded).join("\n"), @r#"
    unchanged: a rebuild changes nothing
    failed at test: tests failed
    cancelled by ana
    "#);
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
    assert_snapshot!(shown.each_ref().map(rollout_concluded).join("\n"), @r#"
    done
    nothing to do: it already ran
    refused, the old one serves: the new container did not become ready
    a newer release took its place
    rolled back: the new container did not become ready
    stuck, needs attention: the new container did not become ready
    "#);
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

#[test]
fn waits_for_windows() {
    let at = ts("2026-11-24T07:00:00Z");
    let shown = [
        WaitReason::WindowTooShort {
            needs: jiff::SignedDuration::from_mins(150),
            longest: jiff::SignedDuration::from_mins(120),
        },
        WaitReason::Frozen {
            why: "the database moves".into(),
        },
        WaitReason::Suspended {
            closing: Closing::Ended,
            until: at,
        },
        WaitReason::Suspended {
            closing: Closing::Denied {
                why: Some("year end".into()),
            },
            until: at,
        },
    ];
    assert_snapshot!(shown.each_ref().map(|w| waiting(w, "America/Moncton")).join("\n"), @r"
    never begins by itself: it may need 2 h 30 min, and no opening of its window is longer than 2 h
    is frozen: the database moves
    is suspended, since its window closed, until 2026-11-24 03:00 America/Moncton
    is suspended, year end, until 2026-11-24 03:00 America/Moncton
    ");
}

#[test]
fn lengths() {
    let table = [
        (0, "0 s"),
        (45, "45 s"),
        (380, "6 min 20 s"),
        (7200, "2 h"),
        (9059, "2 h 30 min"),
        (259_200, "3 d"),
        (262_860, "3 d 1 h"),
    ];
    for (seconds, expected) in table {
        assert_eq!(lasting(jiff::SignedDuration::from_secs(seconds)), expected);
    }
}

#[test]
fn a_survey_is_reported_line_by_line_and_nothing_hostile_gets_through() {
    use lowtide_model::freshness::{PendingPackage, Unknown};
    let pending = |package: &str, installed: Option<&str>, security, fix| PendingPackage {
        package: package.to_owned(),
        architecture: "amd64".to_owned(),
        installed: installed.map(ToOwned::to_owned),
        candidate: "2".to_owned(),
        origin: "Debian:12/stable".to_owned(),
        security,
        layer: None,
        fix,
    };
    let base = Fix::Base {
        reference: "debian:12".to_owned(),
    };
    let pin = Fix::Pin {
        version: "1".to_owned(),
        line: 4,
    };
    let survey = Survey {
        pending: vec![
            pending("curl", Some("1"), true, Fix::Rebuild),
            pending("libc6", Some("1"), true, base),
            pending("libnew", None, false, Fix::Rebuild),
            pending("nginx", Some("1"), false, pin),
        ],
        unknown: vec![Unknown {
            source: "http://deb.example.org stable".to_owned(),
            why: "it says\n\u{1b}[31mred".to_owned(),
        }],
        ..Survey::default()
    };
    assert_snapshot!(surveyed(&survey).join("\n"), @"
    pending: curl 1 → 2 (Debian:12/stable, security)
    pending: libc6 1 → 2 (Debian:12/stable, security, waits for debian:12)
    pending: libnew (none) → 2 (Debian:12/stable)
    pending: nginx 1 → 2 (Debian:12/stable, line 4 pins 1)
    not known: http://deb.example.org stable: it says red
    ");
    let behind = Behind {
        packages: 3,
        security: 1,
    };
    assert_snapshot!(running(&"front".parse().unwrap(), behind), @"front is missing 1 security fix");
}

#[test]
fn a_mistyped_app_suggests_the_one_that_was_meant() {
    let known: Vec<AppName> = ["portal", "shop", "web", "web-admin"]
        .map(|name| name.parse().unwrap())
        .into();
    let message = |name: &str| no_such_app(name, known.iter());
    assert_eq!(message("prtal"), "no such app: prtal; did you mean portal?");
    assert_eq!(message("web-amdin"), "no such app: web-amdin; did you mean web-admin?");
    assert_eq!(message("wbe"), "no such app: wbe; did you mean web?");
    assert_eq!(message("mail"), "no such app: mail");
    assert_eq!(message("x"), "no such app: x");
    assert_eq!(no_such_app("web", std::iter::empty()), "no such app: web");
}
