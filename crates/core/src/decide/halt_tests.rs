use super::*;
use crate::decide::app_state;
use crate::fleet::app_state::{AppEvent, UnfixableUpdates};
use jiff::{SignedDuration, Timestamp};
use lowtide_model::failure::{FailureKind, HaltReason};
use lowtide_model::freshness::{Because, Behind, Inputs};
use lowtide_model::journal::Recorded;
use lowtide_model::policy::Schedule;
use lowtide_model::release::{Images, Release};
use lowtide_model::rollout::RolloutConclusion;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

fn app(require: Require) -> App {
    let mut app = crate::decide::schedule::tests_app("web", Schedule::Never, "UTC");
    app.halt.require = require;
    app
}

fn rollout() -> RolloutId {
    RolloutId(ulid::Ulid(9))
}

fn app_state_of(events: Vec<AppEvent>) -> AppState {
    let recorded = |event| Recorded {
        seq: 0,
        at: at(100),
        event,
    };
    app_state::fold(events.into_iter().map(recorded).collect())
}

fn release(n: u128) -> Release {
    let digest = format!("sha256:{n:064x}");
    Release {
        upstream: None,
        run: lowtide_model::name::RunId(ulid::Ulid(n)),
        images: Images::one(digest.parse().unwrap(), digest.parse().unwrap()),
        commit: Some("c".repeat(40)),
        tag: format!("t{n}"),
        digest: None,
        reference: format!("registry.example.org/web:t{n}").parse().unwrap(),
        change: None,
        sidecars: std::collections::BTreeMap::new(),
        at: at(i64::try_from(n).unwrap()),
    }
}

fn ended(n: u128, conclusion: RolloutConclusion) -> AppEvent {
    AppEvent::RolloutEnded {
        target: "t".parse().unwrap(),
        release: release(n).run,
        rollout: rollout(),
        conclusion,
        worked: None,
        placed: None,
    }
}

fn released(n: u128) -> AppEvent {
    AppEvent::Released {
        release: Box::new(release(n)),
    }
}

/// Release 1 runs, release 2 was rolled back.
fn incident(settings: Option<App>) -> Vec<AppEvent> {
    let failure = Failure::new(FailureKind::UnhealthyAfterRoll, "x");
    vec![
        released(1),
        ended(1, RolloutConclusion::Done),
        released(2),
        ended(
            2,
            RolloutConclusion::Reverted {
                failure: failure.clone(),
            },
        ),
        AppEvent::Halted {
            reason: HaltReason::Reverted { failure },
            settings: settings.map(Box::new),
        },
    ]
}

fn found(paths: &[&str], newer: bool) -> CommitSeen {
    CommitSeen::Found {
        id: "3f2a9c1d".repeat(5),
        newer_than: newer.then(rollout).into_iter().collect(),
        files: paths.iter().map(|path| ((*path).to_owned(), Touch::Changed)).collect(),
    }
}

fn good() -> Draft {
    Draft {
        whys: vec!["it died".to_owned(), "nobody tested it".to_owned()],
        root: Some("reached".to_owned()),
        class: Some("test-gap".to_owned()),
        commit: Some("3f2a9c1d".to_owned()),
        config: false,
        odd: vec![],
    }
}

fn judged(draft: &Draft, seen: Option<&CommitSeen>) -> Result<Lifted, Vec<Lacking>> {
    let app = app(Require::Countermeasure);
    let app_state = app_state_of(incident(Some(app.clone())));
    let request = ResumeRequest {
        why: "",
        draft: Some(draft),
    };
    lift(&app_state, Some(&app), request, seen)
}

#[test]
fn a_sentence_is_enough_unless_a_countermeasure_is_required() {
    let app_state = app_state_of(incident(None));
    let request = |why| ResumeRequest { why, draft: None };
    let reason = app(Require::Reason);
    let lifted = lift(&app_state, Some(&reason), request(" fixed "), None).unwrap();
    assert_eq!((lifted.why.as_str(), lifted.form, lifted.probation), ("fixed", None, 3));
    assert_eq!(
        lift(&app_state, Some(&reason), request(" "), None),
        Err(vec![Lacking::Reason])
    );
    let strict = app(Require::Countermeasure);
    assert_eq!(
        lift(&app_state, Some(&strict), request("fixed"), None),
        Err(vec![Lacking::Form])
    );
    // The app is no longer configured: no form is required.
    assert!(lift(&app_state, None, request("fixed"), None).is_ok());
    // An operator's own halt has no incident, so no form is required.
    let reason = HaltReason::Operator {
        by: "me".to_owned(),
        why: "x".to_owned(),
    };
    let own = app_state_of(vec![AppEvent::Halted { reason, settings: None }]);
    let lifted = lift(&own, Some(&strict), request("over"), None).unwrap();
    assert_eq!(lifted.probation, 0);
    let mut none = strict.clone();
    none.halt = HaltPolicy {
        require: Require::Reason,
        probation: 0,
        ..none.halt
    };
    assert_eq!(lift(&app_state, Some(&none), request("x"), None).unwrap().probation, 0);
}

