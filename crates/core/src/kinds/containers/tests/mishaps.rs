//! What comes from outside in the middle of a rollout: a reboot, an operator, a clock that is set, an engine that refuses.

use super::trial::{Trial, outside};
use super::world::{KINDS, Kind, NewImage, at};
use crate::decide::rollout::Gate;
use crate::kinds::containers::model::ObservedContainer;
use lowtide_model::container::ContainerState;
use lowtide_model::failure::FailureKind;
use lowtide_model::rollout::RolloutConclusion;
use std::fmt::Write as _;

#[test]
fn a_reboot_anywhere_is_not_the_images_fault() {
    let mut points = 0;
    // Not behind a router: requests fail while the host is down. Not with `--rm`: a reboot deletes what runs with it.
    let kinds = [Kind::Plain, Kind::Held, Kind::Tagged];
    for (kind, replicas) in kinds.into_iter().flat_map(|kind| [(kind, 1), (kind, 2)]) {
        for killed in 0.. {
            let mut trial = Trial::of(kind, replicas, NewImage::Good);
            if trial.drive(Some(killed)) {
                break;
            }
            points += 1;
            trial.world.reboot();
            trial.recover();
            assert!(trial.drive(None));
            assert_eq!(
                *trial.conclusion(),
                RolloutConclusion::Done,
                "{kind:?} × {replicas} rebooted at {killed}"
            );
        }
    }
    assert!(points > 200, "only {points} points were tried");
}

/// A program that exits with 255 on its own.
#[test]
fn what_ends_like_that_again_is_the_images_fault() {
    let mut trial = Trial::new(1, NewImage::LostWhileBaking);
    assert!(trial.drive(None));
    assert!(matches!(trial.conclusion(), RolloutConclusion::Reverted { .. }));
    let starts = trial.steps.iter().filter(|step| *step == "start new container");
    assert_eq!(starts.count(), 2, "once more, not for ever");
}

