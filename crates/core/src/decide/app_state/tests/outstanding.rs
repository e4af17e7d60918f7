//! Releases that have not reached a target or channel: refused rollouts, failed promotions.

use super::halts::{push, resumed, reverted};
use super::*;
use crate::fleet::app_state::Placed;
use crate::kinds::list::KindName;
use jiff::SignedDuration;
use lowtide_model::drift::Drift;
use lowtide_model::run::Trigger;

fn hours(n: i64) -> Timestamp {
    at(0) + SignedDuration::from_hours(n)
}

fn push_at(app_state: &mut AppState, at: Timestamp, event: AppEvent) {
    app_state.apply(&Recorded { seq: 0, at, event });
}

fn refused(kind: FailureKind) -> RolloutConclusion {
    RolloutConclusion::Refused {
        failure: Failure::new(kind, "x"),
    }
}

fn failed(channel: &str, kind: FailureKind) -> AppEvent {
    AppEvent::PromoteFailed {
        channel: channel.parse().unwrap(),
        release: RunId(Ulid(1)),
        since: at(1),
        failure: Failure::new(kind, "x"),
    }
}

/// `s1 refuses`, or nothing.
fn shown(app: &App, app_state: &AppState) -> String {
    let refusals = app_state
        .refusals()
        .map(|refusal| format!("{} refuses", refusal.target));
    let channels = app_state.unpromoted(app).map(|(channel, failing)| {
        let due = failing.due().map(|due| due.duration_since(failing.at).as_secs());
        let due = due.map_or("never".to_owned(), |due| match due {
            0 => "now".to_owned(),
            48..=72 => "in 1 min".to_owned(),
            more => format!("in {more} s"),
        });
        format!("{channel} fails ({due})")
    });
    refusals.chain(channels).collect::<Vec<_>>().join(", ")
}

fn tried(app_state: &AppState, occasion: Occasion, now: Timestamp) -> String {
    match app_state.again(occasion, now) {
        Some(AppEvent::Again { targets, channels }) => {
            let targets = targets.iter().map(TargetName::as_str);
            targets
                .chain(channels.iter().map(ChannelName::as_str))
                .collect::<Vec<_>>()
                .join(" ")
        }
        None => "nothing".to_owned(),
        Some(other) => panic!("{other:?}"),
    }
}

