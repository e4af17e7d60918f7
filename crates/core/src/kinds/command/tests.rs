//! The reconciler against a simulated target: every kill point, and what commands do.

use super::model::{Aim, CommandUnit, ProbeResult, TargetRecord, TargetRelease};
use super::policy::{CommandPolicy, CommandRequest, Probe};
use super::step::{CommandOutcome, CommandStep};
use crate::decide::app_state::Waits;
use crate::decide::rollout::{Gate, Next, Outside, RolloutState, fold, next_of, preview};
use crate::fleet::corpus;
use crate::fleet::rollout::RolloutEvent;
use crate::kinds::kind::TargetSettings;
use crate::kinds::list::{Listed, Outcome, Step, TargetKind, TargetPolicy};
use crate::kinds::track::{Ended, Progress};
use jiff::{SignedDuration, Timestamp};
use lowtide_model::failure::{Failure, FailureKind, WaitReason};
use lowtide_model::journal::Recorded;
use lowtide_model::name::{RolloutId, RunId};
use lowtide_model::policy::{Ready, ReadyCheck, Unhealthy};
use lowtide_model::preview::What;
use lowtide_model::release::Release;
use lowtide_model::rollout::{Goal, Purpose, RolloutConclusion};
use std::collections::BTreeMap;

mod world;

use world::*;

fn driven(fate: Fate) -> Trial {
    let mut trial = Trial::new(fate);
    assert!(trial.drive(None));
    trial
}

fn rendered(trial: &Trial) -> String {
    let end = match trial.conclusion() {
        RolloutConclusion::Done => "done".to_owned(),
        RolloutConclusion::AlreadyThere => "already there".to_owned(),
        RolloutConclusion::Superseded { .. } => "superseded".to_owned(),
        RolloutConclusion::Refused { failure } => format!("refused: {failure}"),
        RolloutConclusion::Reverted { failure } => format!("rolled back: {failure}"),
        RolloutConclusion::Stuck { failure } => format!("stuck: {failure}"),
    };
    let mut lines: Vec<String> = Vec::new();
    let mut times = 1;
    for (n, step) in trial.steps.iter().enumerate() {
        if trial.steps.get(n + 1) == Some(step) {
            times += 1;
        } else {
            lines.push(if times > 1 {
                format!("{step} ({times} times)")
            } else {
                step.clone()
            });
            times = 1;
        }
    }
    format!("{} → {end}", lines.join(", "))
}

