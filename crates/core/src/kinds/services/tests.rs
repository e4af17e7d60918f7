//! The reconciler against a small simulated swarm: every kill point, and what swarms do by themselves.

use super::model::{
    FoundService, ObservedService, ObservedTask, ServiceMark, ServiceMode, ServiceUnit, TaskPlace, TaskState,
    TaskWanted, UpdateKnobs, UpdateState,
};
use super::policy::{ServiceSelect, ServicesPolicy};
use super::state::Services;
use super::step::{ServiceOutcome, ServiceStep};
use super::verdict::{self, Reached};
use super::*;
use crate::decide::app_state::Waits;
use crate::decide::rollout::{Gate, Next, Outside, RolloutState, fold, next_of};
use crate::fleet::corpus;
use crate::fleet::rollout::RolloutEvent;
use crate::kinds::kind::TargetSettings;
use crate::kinds::list::{Listed, Outcome, TargetKind, TargetPolicy};
use crate::kinds::track::Ended;
use jiff::{SignedDuration, Timestamp};
use lowtide_model::failure::{Failure, FailureKind, WaitReason};
use lowtide_model::image::{ContentDigest, ImageId};
use lowtide_model::journal::Recorded;
use lowtide_model::name::{RolloutId, RunId};
use lowtide_model::policy::{Order, Ready, ReadyCheck, Unhealthy};
use lowtide_model::release::Release;
use lowtide_model::rollout::{Purpose, RolloutConclusion, UpdateOrder};
use std::collections::BTreeSet;
use std::str::FromStr;

mod preview;
mod swarms;
mod world;

use world::*;

