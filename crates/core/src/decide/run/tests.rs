//! The line resolve → publish against made-up outcomes: every ending, every journal prefix resumed.

mod followed;
mod own;
mod retests;
mod trial;

use super::*;
use crate::decide::recover::{self, Recovery};
use crate::fleet::corpus;
use jiff::SignedDuration;
use lowtide_model::failure::SkipReason;
use lowtide_model::policy::ReadyCheck;
use lowtide_model::stages::resolve::{Resolve, ResolvedOrigin};
use lowtide_model::stages::test::Production;
use std::collections::{BTreeMap, BTreeSet};
pub(super) use trial::app;
use trial::{A, B, Trial, at, opened_with};

#[test]
fn a_release_goes_through_every_stage_once() {
    let mut trial = Trial::new(app(Mode::Active, true, true));
    let Conclusion::Released { release } = trial.finish() else {
        panic!("not released")
    };
    assert_eq!(
        trial.stages,
        [
            "resolve 1",
            "build 1",
            "inspect 1",
            "bootstrap 1",
            "test 1",
            "publish 1"
        ]
    );
    assert_eq!(release.digest, Some(A.parse().unwrap()));
    assert!(release.tag.ends_with("-cccccccccccc"), "{}", release.tag);
}

#[test]
fn endings() {
    let unchanged = |why| Conclusion::Unchanged { why };
    let mut same = Trial::new(app(Mode::Active, true, true));
    opened_with(&mut same, Some(B), None);
    assert_eq!(same.finish(), unchanged(SkipReason::SameContent));
    assert_eq!(
        same.stages,
        ["resolve 1", "build 1", "inspect 1"],
        "an unchanged image is not even tested"
    );

    let mut bad = Trial::new(app(Mode::Active, true, true));
    opened_with(&mut bad, Some(A), Some(B));
    assert_eq!(
        bad.finish(),
        unchanged(SkipReason::Quarantined { digest: B.to_owned() })
    );

    let mut only_observed = Trial::new(app(Mode::Active, true, true));
    opened_with(&mut only_observed, Some(B), None);
    if let RunEvent::Opened { last: Some(last), .. } = &mut only_observed.events[0].event {
        last.digest = None;
    }
    assert!(
        matches!(only_observed.finish(), Conclusion::Released { .. }),
        "what was observed is published once the app is active, though it is the same"
    );

    let mut watched = Trial::new(app(Mode::Observe, true, true));
    assert!(matches!(watched.finish(), Conclusion::Observed { .. }));
    assert!(
        !watched.stages.iter().any(|stage| stage.starts_with("publish")),
        "observe never pushes"
    );

    let mut untested = Trial::new(app(Mode::Active, false, false));
    let Conclusion::Released { release } = untested.finish() else {
        panic!("not released")
    };
    assert_eq!(
        untested.stages,
        ["resolve 1", "build 1", "inspect 1", "test 1", "publish 1"]
    );
    assert_eq!(
        (release.digest, release.reference.repository.path.as_str()),
        (None, "lowtide/web")
    );
}

#[test]
fn infra_is_tried_again_and_repo_is_not() {
    let mut flaky = Trial::new(app(Mode::Active, true, true));
    flaky.fails = Some((Stage::Bootstrap, FailureKind::MirrorUnreachable, 2));
    assert!(matches!(flaky.finish(), Conclusion::Released { .. }));
    assert_eq!(flaky.stages[3..6], ["bootstrap 1", "bootstrap 2", "bootstrap 3"]);

    let mut down = Trial::new(app(Mode::Active, true, true));
    down.fails = Some((Stage::Publish, FailureKind::RegistryUnreachable, u32::MAX));
    assert!(matches!(
        down.finish(),
        Conclusion::Failed {
            stage: Stage::Publish,
            ..
        }
    ));

    let mut broken = Trial::new(app(Mode::Active, true, true));
    broken.fails = Some((Stage::Test, FailureKind::TestFailed, 1));
    assert!(matches!(broken.finish(), Conclusion::Failed { stage: Stage::Test, .. }));
    assert_eq!(broken.stages.last().map(String::as_str), Some("test 1"));
}

#[test]
fn a_test_that_fails_of_infra_begins_with_its_tools_again() {
    let mut trial = Trial::new(app(Mode::Active, true, true));
    trial.fails = Some((Stage::Test, FailureKind::EngineUnreachable, 1));
    assert!(matches!(trial.finish(), Conclusion::Released { .. }));
    assert_eq!(
        trial.stages[3..],
        ["bootstrap 1", "test 1", "bootstrap 1", "test 2", "publish 1"]
    );
}

