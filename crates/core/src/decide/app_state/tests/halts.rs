//! What a halt leaves behind: an incident, probation for the next rollouts, releases that are remembered.

use super::*;
use lowtide_model::freshness::Inputs;
use lowtide_model::image::ContentDigest;

pub(super) fn resumed(probation: u32) -> AppEvent {
    AppEvent::Resumed {
        by: "me".to_owned(),
        why: "mended".to_owned(),
        form: None,
        probation,
    }
}

pub(super) fn reverted() -> RolloutConclusion {
    let failure = Failure::new(FailureKind::UnhealthyAfterRoll, "x");
    RolloutConclusion::Reverted { failure }
}

pub(super) fn operators() -> AppEvent {
    let reason = HaltReason::Operator {
        by: "me".to_owned(),
        why: "x".to_owned(),
    };
    AppEvent::Halted { reason, settings: None }
}

pub(super) fn push(app_state: &mut AppState, event: AppEvent) {
    app_state.apply(&Recorded {
        seq: 0,
        at: at(9),
        event,
    });
}

/// A release that every target runs, and one that `bad` took back.
pub(super) fn with_incident(app: &App, bad: &str) -> AppState {
    let mut app_state = AppState::default();
    released(&mut app_state, 1);
    play(app, &mut app_state, |_| RolloutConclusion::Done);
    released(&mut app_state, 2);
    play(app, &mut app_state, |target| {
        if target == bad {
            reverted()
        } else {
            RolloutConclusion::Done
        }
    });
    app_state
}

#[test]
fn a_revert_leaves_an_incident_and_an_operators_halt_does_not_hide_it() {
    let app = app();
    let mut app_state = with_incident(&app, "s2");
    let incident = app_state.incidents.clone();
    assert_eq!(incident.len(), 1);
    assert_eq!(
        (incident[0].target.as_str(), incident[0].commit.as_deref()),
        ("s2", Some("c".repeat(40).as_str()))
    );
    assert_eq!(Some(incident[0].rollout), app_state.halted_by);
    push(&mut app_state, operators());
    assert_eq!(app_state.incidents, incident);
    assert_eq!(app_state.halt_to_lift(), Some((at(9), Some(incident[0].rollout))));
    push(&mut app_state, resumed(3));
    assert!(app_state.incidents.is_empty() && app_state.halted.is_none());
    assert_eq!(app_state.halt_to_lift(), None);
    // An operator's own halt opens no incident.
    push(&mut app_state, operators());
    assert!(app_state.incidents.is_empty());
    assert_eq!(
        app_state.halt_to_lift(),
        Some((at(9), None)),
        "the earlier rollout is past"
    );
}

#[test]
fn a_breach_of_probation_halts_again() {
    let app = app();
    let mut app_state = with_incident(&app, "s1");
    push(&mut app_state, resumed(3));
    released(&mut app_state, 3);
    play(&app, &mut app_state, |target| {
        if target == "s2" {
            reverted()
        } else {
            RolloutConclusion::Done
        }
    });
    assert!(app_state.halted.is_some());
    assert_eq!(app_state.incidents.len(), 1);
    assert_eq!(
        app_state.probation,
        Probation::default(),
        "the next resume begins it anew"
    );
    assert_eq!(next(&app, &app_state, at(9)), Next::Idle);
}

/// What runs is remembered however long the app is halted: its age is what people have to see.
#[test]
fn what_targets_run_is_not_forgotten_for_newer_releases() {
    let app = app();
    let mut app_state = with_incident(&app, "s1");
    for n in 3..60 {
        released(&mut app_state, n);
    }
    assert_eq!(app_state.releases.len(), RELEASES);
    assert!(app_state.release(RunId(Ulid(1))).is_some());
    assert_eq!(
        app_state.releases.last().map(|release| release.run),
        Some(RunId(Ulid(59)))
    );
    let order: Vec<RunId> = app_state.releases.iter().map(|release| release.run).collect();
    assert!(order.is_sorted(), "newest last");
}