#[test]
fn a_complete_form_with_a_commit_that_holds() {
    let lifted = judged(&good(), Some(&found(&["src/a.rs", "tests/a.rs"], true))).unwrap();
    assert_eq!(lifted.why, "nobody tested it", "the root cause");
    assert_eq!(lifted.probation, 3);
    let form = lifted.form.unwrap();
    assert_eq!(
        (form.class, form.commit, form.config),
        (Class::TestGap, Some("3f2a9c1d".repeat(5)), false)
    );
    let five = Draft {
        whys: ["a", "b", "c", "d", "e"].map(ToOwned::to_owned).to_vec(),
        root: None,
        ..good()
    };
    assert!(
        judged(&five, Some(&found(&["tests/a.rs"], true))).is_ok(),
        "five need no word"
    );
}

/// Item 55: everything that is missing is reported at once.
#[test]
fn a_form_with_missing_fields_is_refused() {
    let tests = || found(&["tests/a.rs"], true);
    let draft = |change: fn(&mut Draft)| {
        let mut draft = good();
        change(&mut draft);
        draft
    };
    let refused = |change: fn(&mut Draft), seen: Option<CommitSeen>| judged(&draft(change), seen.as_ref()).unwrap_err();
    assert_eq!(
        judged(&Draft::default(), None).unwrap_err(),
        [
            Lacking::Whys,
            Lacking::Root { whys: 0 },
            Lacking::Class,
            Lacking::Countermeasure
        ]
    );
    assert_eq!(
        refused(|d| d.whys = vec!["a".to_owned(), " ".to_owned()], Some(tests())),
        [Lacking::EmptyWhy(2)]
    );
    assert_eq!(
        refused(|d| d.whys = vec!["a".to_owned(); 6], Some(tests())),
        [Lacking::TooManyWhys(6)]
    );
    assert_eq!(
        refused(|d| d.root = Some("open".to_owned()), Some(tests())),
        [Lacking::Root { whys: 2 }]
    );
    assert_eq!(
        refused(|d| d.root = Some("yes".to_owned()), Some(tests())),
        [Lacking::RootWord("yes".to_owned())]
    );
    assert_eq!(
        refused(|d| d.class = Some("bug".to_owned()), Some(tests())),
        [Lacking::ClassWord("bug".to_owned())]
    );
    assert_eq!(
        refused(|d| d.odd = vec!["x".to_owned()], Some(tests())),
        [Lacking::Odd("x".to_owned())]
    );
    assert_eq!(
        refused(|d| d.commit = Some("HEAD".to_owned()), None),
        [Lacking::CommitWord("HEAD".to_owned())]
    );
    assert_eq!(
        refused(|d| d.class = Some("noise".to_owned()), Some(tests())),
        [Lacking::NoiseNeedsConfig]
    );
    assert_eq!(refused(|d| d.config = true, Some(tests())), [Lacking::ConfigSame]);
}

#[test]
fn a_commit_has_to_be_a_countermeasure() {
    let id = "3f2a9c1d".repeat(5);
    let refused = |seen| judged(&good(), Some(&seen)).unwrap_err();
    assert_eq!(refused(CommitSeen::Away), [Lacking::CommitAway("3f2a9c1d".to_owned())]);
    let failure = Failure::new(FailureKind::SourceUnreachable, "x");
    assert_eq!(
        refused(CommitSeen::Unseen(failure.clone())),
        [Lacking::CommitUnseen(failure)]
    );
    let old = Lacking::CommitOld {
        commit: id.clone(),
        failed: "c".repeat(40),
    };
    let testless = Lacking::CommitTestless {
        commit: id,
        globs: HaltPolicy::default().tests,
    };
    assert_eq!(refused(found(&["src/a.rs"], false)), [old, testless]);
    // The commit was not looked up.
    assert_eq!(
        judged(&good(), None).unwrap_err(),
        [Lacking::CommitAway("3f2a9c1d".to_owned())]
    );
}