#[test]
fn a_cancelled_run_ends_as_cancelled() {
    let mut trial = Trial::new(app(Mode::Active, true, true));
    trial.push(RunEvent::CancelRequested { by: "me".to_owned() });
    assert_eq!(trial.finish(), Conclusion::Cancelled { by: "me".to_owned() });
    assert!(trial.stages.is_empty());
}

#[test]
fn every_journal_prefix_ends_as_the_whole() {
    prefixes_end_as_the_whole(|| Trial::new(app(Mode::Active, true, true)));
    prefixes_end_as_the_whole(|| followed::newer(true));
}

fn prefixes_end_as_the_whole(new: impl Fn() -> Trial) {
    let mut whole = new();
    let expected = whole.finish();
    for cut in 1..whole.events.len() {
        let mut trial = new();
        trial.events = whole.events[..cut].to_vec();
        if let Progress::Started { effect, .. } = trial.state().effect {
            let Recovery::Repeat { back_to } = recover::run_effect(&effect);
            trial.push(RunEvent::EffectAbandoned { back_to });
        }
        let ended = trial.finish();
        let (Conclusion::Released { release }, Conclusion::Released { release: wanted }) = (&ended, &expected) else {
            panic!("cut after {cut}: {ended:?}");
        };
        assert_eq!(
            (&release.tag, &release.digest),
            (&wanted.tag, &wanted.digest),
            "cut after {cut}"
        );
    }
}

#[test]
fn illegal_events_are_refused() {
    let trial = Trial::new(app(Mode::Active, true, true));
    let ended = RunEvent::EffectEnded {
        outcome: Outcome::Built(Built {
            image: A.parse().unwrap(),
            size: 0,
        }),
    };
    for event in [ended, RunEvent::EffectAbandoned { back_to: Stage::Build }] {
        let mut state = trial.state();
        assert!(
            state
                .apply(&Recorded {
                    seq: 2,
                    at: at(1),
                    event
                })
                .is_err()
        );
    }
}

/// The effects that have a round, and whether the start as it ships follows.
fn rounds(trial: &Trial) -> Vec<String> {
    let started = trial.events.iter().filter_map(|recorded| {
        if let RunEvent::EffectStarted { effect, .. } = &recorded.event {
            Some(effect)
        } else {
            None
        }
    });
    let round = |effect: &Effect| match effect {
        Effect::Bootstrap(bootstrap) => Some(format!("bootstrap of {}", bootstrap.round)),
        Effect::Test(test) => {
            let container = test.bootstrapped.as_ref().map(|_| " in its container");
            let start = (test.production == Production::Start).then_some(", then as it ships");
            let (container, start) = (container.unwrap_or_default(), start.unwrap_or_default());
            Some(format!("test of {}{container}{start}", test.round))
        }
        Effect::Resolve(_) | Effect::Build(_) | Effect::Pull(_) | Effect::Inspect(_) | Effect::Publish(_) => None,
    };
    started.filter_map(round).collect()
}

#[test]
fn every_round_has_a_container_of_its_own_and_the_last_is_followed_by_the_start_as_it_ships() {
    let mut twice = app(Mode::Active, true, true);
    twice.tests.push(twice.tests[0].clone());
    let mut trial = Trial::new(twice.clone());
    assert!(matches!(trial.finish(), Conclusion::Released { .. }));
    let whole = [
        "bootstrap of 0",
        "test of 0 in its container",
        "bootstrap of 1",
        "test of 1 in its container, then as it ships",
    ];
    assert_eq!(rounds(&trial), whole);
    assert_eq!(trial.state().tested.len(), 2);

    // Killed in the second round: the first one holds.
    let mut killed = Trial::new(twice);
    assert!(matches!(killed.finish(), Conclusion::Released { .. }));
    let second = |recorded: &Recorded<RunEvent>| matches!(&recorded.event, RunEvent::EffectStarted { effect: Effect::Test(test), .. } if test.round == 1);
    let at = killed.events.iter().position(second).unwrap();
    killed.events.truncate(at + 1);
    killed.push(RunEvent::EffectAbandoned {
        back_to: Stage::Bootstrap,
    });
    assert!(matches!(killed.finish(), Conclusion::Released { .. }));
    assert_eq!(rounds(&killed)[2..], [whole[2], whole[3], whole[2], whole[3]]);
}