#[test]
fn what_becomes_of_each() {
    let table = Fate::ALL.map(|fate| format!("{fate:?}: {}", rendered(&driven(fate))));
    insta::assert_snapshot!(table.join("\n"), @"
    Good: preflight, run command forward, wait until the target answers → done
    Fails: preflight, run command forward, run command back, wait until the target answers → rolled back: the command failed: exited with code 3
    NeverAnswers: preflight, run command forward, wait until the target answers, run command back, wait until the target answers → rolled back: the target does not answer as it should: answered 503
    FallsSilentWhileBaking: preflight, run command forward, wait until the target answers, run command back, wait until the target answers → rolled back: the target does not answer as it should: while it baked, 3 times in a row: answered 503
    Busy: preflight, run command forward (3 times), wait until the target answers → done
    BackFails: preflight, run command forward, run command back (3 times) → stuck: the revert failed: run command back: exited with code 3
    BackIsBusy: preflight, run command forward, run command back (30 times) → stuck: the revert failed: the rollback asked 30 times to be tried later
    StaysSilent: preflight, run command forward, run command back, wait until the target answers (3 times) → stuck: the revert failed: wait until the target answers: answered 503
    ");
}

#[test]
fn killed_anywhere_it_ends_as_it_would_have() {
    let mut points = 0;
    for fate in Fate::ALL {
        let undisturbed = driven(fate);
        for kill in 0.. {
            let mut trial = Trial::new(fate);
            if trial.drive(Some(kill)) {
                break;
            }
            points += 1;
            trial.recover();
            assert!(trial.drive(None));
            assert_eq!(
                trial.conclusion(),
                undisturbed.conclusion(),
                "{fate:?} killed at {kill}"
            );
            assert_eq!(trial.runs, undisturbed.runs, "{fate:?} killed at {kill}");
        }
    }
    assert!(points > 150, "only {points} kill points were tried");
}

#[test]
fn each_end_says_what_runs() {
    for fate in Fate::ALL {
        let trial = driven(fate);
        let runs = trial.runs.as_deref().unwrap_or_default();
        match trial.conclusion() {
            RolloutConclusion::Done => assert!(runs.starts_with(NEW), "{fate:?}: {runs}"),
            RolloutConclusion::Reverted { .. } => assert!(runs.starts_with(OLD), "{fate:?}: {runs}"),
            RolloutConclusion::Stuck { .. } => {}
            RolloutConclusion::AlreadyThere
            | RolloutConclusion::Refused { .. }
            | RolloutConclusion::Superseded { .. } => panic!("{fate:?}: {:?}", trial.conclusion()),
        }
    }
}

#[test]
fn the_first_release_has_nothing_to_go_back_to() {
    for fate in [Fate::Fails, Fate::NeverAnswers, Fate::FallsSilentWhileBaking] {
        let mut trial = Trial::with(fate, None, Purpose::Release, false);
        assert!(trial.drive(None));
        let RolloutConclusion::Stuck { failure } = trial.conclusion() else {
            panic!("{:?}", trial.conclusion())
        };
        assert!(
            failure
                .detail
                .ends_with("it is the first release here, so there is none to go back to")
        );
        assert!(trial.aims.iter().all(|aim| aim.from.is_none()));
    }
}

#[test]
fn an_irreversible_target_stops_for_a_person() {
    let mut trial = Trial::with(
        Fate::Fails,
        Some(TargetRelease::of(&release(1))),
        Purpose::Release,
        true,
    );
    assert!(trial.drive(None));
    insta::assert_snapshot!(rendered(&trial), @"preflight, run command forward → stuck: the command failed: exited with code 3");
}

#[test]
fn what_the_record_has_already_is_not_run_again_unless_it_is_in_doubt() {
    let same = || {
        Trial::with(
            Fate::Good,
            Some(TargetRelease::of(&release(2))),
            Purpose::Release,
            false,
        )
    };
    let mut trial = same();
    assert!(trial.drive(None));
    assert_eq!(*trial.conclusion(), RolloutConclusion::AlreadyThere);
    assert!(trial.aims.is_empty());
    let mut trial = same().doubt();
    assert!(trial.drive(None));
    assert_eq!(*trial.conclusion(), RolloutConclusion::Done);
    assert_eq!(trial.aims.len(), 1);
}

#[test]
fn directions_and_images() {
    let aims = |purpose| {
        let mut trial = Trial::with(Fate::Fails, Some(TargetRelease::of(&release(1))), purpose, false);
        assert!(trial.drive(None));
        let lines = trial.aims.iter().map(|aim| {
            let from = aim.from.as_ref().map(|from| from.tag.as_str());
            format!(
                "{} to {} from {}",
                aim.direction.as_str(),
                aim.to.tag,
                from.unwrap_or("nothing")
            )
        });
        lines.collect::<Vec<_>>().join(", ")
    };
    insta::assert_snapshot!(aims(Purpose::Release), @"forward to t2 from t1, back to t1 from t2");
    insta::assert_snapshot!(aims(Purpose::Revert), @"back to t2 from t1, forward to t1 from t2");
}

/// The command changed nothing, so whatever blocks a rollout before its start applies again.
#[test]
fn a_command_that_is_busy_can_still_be_superseded() {
    let mut trial = Trial::new(Fate::Busy);
    // The first run has said *try later*, and lowtide waits.
    assert!(!trial.drive(Some(2 * 3 - 1)));
    let state = trial.state();
    let progress = &CommandPolicy::track(&state.kind).expect("a command").progress;
    assert!(
        matches!(progress, Progress::Busy { .. }) && !state.touched,
        "{progress:?}"
    );
    trial.gate = Gate::Superseded(RunId(ulid::Ulid(3)));
    assert!(trial.drive(None));
    assert!(matches!(trial.conclusion(), RolloutConclusion::Superseded { .. }));
    // An earlier run that was killed may have changed something.
    let mut trial = Trial::new(Fate::Busy);
    assert!(!trial.drive(Some(3)));
    trial.recover();
    trial.gate = Gate::Superseded(RunId(ulid::Ulid(3)));
    assert!(trial.drive(None));
    assert_eq!(*trial.conclusion(), RolloutConclusion::Done);
}

/// People are notified, once, although the rollout waits for no window.
#[test]
fn a_command_that_is_busy_for_ever_is_reported_of() {
    let mut trial = Trial::new(Fate::Busy);
    assert!(!trial.drive(Some(2 * 3 - 1)));
    let seen = ProbeResult::NotRun;
    let decision = |trial: &Trial, waited: SignedDuration| {
        let mut outside = outside(Gate::Open);
        outside.waits.since = at(trial.now) - waited;
        next_of::<CommandPolicy>(&trial.state(), Some(&seen), &outside, at(trial.now))
    };
    let day = SignedDuration::from_hours(24);
    let waits = decision(&trial, day);
    assert!(
        matches!(
            &waits,
            Next::Wait {
                reason: WaitReason::HookBusy { .. },
                ..
            }
        ),
        "{waits:?}"
    );
    let Next::Escalate { since, .. } = decision(&trial, day * 15) else {
        panic!("nobody hears of it")
    };
    trial.push(RolloutEvent::LateNoticeSent { since });
    assert_eq!(decision(&trial, day * 15), waits);
}

#[test]
fn a_kill_gives_the_target_no_more_time_than_it_needs() {
    let mut trial = Trial::new(Fate::Good);
    // Killed in the middle of the probe.
    assert!(!trial.drive(Some(2 * 3)));
    let deadline = |trial: &Trial| {
        trial.events.iter().rev().find_map(|recorded| {
            let RolloutEvent::StepStarted {
                step: Step::Command(CommandStep::AwaitAnswer { deadline, .. }),
                ..
            } = &recorded.event
            else {
                return None;
            };
            Some(deadline.duration_since(at(0)).as_secs())
        })
    };
    assert_eq!(deadline(&trial), Some(120));
    for (now, left) in [(60, 120), (110, 125), (900, 915)] {
        let mut trial = Trial::new(Fate::Good);
        assert!(!trial.drive(Some(2 * 3)));
        trial.now = now;
        trial.recover();
        assert!(!trial.drive(Some(0)));
        assert_eq!(deadline(&trial), Some(left));
    }
}

#[test]
fn what_is_forecast_happens() {
    for fate in [Fate::Good, Fate::Fails, Fate::FallsSilentWhileBaking] {
        let trial = driven(fate);
        let back = |event: &RolloutEvent| matches!(event, RolloutEvent::RevertDecided { .. });
        let turned = trial.events.iter().rposition(|recorded| back(&recorded.event));
        for seen in turned.map_or(3, |n| n + 1)..=trial.events.len() {
            let events = &trial.events[..seen];
            let state = fold(RolloutId(ulid::Ulid(9)), events).unwrap();
            let preview = preview(&state, events, &outside(Gate::Open), &[], events[seen - 1].at);
            let steps = preview.steps.iter().filter_map(|line| match &line.what {
                What::Step { step } => Some(step.clone()),
                What::Tasks { .. } | What::Bake { .. } => None,
            });
            assert_eq!(steps.collect::<Vec<_>>(), trial.steps, "{fate:?} after {seen} events");
            assert_eq!(
                preview.ends.as_ref(),
                Some(trial.conclusion()),
                "{fate:?} after {seen} events"
            );
            assert_eq!(
                (preview.moves[0].name.as_str(), preview.moves[0].from.as_deref()),
                (state.target.name.as_str(), Some("t1"))
            );
        }
    }
}

#[test]
fn what_released_versions_wrote_is_read() {
    let mut streams = Vec::new();
    for fate in Fate::ALL {
        let trial = driven(fate);
        streams.push((
            format!("{fate:?}"),
            trial.events.into_iter().map(|it| it.event).collect(),
        ));
    }
    corpus::holds("rollouts-command", streams, corpus::rollout_end);
}