#[test]
fn halts_of_older_journals_are_read() {
    let read = |text: &str| serde_json::from_str::<AppEvent>(text).unwrap();
    let reason = HaltReason::Operator {
        by: "a".to_owned(),
        why: "b".to_owned(),
    };
    assert_eq!(
        read(r#"{"halted":{"reason":{"reason":"operator","by":"a","why":"b"}}}"#),
        AppEvent::Halted { reason, settings: None }
    );
    assert_eq!(read(r#"{"resumed":{"by":"me","why":"mended"}}"#), resumed(0));
}

/// An operator withdraws a release whose rollout is in progress, and it arrives all the same because the old container
/// was being removed already.
#[test]
fn what_arrives_after_it_was_withdrawn_goes_back_though_the_app_is_halted() {
    let (app, mut app_state) = (app(), AppState::default());
    released(&mut app_state, 1);
    play(&app, &mut app_state, |_| RolloutConclusion::Done);
    released(&mut app_state, 2);
    let (rollout, target, bad) = (RolloutId(Ulid(7)), app.rollout[0].settings.name.clone(), release(2));
    push(
        &mut app_state,
        AppEvent::RolloutOpened {
            target: target.clone(),
            release: bad.run,
            rollout,
        },
    );
    push(
        &mut app_state,
        AppEvent::Quarantined {
            content: bad.images.first().content.clone(),
            image: bad.images.first().image.clone(),
            digest: None,
        },
    );
    push(&mut app_state, operators());
    push(
        &mut app_state,
        AppEvent::RolloutEnded {
            target,
            release: bad.run,
            rollout,
            conclusion: RolloutConclusion::Done,
            worked: None,
            placed: None,
        },
    );
    let story = play(&app, &mut app_state, |_| RolloutConclusion::Done);
    insta::assert_snapshot!(story.join("\n"), @"s1 → t1");
    assert!(app_state.halted.is_some());
}

/// A channel that was added later has no previous release; that must not stop the other channels from rolling back.
#[test]
fn every_channel_gives_a_quarantined_release_back() {
    let (app, mut app_state) = (app(), AppState::default());
    released(&mut app_state, 1);
    play(&app, &mut app_state, |_| RolloutConclusion::Done);
    released(&mut app_state, 2);
    play(&app, &mut app_state, |_| RolloutConclusion::Done);
    let first = app.publish.as_ref().unwrap().channels[0].name.clone();
    app_state.channels.remove(&first);
    let bad = release(2);
    push(
        &mut app_state,
        AppEvent::Quarantined {
            content: bad.images.first().content.clone(),
            image: bad.images.first().image.clone(),
            digest: None,
        },
    );
    push(&mut app_state, operators());
    let story = play(&app, &mut app_state, |_| RolloutConclusion::Done);
    insta::assert_snapshot!(story.join("\n"), @"production := t1");
}

#[test]
fn what_is_let_go_of_quarantine_is_rolled_out_again() {
    let release = release(1);
    let content = release.images.first().content.clone();
    let target: TargetName = "a".parse().unwrap();
    let rollout = RolloutId(Ulid(9));
    let failure = Failure::new(FailureKind::ContainerExited, "x");
    let events = [
        AppEvent::Released {
            release: Box::new(release.clone()),
        },
        AppEvent::RolloutEnded {
            target: target.clone(),
            release: release.run,
            rollout,
            conclusion: RolloutConclusion::Reverted { failure },
            worked: None,
            placed: None,
        },
        AppEvent::Quarantined {
            content: content.clone(),
            image: release.images.first().image.clone(),
            digest: None,
        },
    ];
    let mut app_state = AppState::default();
    for event in events {
        push(&mut app_state, event);
    }
    assert_eq!(app_state.current(), None);
    let go = |content: ContentDigest| Recorded {
        seq: 9,
        at: at(9),
        event: AppEvent::Unquarantined {
            content,
            by: "ana".to_owned(),
            why: "the disk was full".to_owned(),
        },
    };
    app_state.judged = Some(Judged {
        inputs: Inputs::default(),
        at: at(0),
        because: vec![],
    });
    app_state.apply(&go(content));
    assert_eq!(app_state.current().map(|release| release.run), Some(release.run));
    assert_eq!(app_state.targets[&target].last, None, "it may be tried again");
    assert!(app_state.judged.is_some(), "it need not be built again");
    // If no release with this content is known, a run builds it again although no input has changed.
    let unknown: ContentDigest = format!("sha256:{:064x}", 77).parse().unwrap();
    app_state.quarantine.push(unknown.clone());
    app_state.apply(&go(unknown));
    assert_eq!((app_state.quarantine, app_state.judged), (vec![], None));
}