#[test]
fn forward_takes_these_steps() {
    let mut trial = Trial::new(1, 2, NewImage::Good);
    assert!(trial.drive(None));
    insta::assert_snapshot!(trial.steps.join("\n"), @"
    preflight
    pull on the service's nodes
    update service
    restore the service's update settings
    ");
    assert_eq!(*trial.conclusion(), RolloutConclusion::Done);
}

#[test]
fn a_stack_goes_back_newest_first() {
    let mut trial = Trial::new(3, 2, NewImage::Good);
    trial.world.services[2].new_is = NewImage::FailsAtOnce;
    assert!(trial.drive(None));
    insta::assert_snapshot!(trial.steps.join("\n"), @"
    preflight
    pull on the service's nodes
    pull on the service's nodes
    pull on the service's nodes
    update service
    update service
    update service
    put the service's old image back
    put the service's old image back
    put the service's old image back
    restore the service's update settings
    restore the service's update settings
    restore the service's update settings
    ");
    let order: Vec<usize> = trial.world.reverted.clone();
    assert_eq!(order, [2, 1, 0]);
    insta::assert_snapshot!(reverted(&trial), @"the container exited: task web2.1: failed: task: non-zero exit (3)");
}

#[test]
fn killed_anywhere_it_ends_as_it_would_have() {
    let mut points = 0;
    for new_is in NewImage::ALL {
        for (services, replicas) in [(1, 1), (1, 3), (2, 2)] {
            let mut undisturbed = Trial::new(services, replicas, new_is);
            assert!(undisturbed.drive(None));
            undisturbed.nothing_is_left();
            for kill in 0.. {
                let mut trial = Trial::new(services, replicas, new_is);
                if trial.drive(Some(kill)) {
                    break;
                }
                points += 1;
                trial.recover();
                assert!(trial.drive(None));
                assert_eq!(
                    trial.end_state(),
                    undisturbed.end_state(),
                    "{new_is:?} killed at {kill}"
                );
                trial.nothing_is_left();
                let same =
                    std::mem::discriminant(trial.conclusion()) == std::mem::discriminant(undisturbed.conclusion());
                assert!(same, "{new_is:?} killed at {kill}: {:?}", trial.conclusion());
            }
        }
    }
    assert!(points > 200, "only {points} kill points were tried");
}

#[test]
fn killed_twice_it_still_ends_well() {
    for first in 0..15 {
        for second in 0..15 {
            let mut trial = Trial::new(2, 2, NewImage::Good);
            let mut over = trial.drive(Some(first));
            for kill in [Some(second), None] {
                if !over {
                    trial.recover();
                    over = trial.drive(kill);
                }
            }
            assert_eq!(*trial.conclusion(), RolloutConclusion::Done);
            trial.nothing_is_left();
        }
    }
}

#[test]
fn the_deadline_of_the_first_update_holds_after_a_kill() {
    let deadline = |trial: &Trial| {
        let state = trial.state();
        let services = services(&state);
        let unit = &services.units.as_ref().expect("chosen")[0];
        services.of(unit).deadline.expect("begun")
    };
    // Killed in the middle of the call.
    let mut trial = Trial::new(1, 2, NewImage::NeverScheduled);
    assert!(!trial.drive(Some(2 * 3)));
    let first = deadline(&trial);
    trial.now += 100;
    trial.recover();
    assert!(!trial.drive(Some(1)));
    assert_eq!(deadline(&trial), first);
}

#[test]
fn an_irreversible_app_stops_for_a_person() {
    let mut trial = Trial::with(1, 2, NewImage::FailsAtOnce, true);
    assert!(trial.drive(None));
    assert!(matches!(trial.conclusion(), RolloutConclusion::Stuck { .. }));
    assert!(trial.world.reverted.is_empty());
}

#[test]
fn what_runs_the_release_already_is_not_touched() {
    let mut trial = Trial::new(2, 2, NewImage::Good);
    trial.world.services[0].become_new();
    assert!(trial.drive(None));
    let updates = trial.steps.iter().filter(|step| *step == "update service").count();
    assert_eq!(updates, 1);
    let mut trial = Trial::new(1, 2, NewImage::Good);
    trial.world.services[0].become_new();
    assert!(trial.drive(None));
    assert_eq!(*trial.conclusion(), RolloutConclusion::AlreadyThere);
}

#[test]
fn settings_that_cannot_be_put_back_undo_no_good_roll() {
    let mut trial = Trial::new(1, 2, NewImage::Good);
    trial.world.refuses_restore = true;
    assert!(trial.drive(None));
    assert_eq!(*trial.conclusion(), RolloutConclusion::Done);
}

#[test]
fn the_plan_grows_with_the_service_and_its_health_check() {
    let unit = |replicas| {
        let mut unit = World::new(1, 1, NewImage::Good).units().remove(0);
        unit.mode = ServiceMode::Replicated { replicas };
        unit
    };
    let described = |replicas, startup| {
        let (unit, startup) = (unit(replicas), SignedDuration::from_secs(startup));
        let knobs = plan::knobs(&unit, startup);
        let limit = plan::limit(&unit, startup).as_secs();
        format!(
            "{replicas} × {} s: {} at once, watched {} s, delay {} s, at most {limit} s",
            startup.as_secs(),
            knobs.parallelism,
            knobs.monitor.as_secs(),
            knobs.delay.as_secs()
        )
    };
    let table = [
        described(0, 10),
        described(1, 10),
        described(3, 120),
        described(10, 120),
        described(50, 30),
    ];
    insta::assert_snapshot!(table.join("\n"), @"
    0 × 10 s: 1 at once, watched 10 s, delay 10 s, at most 232 s
    1 × 10 s: 1 at once, watched 10 s, delay 10 s, at most 232 s
    3 × 120 s: 1 at once, watched 120 s, delay 120 s, at most 1687 s
    10 × 120 s: 1 at once, watched 120 s, delay 120 s, at most 5625 s
    50 × 30 s: 5 at once, watched 30 s, delay 30 s, at most 14625 s
    ");
}

#[test]
fn what_released_versions_wrote_is_read() {
    let mut streams = Vec::new();
    for new_is in NewImage::ALL {
        let mut trial = Trial::new(2, 2, new_is);
        trial.drive(None);
        streams.push((
            format!("{new_is:?}"),
            trial.events.into_iter().map(|it| it.event).collect(),
        ));
    }
    corpus::holds("rollouts-services", streams, corpus::rollout_end);
}