#[test]
fn only_a_change_of_a_relevant_setting_is_a_countermeasure() {
    let then = app(Require::Countermeasure);
    let app_state = app_state_of(incident(Some(then.clone())));
    let draft = Draft {
        commit: None,
        config: true,
        class: Some("noise".to_owned()),
        ..good()
    };
    let request = ResumeRequest {
        why: "the limit was too tight",
        draft: Some(&draft),
    };
    let mut now = then.clone();
    now.ready.timeout += SignedDuration::from_secs(60);
    let lifted = lift(&app_state, Some(&now), request, None).unwrap();
    assert_eq!(lifted.why, "the limit was too tight");
    assert!(
        lifted
            .form
            .is_some_and(|form| form.config && form.class == Class::Noise)
    );
    let mut hearers = then.clone();
    hearers.maintainers.push("new@example.org".to_owned());
    hearers.halt.probation = 0;
    assert_eq!(
        lift(&app_state, Some(&hearers), request, None),
        Err(vec![Lacking::ConfigSame])
    );
    // A halt from an older journal, without the settings of that time.
    let old = app_state_of(incident(None));
    assert_eq!(lift(&old, Some(&now), request, None), Err(vec![Lacking::ConfigUnknown]));
    assert_eq!(lift(&app_state, None, request, None), Err(vec![Lacking::ConfigUnknown]));
}

#[test]
fn what_a_test_is() {
    let globs = HaltPolicy::default().tests;
    for path in [
        "tests/a/b.py",
        "Tests/MenuTest.php",
        "src/menu_test.go",
        "src/test/java/Menu.java",
        "compose.test.yml",
        "scripts/runTests.sh",
    ] {
        assert!(is_test(&globs, path), "{path}");
    }
    for path in ["src/menu.go", "Dockerfile", "latest/menu.go"] {
        assert!(!is_test(&globs, path), "{path}");
    }
    assert!(is_test(&["check/*.sh".to_owned()], "check/a.sh"));
    assert!(
        !is_test(&["check/*.sh".to_owned()], "check/b/a.sh"),
        "a star stays within a name"
    );
}

#[test]
fn a_halted_app_is_as_exposed_as_its_worst_target() {
    let judged = |security| AppEvent::Judged {
        inputs: Box::new(Inputs::default()),
        because: vec![Because::Pending { packages: 9, security }],
    };
    let exposed = |events| {
        let exposure = exposure(&app_state_of(events));
        (
            exposure.built.map(|at| at.as_second() - 1_790_000_000),
            exposure.security,
        )
    };
    assert_eq!(exposed(vec![]), (None, 0));
    // Release 2, built for two fixes, was rolled back.
    let mut events = vec![released(1), ended(1, RolloutConclusion::Done), judged(2)];
    events.extend(incident(None).into_iter().skip(2));
    assert_eq!(exposed(events.clone()), (Some(1), 2));
    // The survey of the running image found more.
    let behind = Behind {
        packages: 7,
        security: 5,
    };
    events.push(AppEvent::UnfixableUpdates {
        unfixable: Box::new(UnfixableUpdates {
            running: [("t".parse().unwrap(), behind)].into(),
            ..UnfixableUpdates::default()
        }),
    });
    assert_eq!(exposed(events), (Some(1), 5));
    let arrived = vec![judged(2), released(1), ended(1, RolloutConclusion::Done)];
    assert_eq!(exposed(arrived), (Some(1), 0));
}

#[test]
fn a_blank_line_in_a_test_is_no_countermeasure() {
    let seen = |touches: &[(&str, Touch)]| CommitSeen::Found {
        id: "3f2a9c1d".repeat(5),
        newer_than: [rollout()].into(),
        files: touches
            .iter()
            .map(|(path, touch)| ((*path).to_owned(), *touch))
            .collect(),
    };
    let blank = seen(&[("menu.py", Touch::Changed), ("tests/menu.py", Touch::Blank)]);
    let path = "tests/menu.py".to_owned();
    let commit = "3f2a9c1d".repeat(5);
    assert_eq!(
        judged(&good(), Some(&blank)),
        Err(vec![Lacking::CommitBlank { commit, path }])
    );
    let both = seen(&[("tests/menu.py", Touch::Blank), ("tests/page.py", Touch::Changed)]);
    assert!(judged(&good(), Some(&both)).is_ok());
}