#[test]
fn a_refused_rollout_is_shown_until_something_arrives_and_tried_again_once_a_night() {
    let (app, mut app_state) = (app(), AppState::default());
    released(&mut app_state, 1);
    let story = play(&app, &mut app_state, |_| refused(FailureKind::TargetSick));
    assert_eq!(story, ["staging := t1", "s1 → t1"]);
    assert_eq!(shown(&app, &app_state), "s1 refuses");
    // It was tried at 0 h; a schedule that fires each hour is one night.
    let table = [
        ("someone asks", tried(&app_state, Occasion::Requested, hours(0))),
        ("an hour later", tried(&app_state, Occasion::Night, hours(1))),
        ("the next night", tried(&app_state, Occasion::Night, hours(20))),
        ("reconfigured", tried(&app_state, Occasion::Configured, hours(0))),
        ("restarted", tried(&app_state, Occasion::Started, hours(20))),
    ];
    let table = table.map(|(when, what)| format!("{when}: {what}"));
    insta::assert_snapshot!(table.join("\n"), @"
    someone asks: s1
    an hour later: nothing
    the next night: s1
    reconfigured: s1
    restarted: nothing
    ");
    let since = app_state.refusals().next().unwrap().since;
    let again = app_state.again(Occasion::Night, hours(20)).unwrap();
    push_at(&mut app_state, hours(20), again);
    assert_eq!(
        shown(&app, &app_state),
        "s1 refuses",
        "as long as it is not opened: everything may be paused"
    );
    let story = play(&app, &mut app_state, |_| refused(FailureKind::TargetSick));
    assert_eq!(story, ["s1 → t1"]);
    assert_eq!(
        app_state.refusals().next().unwrap().since,
        since,
        "one trouble, however often it is tried"
    );
    let again = app_state.again(Occasion::Requested, hours(21)).unwrap();
    push_at(&mut app_state, hours(21), again);
    play(&app, &mut app_state, |_| RolloutConclusion::Done);
    assert_eq!(shown(&app, &app_state), "");
    assert_eq!(tried(&app_state, Occasion::Requested, hours(21)), "nothing");
}

/// A superseded release is not shown, and one that an operator withdrew does not count as refused. One that was
/// reverted when its window closed is retried on request.
#[test]
fn what_counts_as_refused() {
    let app = app();
    let after = |conclusion: RolloutConclusion| {
        let mut app_state = AppState::default();
        released(&mut app_state, 1);
        push(
            &mut app_state,
            AppEvent::RolloutEnded {
                target: "s1".parse().unwrap(),
                release: RunId(Ulid(1)),
                rollout: RolloutId(Ulid(9)),
                conclusion,
                worked: None,
                placed: None,
            },
        );
        app_state
    };
    let untimely = RolloutConclusion::Reverted {
        failure: Failure::new(FailureKind::WindowClosed, "x"),
    };
    let cases = [
        ("refused", refused(FailureKind::PreflightRefused)),
        ("rolled back", refused(FailureKind::Withdrawn)),
        ("untimely", untimely),
        ("reverted", reverted()),
        ("done", RolloutConclusion::Done),
    ];
    let table = cases.map(|(name, conclusion)| {
        let app_state = after(conclusion);
        let (requested, night) = (
            tried(&app_state, Occasion::Requested, hours(30)),
            tried(&app_state, Occasion::Night, hours(30)),
        );
        format!(
            "{name}: {}; asked: {requested}; night: {night}",
            shown(&app, &app_state)
        )
    });
    insta::assert_snapshot!(table.join("\n"), @"
    refused: s1 refuses; asked: s1; night: s1
    rolled back: ; asked: nothing; night: nothing
    untimely: s1 refuses; asked: s1; night: nothing
    reverted: ; asked: nothing; night: nothing
    done: ; asked: nothing; night: nothing
    ");
    let mut newer = after(refused(FailureKind::PreflightRefused));
    released(&mut newer, 2);
    assert_eq!(shown(&app, &newer), "");
}

#[test]
fn a_promotion_is_tried_again_by_itself_only_where_that_may_help() {
    let (app, mut app_state) = (app(), AppState::default());
    released(&mut app_state, 1);
    let acts = |app_state: &AppState, now| !matches!(next(&app, app_state, now), Next::Idle);
    // An unreachable registry: retried after a minute, and not forever.
    push_at(
        &mut app_state,
        at(1),
        failed("staging", FailureKind::RegistryUnreachable),
    );
    assert_eq!(shown(&app, &app_state), "staging fails (in 1 min)");
    assert!(!acts(&app_state, at(2)) && acts(&app_state, at(90)));
    assert_eq!(
        wakes(&app, &app_state),
        app_state.unpromoted(&app).next().unwrap().1.due()
    );
    for _ in 0..7 {
        push_at(
            &mut app_state,
            at(90),
            failed("staging", FailureKind::RegistryUnreachable),
        );
    }
    assert_eq!(shown(&app, &app_state), "staging fails (never)");
    assert!(!acts(&app_state, hours(100)));
    assert_eq!(tried(&app_state, Occasion::Night, hours(20)), "staging");
    // A tag that is taken will still be taken a minute later, so there is no automatic retry.
    let again = app_state.again(Occasion::Night, hours(20)).unwrap();
    push_at(&mut app_state, hours(20), again);
    assert!(acts(&app_state, hours(20)));
    push_at(&mut app_state, hours(20), failed("staging", FailureKind::TagTaken));
    assert_eq!(shown(&app, &app_state), "staging fails (never)");
    assert!(!acts(&app_state, hours(21)));
    let table = [
        Occasion::Requested,
        Occasion::Configured,
        Occasion::Started,
        Occasion::Night,
    ];
    let table = table.map(|occasion| tried(&app_state, occasion, hours(20)));
    assert_eq!(table, ["staging"; 4]);
    // Another release is another attempt, with another tag.
    released(&mut app_state, 2);
    assert!(acts(&app_state, hours(21)));
    play(&app, &mut app_state, |_| RolloutConclusion::Done);
    assert_eq!(shown(&app, &app_state), "");
}

/// A promotion in back-off is retried automatically: a run that ends meanwhile does not restart the back-off.
#[test]
fn a_night_leaves_a_promotion_in_back_off_alone() {
    let mut app_state = AppState::default();
    released(&mut app_state, 1);
    push(&mut app_state, failed("staging", FailureKind::RegistryUnreachable));
    assert_eq!(tried(&app_state, Occasion::Night, hours(20)), "nothing");
    assert_eq!(tried(&app_state, Occasion::Requested, hours(20)), "staging");
}

#[test]
fn a_run_brings_another_try_by_what_started_it() {
    let manual = Trigger::Manual {
        by: "ana".to_owned(),
        rebuild: false,
    };
    assert_eq!(Occasion::of(&manual), Occasion::Requested);
    assert_eq!(Occasion::of(&Trigger::Schedule { slot: at(0) }), Occasion::Night);
}

/// The failure in production rolls back staging's tag and its targets, so that both agree. A target that cannot be
/// rolled back automatically is reported.
#[test]
fn while_halted_a_channel_and_its_targets_agree() {
    let mut app = app();
    let mut app_state = AppState::default();
    released(&mut app_state, 1);
    play(&app, &mut app_state, |_| RolloutConclusion::Done);
    released(&mut app_state, 2);
    app.rollout[1].settings.irreversible = true;
    let story = play(&app, &mut app_state, |target| {
        if target == "p1" {
            reverted()
        } else {
            RolloutConclusion::Done
        }
    });
    insta::assert_snapshot!(story.join("\n"), @"
    staging := t2
    s1 → t2
    s2 → t2
    production := t2
    p1 → t2
    staging := t1
    production := t1
    s1 → t1
    ");
    let apart: Vec<String> = app_state
        .apart(&app)
        .iter()
        .map(|apart| format!("{} has {}, {:?}", apart.channel, apart.has, apart.targets))
        .collect();
    insta::assert_snapshot!(apart.join("\n"), @r#"staging has t1, [(TargetName("s2"), "t2")]"#);
    push(&mut app_state, resumed(0));
    assert_eq!(app_state.apart(&app), []);
}

/// An operator withdraws release 1 from a target, which is rolled back to `before`.
fn rolled_back(app_state: &mut AppState, target: &TargetName, before: RunId) -> RolloutId {
    let bad = release(1);
    push(
        app_state,
        AppEvent::Quarantined {
            content: bad.images.first().content.clone(),
            image: bad.images.first().image.clone(),
            digest: None,
        },
    );
    push(
        app_state,
        AppEvent::Halted {
            reason: HaltReason::Withdrawn {
                by: "ana".to_owned(),
                why: "x".to_owned(),
                tag: "t1".to_owned(),
                release: bad.run,
            },
            settings: None,
        },
    );
    let rollout = RolloutId(Ulid(70));
    push(
        app_state,
        AppEvent::RolloutOpened {
            target: target.clone(),
            release: before,
            rollout,
        },
    );
    push(
        app_state,
        AppEvent::RolloutEnded {
            target: target.clone(),
            release: before,
            rollout,
            conclusion: RolloutConclusion::Done,
            worked: None,
            placed: None,
        },
    );
    rollout
}

#[test]
fn the_image_that_was_there_before_is_rolled_back_to_and_never_rolled_out() {
    let (app, mut app_state) = (app(), AppState::default());
    released(&mut app_state, 1);
    let own = Release {
        run: RunId(Ulid(0)),
        tag: "nginx:1.25".to_owned(),
        digest: None,
        ..release(77)
    };
    push(
        &mut app_state,
        AppEvent::Adopted {
            target: "s1".parse().unwrap(),
            image: Box::new(own.clone()),
        },
    );
    play(&app, &mut app_state, |_| RolloutConclusion::Done);
    let state = app_state.targets[&"s1".parse().unwrap()].clone();
    assert_eq!(
        app_state.way_back(&state).map(|release| release.tag.as_str()),
        Some("nginx:1.25")
    );
    let other = app_state.targets[&"s2".parse().unwrap()].clone();
    assert_eq!(app_state.way_back(&other), None);
    assert_eq!(app_state.current().map(|release| release.tag.as_str()), Some("t1"));
    // Its own revert: afterwards it is what runs, and nothing else is rolled out.
    let target = "s1".parse::<TargetName>().unwrap();
    let rollout = rolled_back(&mut app_state, &target, own.run);
    assert_eq!(app_state.targets[&target].current, Some(own.run));
    assert_eq!(app_state.current(), None);
    assert_eq!(
        app_state
            .operator_rollback_of(rollout)
            .map(|operator_rollback| operator_rollback.tag.as_str()),
        Some("t1")
    );
    push(&mut app_state, resumed(0));
    assert_eq!(next(&app, &app_state, at(9)), Next::Idle);
    released(&mut app_state, 2);
    let story = play(&app, &mut app_state, |_| RolloutConclusion::Done);
    assert_eq!(story.first().map(String::as_str), Some("staging := t2"));
    assert_eq!(app_state.targets[&target].previous, Some(own.run));
}

#[test]
fn a_target_that_somebody_else_changed_gets_the_release_back_on_request() {
    let (app, mut app_state) = (app(), AppState::default());
    released(&mut app_state, 1);
    play(&app, &mut app_state, |_| RolloutConclusion::Done);
    assert_eq!(next(&app, &app_state, at(1)), Next::Idle);
    let target: TargetName = "s1".parse().unwrap();
    let rollout = app_state.targets[&target].ended.unwrap().0;
    let placed = Placed {
        kind: KindName::Services,
        image: "x".to_owned(),
    };
    app_state.targets.get_mut(&target).unwrap().placed = Some((rollout, placed));
    push(
        &mut app_state,
        AppEvent::Drifted {
            target: target.clone(),
            rollout,
            drift: Some(Drift::Gone),
        },
    );
    assert_eq!(
        app_state.drifted().map(|it| it.target.as_str()).collect::<Vec<_>>(),
        ["s1"]
    );
    // The drift is assumed to be deliberate.
    assert_eq!(next(&app, &app_state, at(1)), Next::Idle);
    for occasion in [Occasion::Night, Occasion::Configured, Occasion::Started] {
        assert_eq!(tried(&app_state, occasion, hours(20)), "nothing", "{occasion:?}");
    }
    assert_eq!(tried(&app_state, Occasion::Requested, hours(0)), "s1");
    let again = app_state.again(Occasion::Requested, hours(0)).unwrap();
    push(&mut app_state, again);
    assert_eq!(play(&app, &mut app_state, |_| RolloutConclusion::Done), ["s1 → t1"]);
    assert_eq!(app_state.drifted().count(), 0);
    assert_eq!(next(&app, &app_state, at(1)), Next::Idle);
}

/// An open rollout of the withdrawn release turns back, and its report names the operator; no other rollout's does.
#[test]
fn a_rollout_that_is_under_way_belongs_to_the_withdrawal_of_its_release() {
    let operator_rollback = |under_way: u128| {
        let mut app_state = AppState::default();
        for n in [1, 2] {
            released(&mut app_state, n);
        }
        let rollout = RolloutId(Ulid(60));
        let opened = AppEvent::RolloutOpened {
            target: "s1".parse().unwrap(),
            release: release(under_way).run,
            rollout,
        };
        push(&mut app_state, opened);
        let reason = HaltReason::Withdrawn {
            by: "ana".to_owned(),
            why: "x".to_owned(),
            tag: "t1".to_owned(),
            release: release(1).run,
        };
        push(&mut app_state, AppEvent::Halted { reason, settings: None });
        app_state
            .operator_rollback_of(rollout)
            .map(|operator_rollback| operator_rollback.by.clone())
    };
    assert_eq!(operator_rollback(1).as_deref(), Some("ana"));
    assert_eq!(operator_rollback(2), None);
}