/// A base image for other images is published without ever being started.
#[test]
fn a_base_without_a_command_is_published_without_a_start() {
    let mut base = app(Mode::Active, true, false);
    base.ready.check = ReadyCheck::DEFAULT;
    let mut trial = Trial::new(base);
    trial.has_command = false;
    assert!(matches!(trial.finish(), Conclusion::Released { .. }));
    assert_eq!(
        trial.stages,
        ["resolve 1", "build 1", "inspect 1", "test 1", "publish 1"]
    );
    let started = trial.events.iter().find_map(|recorded| {
        let RunEvent::EffectStarted {
            effect: Effect::Test(test),
            ..
        } = &recorded.event
        else {
            return None;
        };
        Some(test.production)
    });
    assert_eq!(started, Some(Production::HasNoCommand));
}

/// The result would always be the same, so the start is neither tried nor retried.
#[test]
fn nothing_to_start_ends_the_run_at_once() {
    let mut trial = Trial::new(app(Mode::Active, true, true));
    trial.has_command = false;
    let Conclusion::Failed { stage, failure } = trial.finish() else {
        panic!("it was released");
    };
    assert_eq!((stage, failure.kind), (Stage::Bootstrap, FailureKind::NothingToStart));
    assert_eq!(trial.stages, ["resolve 1", "build 1", "inspect 1"]);
    assert_eq!(trial.now, 0);
}

#[test]
fn what_the_engine_will_never_do_is_not_tried_again() {
    let mut trial = Trial::new(app(Mode::Active, true, true));
    trial.fails = Some((Stage::Bootstrap, FailureKind::EngineRejected, 100));
    let Conclusion::Failed { failure, .. } = trial.finish() else {
        panic!("it was released");
    };
    assert_eq!(failure.kind, FailureKind::EngineRejected);
    assert_eq!(trial.stages.last().map(String::as_str), Some("bootstrap 1"));
}

/// The pause counts from the failure, not from the call of `next`.
#[test]
fn a_failed_stage_is_tried_again_after_its_pause() {
    let failure = Failure::new(FailureKind::RegistryUnreachable, "x");
    let mut state = Trial::new(app(Mode::Active, true, false)).state();
    let failed = at(100);
    state.effect = Progress::Failed {
        attempt: 1,
        stage: Stage::Resolve,
        failure: failure.clone(),
        at: failed,
    };
    let pause = retry::after(1, failure.fault(), seed(state.id)).unwrap();
    let again = failed + pause;
    let reason = WaitReason::Retry { at: again, failure };
    let wait = Next::WaitUntil { at: again, reason };
    assert_eq!(next(&state, failed), wait);
    assert_eq!(next(&state, again - SignedDuration::from_secs(1)), wait);
    assert!(matches!(next(&state, again), Next::Perform { .. }));
}

#[test]
fn what_released_versions_wrote_is_read() {
    let mut streams = Vec::new();
    let mut add = |name: &str, mut trial: Trial| {
        trial.finish();
        streams.push((
            name.to_owned(),
            trial.events.into_iter().map(|it| it.event).collect::<Vec<_>>(),
        ));
    };
    add("released", Trial::new(app(Mode::Active, true, true)));
    add("observed", Trial::new(app(Mode::Observe, true, true)));
    let mut same = Trial::new(app(Mode::Active, true, true));
    opened_with(&mut same, Some(B), None);
    add("unchanged", same);
    add("retested", retests::moved(app(Mode::Active, true, true)));
    add("followed", followed::newer(true));
    let mut broken = Trial::new(app(Mode::Active, true, true));
    broken.fails = Some((Stage::Test, FailureKind::TestFailed, 100));
    add("failed", broken);
    let mut cancelled = Trial::new(app(Mode::Active, true, true));
    cancelled.push(RunEvent::EffectStarted {
        attempt: 1,
        effect: Effect::Resolve(Resolve {}),
    });
    cancelled.push(RunEvent::EffectAbandoned {
        back_to: Stage::Resolve,
    });
    cancelled.push(RunEvent::CancelRequested { by: "ana".to_owned() });
    add("cancelled", cancelled);
    let all: Vec<&RunEvent> = streams.iter().flat_map(|(_, events)| events).collect();
    let kinds: BTreeSet<&str> = all.iter().map(|event| kind(event)).collect();
    assert_eq!(kinds.len(), 6, "{kinds:?}");
    corpus::holds("runs", streams, |events| {
        let state = fold(RunId(ulid::Ulid(1)), events).unwrap();
        serde_json::to_value(state.conclusion).unwrap()
    });
}

fn kind(event: &RunEvent) -> &'static str {
    match event {
        RunEvent::Opened { .. } => "opened",
        RunEvent::EffectStarted { .. } => "effect_started",
        RunEvent::EffectEnded { .. } => "effect_ended",
        RunEvent::EffectAbandoned { .. } => "effect_abandoned",
        RunEvent::CancelRequested { .. } => "cancel_requested",
        RunEvent::Concluded { .. } => "concluded",
    }
}