#[test]
fn one_that_did_not_run_is_made_anew_and_not_started() {
    let mut trial = Trial::new(1, NewImage::Good);
    trial.world.units[0].was_running = false;
    trial.world.containers[0].state = ContainerState::Exited;
    assert!(trial.drive(None));
    insta::assert_snapshot!(trial.steps.join("\n"), @"
    preflight
    pull
    create new container
    set restart policy no
    rename to web0.prev.00000009
    rename to web0
    set restart policy always
    remove old container
    ");
    assert_eq!(*trial.conclusion(), RolloutConclusion::Done);
    assert_eq!(trial.end_state()[0].2, ContainerState::Created);
}

/// What someone else does to the containers.
#[derive(Debug, Clone, Copy)]
enum Act {
    RemovesNew,
    /// Only while the new container serves; otherwise no container would serve.
    RemovesOld,
    RenamesNew,
    RenamesOld,
    StartsOld,
    StopsNew,
}

fn act(trial: &mut Trial, act: Act) {
    let serves = trial.world.serves(&trial.world.units[0].clone());
    let old_runs = trial
        .world
        .containers
        .iter()
        .any(|c| c.id == "old0" && c.state == ContainerState::Running);
    let of = |id: &'static str| move |c: &&mut ObservedContainer| c.id == id;
    let containers = &mut trial.world.containers;
    if containers.iter().all(|c| c.id != "old0") {
        return;
    }
    match act {
        Act::RemovesNew => {
            containers.retain(|c| c.id != "new0");
            trial.world.labels.clear();
        }
        Act::RemovesOld if serves && !old_runs => containers.retain(|c| c.id != "old0"),
        Act::RemovesOld => {}
        Act::RenamesNew => containers
            .iter_mut()
            .filter(of("new0"))
            .for_each(|c| c.name = "mine".to_owned()),
        Act::RenamesOld => containers
            .iter_mut()
            .filter(of("old0"))
            .for_each(|c| c.name = "mine".to_owned()),
        Act::StartsOld => containers
            .iter_mut()
            .filter(of("old0"))
            .for_each(|c| c.state = ContainerState::Running),
        Act::StopsNew => containers
            .iter_mut()
            .filter(of("new0"))
            .for_each(|c| c.state = ContainerState::Exited),
    }
}

#[test]
fn whatever_an_operator_does_half_way_it_ends_and_somebody_serves() {
    let mut table = String::new();
    for what in [
        Act::RemovesNew,
        Act::RemovesOld,
        Act::RenamesNew,
        Act::RenamesOld,
        Act::StartsOld,
        Act::StopsNew,
    ] {
        let (mut done, mut refused, mut reverted, mut stuck) = (0, 0, 0, 0);
        for instant in 0.. {
            let mut trial = Trial::new(1, NewImage::Good);
            if trial.drive(Some(instant)) {
                break;
            }
            trial.recover();
            act(&mut trial, what);
            assert!(trial.drive(None));
            let runs = trial
                .world
                .containers
                .iter()
                .any(|c| c.state == ContainerState::Running);
            match trial.conclusion() {
                RolloutConclusion::Done => done += 1,
                RolloutConclusion::Reverted { .. } => reverted += 1,
                RolloutConclusion::Stuck { .. } => stuck += 1,
                // Before the new container ever ran.
                RolloutConclusion::Refused { failure } if failure.kind == FailureKind::Diverged => refused += 1,
                other @ (RolloutConclusion::AlreadyThere
                | RolloutConclusion::Refused { .. }
                | RolloutConclusion::Superseded { .. }) => panic!("{what:?} at {instant}: {other:?}"),
            }
            assert!(runs, "{what:?} at {instant}: nobody serves, {:?}", trial.conclusion());
        }
        writeln!(
            table,
            "{what:?}: {done} done, {refused} refused, {reverted} reverted, {stuck} stuck"
        )
        .unwrap();
    }
    insta::assert_snapshot!(table, @"
    RemovesNew: 15 done, 5 refused, 19 reverted, 0 stuck
    RemovesOld: 31 done, 0 refused, 0 reverted, 8 stuck
    RenamesNew: 39 done, 0 refused, 0 reverted, 0 stuck
    RenamesOld: 39 done, 0 refused, 0 reverted, 0 stuck
    StartsOld: 39 done, 0 refused, 0 reverted, 0 stuck
    StopsNew: 39 done, 0 refused, 0 reverted, 0 stuck
    ");
}

#[test]
fn a_clock_that_is_set_changes_no_outcome() {
    for (new_is, jump) in [
        (NewImage::Good, 3600),
        (NewImage::Good, -3600),
        (NewImage::NeverReady, 3600),
        (NewImage::NeverReady, -3600),
    ] {
        for instant in 0.. {
            let mut trial = Trial::new(2, new_is);
            if trial.drive(Some(instant)) {
                break;
            }
            trial.now += jump;
            trial.recover();
            assert!(trial.drive(None));
            let good = matches!(
                (new_is, trial.conclusion()),
                (NewImage::Good, RolloutConclusion::Done) | (NewImage::NeverReady, RolloutConclusion::Reverted { .. })
            );
            assert!(good, "{new_is:?}, {jump} s at {instant}: {:?}", trial.conclusion());
        }
    }
}

/// For each step of a rollback: how the rollout ends if the engine always refuses that step.
fn refused_each(kind: Kind) -> String {
    let run = |new_is, refused: Option<&String>| {
        let mut trial = Trial::of(kind, 1, new_is);
        trial.refused = refused.cloned();
        if refused.is_some() {
            // A router that cannot be reached holds no requests back.
            trial.kind = Kind::Plain;
        }
        assert!(trial.drive(None));
        trial
    };
    let (calm, forward) = (run(NewImage::DiesWhileBaking, None), run(NewImage::Good, None));
    // The steps after the last one that both have in common.
    let common = calm.steps.iter().zip(&forward.steps).take_while(|(a, b)| a == b);
    let mut back: Vec<&String> = calm.steps.iter().skip(common.count()).collect();
    back.sort();
    back.dedup();
    let mut table = String::new();
    for refused in back {
        let trial = run(NewImage::DiesWhileBaking, Some(refused));
        let ended = match trial.conclusion() {
            RolloutConclusion::Reverted { .. } => "reverted",
            RolloutConclusion::Stuck { .. } => "stuck",
            other @ (RolloutConclusion::Done
            | RolloutConclusion::AlreadyThere
            | RolloutConclusion::Refused { .. }
            | RolloutConclusion::Superseded { .. }) => panic!("{refused}: {other:?}"),
        };
        let runs = trial
            .world
            .containers
            .iter()
            .any(|c| c.state == ContainerState::Running);
        let serves = if runs { "something runs" } else { "nothing runs" };
        writeln!(table, "{kind:?}, {refused}: {ended}, {serves}").unwrap();
    }
    table
}

#[test]
fn a_way_back_that_is_refused_ends_and_says_so() {
    let kinds = [Kind::Plain, Kind::Paused, Kind::AutoRemove, Kind::Tagged];
    let table: String = kinds.into_iter().map(refused_each).collect();
    insta::assert_snapshot!(table, @"
    Plain, remove new container: reverted, something runs
    Plain, rename to web0: stuck, something runs
    Plain, rename to web0.failed.00000009: stuck, something runs
    Plain, restart new container: reverted, something runs
    Plain, save log: reverted, something runs
    Plain, set restart policy always: stuck, something runs
    Plain, set restart policy no: stuck, something runs
    Plain, start old container: stuck, nothing runs
    Plain, stop new container: stuck, something runs
    Plain, wait until new container is ready: reverted, something runs
    Plain, wait until old container is ready: stuck, something runs
    Paused, remove new container: reverted, something runs
    Paused, rename to web0: stuck, something runs
    Paused, rename to web0.failed.00000009: stuck, something runs
    Paused, restart new container: reverted, something runs
    Paused, router: pause: reverted, something runs
    Paused, router: resume: stuck, something runs
    Paused, save log: reverted, something runs
    Paused, set restart policy always: stuck, something runs
    Paused, set restart policy no: stuck, something runs
    Paused, start old container: stuck, nothing runs
    Paused, stop new container: stuck, something runs
    Paused, wait until new container is ready: reverted, something runs
    Paused, wait until old container is ready: stuck, something runs
    AutoRemove, drop retained image: reverted, something runs
    AutoRemove, make old container again: stuck, nothing runs
    AutoRemove, rename to web0: stuck, something runs
    AutoRemove, restart new container: reverted, something runs
    AutoRemove, set restart policy always: stuck, something runs
    AutoRemove, set restart policy no: stuck, something runs
    AutoRemove, start old container: stuck, nothing runs
    AutoRemove, stop new container: stuck, something runs
    AutoRemove, wait until new container is ready: reverted, something runs
    AutoRemove, wait until old container is ready: stuck, something runs
    Tagged, move tag web:prod: stuck, something runs
    Tagged, remove new container: reverted, something runs
    Tagged, rename to web0: stuck, something runs
    Tagged, rename to web0.failed.00000009: stuck, something runs
    Tagged, restart new container: reverted, something runs
    Tagged, save log: reverted, something runs
    Tagged, set restart policy always: stuck, something runs
    Tagged, set restart policy no: stuck, something runs
    Tagged, start old container: stuck, nothing runs
    Tagged, stop new container: stuck, something runs
    Tagged, wait until new container is ready: reverted, something runs
    Tagged, wait until old container is ready: stuck, something runs
    ");
}

/// The rollout itself turns back: a second one beside it would move the same containers.
#[test]
fn withdrawn_by_an_operator_anywhere_it_goes_back_as_long_as_it_can() {
    for (kind, replicas) in KINDS.into_iter().flat_map(|kind| [(kind, 1), (kind, 2)]) {
        let (mut refused, mut reverted, mut done) = (0, 0, 0);
        let before = Trial::of(kind, replicas, NewImage::Good).end_state();
        for instant in 0.. {
            let mut trial = Trial::of(kind, replicas, NewImage::Good);
            if trial.drive(Some(instant)) {
                break;
            }
            let touched = trial.state().touched;
            trial.recover();
            trial.outside = outside(Gate::Withdrawn);
            assert!(trial.drive(None));
            let context = format!(
                "{kind:?} × {replicas}, rolled back at {instant}: {:?}",
                trial.conclusion()
            );
            match trial.conclusion() {
                RolloutConclusion::Refused { failure } if failure.kind == FailureKind::Withdrawn => {
                    assert!(!touched, "{context}");
                    refused += 1;
                }
                RolloutConclusion::Reverted { failure } if failure.kind == FailureKind::Withdrawn => {
                    assert!(touched, "{context}");
                    assert_eq!(trial.end_state(), before, "{context}");
                    reverted += 1;
                }
                // An old container was being removed.
                RolloutConclusion::Done => done += 1,
                RolloutConclusion::AlreadyThere
                | RolloutConclusion::Refused { .. }
                | RolloutConclusion::Reverted { .. }
                | RolloutConclusion::Superseded { .. }
                | RolloutConclusion::Stuck { .. } => panic!("{context}"),
            }
        }
        assert!(
            refused > 0 && reverted > 10 && done > 0,
            "{kind:?} × {replicas}: {refused} {reverted} {done}"
        );
    }
}

/// Too many open files, no memory, an I/O error of our own disk: no verdict about a release, however long it lasts.
#[test]
fn trouble_of_lowtides_own_machine_takes_nothing_back() {
    for kind in KINDS {
        let mut trial = Trial::of(kind, 1, NewImage::Good);
        trial.trouble = 40;
        assert!(trial.drive(None));
        assert_eq!(*trial.conclusion(), RolloutConclusion::Done, "{kind:?}");
        assert_eq!(trial.trouble, 0);
    }
    // A rollback retries just as long: the old container serves in the end.
    let mut trial = Trial::new(1, NewImage::ExitsAtOnce);
    trial.trouble = 40;
    assert!(trial.drive(None));
    assert!(matches!(trial.conclusion(), RolloutConclusion::Reverted { .. }));
}

/// A restored backup lacks the latest events. Whichever events after preflight are lost, the rollout continues from the
/// actual state of the containers, and no service stays down.
#[test]
fn a_journal_restored_from_a_backup_goes_on_from_what_is_there() {
    let mut points = 0;
    for kind in [Kind::Plain, Kind::Held, Kind::Tagged] {
        for killed in 0.. {
            let mut trial = Trial::of(kind, 1, NewImage::Good);
            if trial.drive(Some(killed)) {
                break;
            }
            // Opened, preflight begun, preflight ended.
            for saved in (3..=trial.events.len()).step_by(4) {
                let mut restored = Trial::of(kind, 1, NewImage::Good);
                restored.drive(Some(killed));
                restored.events.truncate(saved);
                restored.recover();
                points += 1;
                let olds = |trial: &Trial| {
                    let ids = trial.world.containers.iter().map(|container| &container.id);
                    ids.filter(|id| id.starts_with("old")).count()
                };
                let old_is_gone = olds(&restored) < olds(&Trial::of(kind, 1, NewImage::Good));
                assert!(restored.drive(None));
                let at = format!(
                    "{kind:?}, host lost at {killed}, backup of {saved} events: {:?}",
                    restored.steps
                );
                let serves = |(name, _, state, _): &(_, _, _, _)| name == "web0" && *state == ContainerState::Running;
                assert!(restored.end_state().iter().any(serves), "{at}");
                // If the old container was removed already, a person is notified; the new one serves.
                if !old_is_gone {
                    assert_eq!(*restored.conclusion(), RolloutConclusion::Done, "{at}");
                }
            }
        }
    }
    assert!(points > 200, "only {points} points were tried");
}

/// The clock was 400 days ahead when lowtide was killed, and is right at the next start, which sets those times to the
/// present.
#[test]
fn a_clock_that_was_ahead_makes_nobody_wait() {
    const DAY: i64 = 24 * 3600;
    for new_is in [NewImage::Good, NewImage::ExitsAtOnce] {
        for killed in 0.. {
            let mut trial = Trial::new(1, new_is);
            trial.now = 400 * DAY;
            trial.trouble = 2;
            if trial.drive(Some(killed)) {
                break;
            }
            trial.now = 0;
            for event in &mut trial.events {
                event.at = event.at.min(at(0));
            }
            trial.recover();
            assert!(trial.drive(None));
            assert!(trial.now < DAY, "killed at {killed}: it waited for {} s", trial.now);
        }
    }
}
