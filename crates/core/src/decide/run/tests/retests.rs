//! A release is tested again when an image beside it has moved, and nothing would be built.

use super::*;
use lowtide_model::freshness::{Inputs, Judged};

/// The last release was built from the inputs of today, and passed beside an image that has moved since.
pub(super) fn moved(app: App) -> Trial {
    let mut trial = Trial::new(app);
    opened_with(&mut trial, Some(B), None);
    if let RunEvent::Opened { judged, .. } = &mut trial.events[0].event {
        *judged = Some(Box::new(Judged {
            inputs: Inputs::default(),
            at: at(-100),
            because: Vec::new(),
        }));
    }
    trial.moved = vec!["mariadb:11".to_owned()];
    trial
}

#[test]
fn a_moved_sidecar_has_the_release_tested_again_and_nothing_else() {
    let mut trial = moved(app(Mode::Active, true, true));
    let conclusion = trial.finish();
    let sidecars = BTreeMap::from([("mariadb:11".to_owned(), "sha256:new".to_owned())]);
    assert_eq!(conclusion, Conclusion::Retested { sidecars });
    assert_eq!(trial.stages, ["resolve 1", "bootstrap 1", "test 1"]);
    assert_eq!(rounds(&trial), ["bootstrap of 0", "test of 0 in its container"]);
    let pulled = trial.events.iter().find_map(|recorded| {
        let RunEvent::EffectStarted {
            effect: Effect::Bootstrap(bootstrap),
            ..
        } = &recorded.event
        else {
            return None;
        };
        Some((bootstrap.image.to_string(), bootstrap.pull.as_ref()?.to_string()))
    });
    let (image, from) = pulled.unwrap();
    assert_eq!(image, A);
    assert!(from.ends_with(&format!("@{A}")), "{from}");
}

#[test]
fn every_round_is_tested_again_and_a_kill_repeats_one() {
    let mut twice = app(Mode::Active, true, true);
    twice.tests.push(twice.tests[0].clone());
    let mut trial = moved(twice);
    trial.finish();
    let at = trial.events.len() - 2;
    trial.events.truncate(at);
    trial.push(RunEvent::EffectAbandoned {
        back_to: Stage::Bootstrap,
    });
    assert!(matches!(trial.finish(), Conclusion::Retested { .. }));
    assert_eq!(rounds(&trial).len(), 6, "{:?}", rounds(&trial));
}

#[test]
fn what_has_no_tests_or_is_quarantined_or_built_anyway_is_not_tested_again() {
    let unchanged = |mut trial: Trial| matches!(trial.finish(), Conclusion::Unchanged { .. });
    assert!(unchanged(moved(app(Mode::Active, true, false))));
    let mut quarantined = moved(app(Mode::Active, true, true));
    if let RunEvent::Opened { quarantine, .. } = &mut quarantined.events[0].event {
        *quarantine = vec![B.parse().unwrap()];
    }
    assert!(unchanged(quarantined));
    let mut still = moved(app(Mode::Active, true, true));
    still.moved = Vec::new();
    assert!(unchanged(still));
    // A build is tested beside what there is now.
    let mut built = moved(app(Mode::Active, true, true));
    built.content = A;
    if let RunEvent::Opened { judged, .. } = &mut built.events[0].event {
        *judged = None;
    }
    let Conclusion::Released { release } = built.finish() else {
        panic!("not built")
    };
    assert_eq!(release.sidecars["mariadb:11"], "sha256:new");
}

#[test]
fn a_failure_is_reported_and_ends_the_run() {
    let mut trial = moved(app(Mode::Active, true, true));
    trial.fails = Some((Stage::Test, FailureKind::TestFailed, 100));
    assert!(matches!(trial.finish(), Conclusion::Failed { stage: Stage::Test, .. }));
    assert!(trial.state().is_retest(Stage::Test));
    assert!(
        !trial.stages.iter().any(|stage| stage.starts_with("build")),
        "{:?}",
        trial.stages
    );
}

/// Its commit is to blame as on any other night.
#[test]
fn a_build_that_fails_while_a_sidecar_has_moved_is_no_retest() {
    for stage in [Stage::Build, Stage::Test] {
        let mut trial = moved(app(Mode::Active, true, true));
        trial.content = A;
        if let RunEvent::Opened { judged, .. } = &mut trial.events[0].event {
            *judged = None;
        }
        trial.fails = Some((stage, FailureKind::BuildFailed, 100));
        assert!(matches!(trial.finish(), Conclusion::Failed { .. }));
        assert!(!trial.state().is_retest(stage), "{stage}");
    }
}
