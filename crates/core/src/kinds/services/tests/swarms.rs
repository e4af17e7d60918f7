//! Swarm behaviour that looks like success, or like our own doing, and is not. The numbers are those of the list of
//! tests in the study of rollouts.

use super::*;

fn new_tasks(service: &mut Service) -> impl Iterator<Item = &mut ObservedTask> {
    let new = new_image();
    service.tasks.iter_mut().filter(move |task| task.image == new)
}

fn trial(replicas: u64, after: i64, act: fn(&mut World)) -> Trial {
    let mut trial = Trial::new(1, replicas, NewImage::Good);
    trial.meanwhile = Some((after, act));
    assert!(trial.drive(None));
    trial
}

/// 29
#[test]
fn a_task_that_no_node_takes_ends_at_our_deadline() {
    let mut trial = Trial::new(1, 3, NewImage::NeverScheduled);
    assert!(trial.drive(None));
    insta::assert_snapshot!(refused(&trial), @"Swarm found no node for the new tasks: web0: 0 of 3 tasks serve by the deadline: no suitable node (scheduling constraints not satisfied on 1 node)");
    assert!(trial.now >= 700, "it was given the time for three tasks: {}", trial.now);
}

/// 30: a replacement during a pause is built from the new spec.
#[test]
fn a_paused_update_is_rolled_back_with_what_a_drain_moved_meanwhile() {
    let trial = trial(4, 3, |world| {
        let service = &mut world.services[0];
        service.update = UpdateState::Paused;
        let drained = service
            .tasks
            .iter_mut()
            .find(|task| task.image == OLD && task.wanted == TaskWanted::Running);
        let drained = drained.unwrap();
        (drained.state, drained.wanted) = (TaskState::Shutdown, TaskWanted::Stopped);
        let place = drained.place.clone();
        service.task(place, &new_image(), TaskState::Running, 3, "drained".to_owned());
    });
    insta::assert_snapshot!(reverted(&trial), @"the new container did not become ready: web0: Swarm paused the update: update paused due to failure or early termination of task x");
    assert_eq!(trial.end_state(), [(OLD.to_owned(), vec![OLD.to_owned(); 4])]);
}

/// 31: `failure_action: continue` reports `completed` with every task failed.
#[test]
fn completed_with_failed_tasks_is_a_failure() {
    let trial = trial(2, 20, |world| {
        let service = &mut world.services[0];
        service.update = UpdateState::Completed;
        for task in new_tasks(service) {
            (task.state, task.wanted) = (TaskState::Failed, TaskWanted::Stopped);
        }
    });
    assert!(reverted(&trial).contains("failed"));
}

/// 32
#[test]
fn a_task_that_turns_unhealthy_after_swarms_monitor_is_a_failure() {
    let mut trial = Trial::new(1, 2, NewImage::DiesWhileBaking);
    assert!(trial.drive(None));
    insta::assert_snapshot!(reverted(&trial), @"the new container did not become ready: task web0.1: failed: task: non-zero exit (137): dockerexec: unhealthy container");
}

/// 33: scaling overwrites Swarm's previous spec. Our snapshot is stored elsewhere, and the new number of tasks is
/// respected.
#[test]
fn scaling_in_the_middle_changes_neither_verdict_nor_way_back() {
    let scale = |world: &mut World| {
        let service = &mut world.services[0];
        service.mode = ServiceMode::Replicated { replicas: 3 };
        service.task(
            TaskPlace::Slot(3),
            &new_image(),
            TaskState::Running,
            3,
            "scaled".to_owned(),
        );
    };
    let up = trial(2, 3, scale);
    assert_eq!(*up.conclusion(), RolloutConclusion::Done);
    assert_eq!(up.end_state()[0].1.len(), 3);
    let mut down = Trial::new(1, 2, NewImage::DiesWhileBaking);
    down.meanwhile = Some((3, scale));
    assert!(down.drive(None));
    assert!(matches!(down.conclusion(), RolloutConclusion::Reverted { .. }));
    assert_eq!(down.end_state(), [(OLD.to_owned(), vec![OLD.to_owned(); 3])]);
}

/// 33: a second rollback of Swarm's would go back to the bad image.
#[test]
fn swarms_own_rollback_is_adopted() {
    let mut trial = Trial::new(1, 2, NewImage::RolledBack);
    assert!(trial.drive(None));
    insta::assert_snapshot!(reverted(&trial), @"the new container did not become ready: web0: the service was rolled back: update paused due to failure or early termination of task x");
    assert!(trial.world.reverted.is_empty(), "nothing was sent");
}

/// 33
#[test]
fn a_rollback_that_stands_still_is_pushed_on() {
    let trial = trial(3, 3, |world| {
        let service = &mut world.services[0];
        service.image = OLD.to_owned();
        service.mark = ServiceMark::None;
        service.knobs = None;
        service.update = UpdateState::RollbackPaused;
    });
    assert!(matches!(trial.conclusion(), RolloutConclusion::Reverted { .. }));
    assert_eq!(trial.world.reverted, [0]);
    trial.nothing_is_left();
}

/// 34
#[test]
fn an_image_of_somebody_else_stops_everything() {
    let trial = trial(3, 3, |world| {
        world.services[0].image = "example.org/web:theirs".to_owned()
    });
    insta::assert_snapshot!(stuck_because(&trial), @"someone else changed the containers during the rollout: someone gave service web0 the image example.org/web:theirs");
    assert!(trial.world.reverted.is_empty());
}

/// 34
#[test]
fn the_old_image_given_by_somebody_is_the_way_back() {
    let trial = trial(3, 3, |world| {
        let service = &mut world.services[0];
        (service.image, service.mark, service.knobs) = (OLD.to_owned(), ServiceMark::None, None);
    });
    insta::assert_snapshot!(reverted(&trial), @"someone else changed the containers during the rollout: someone gave service web0 its old image back");
    assert!(trial.world.reverted.is_empty());
}

/// 34
#[test]
fn another_rollouts_label_stops_everything() {
    let trial = trial(3, 3, |world| world.services[0].mark = ServiceMark::Other);
    insta::assert_snapshot!(stuck_because(&trial), @"someone else changed the containers during the rollout: another rollout has taken service web0");
}

/// 35: the new leader has an empty status, and has forgotten the failures before it.
#[test]
fn a_failure_counts_though_swarm_has_forgotten_it() {
    let trial = trial(4, 3, |world| {
        let service = &mut world.services[0];
        service.update = UpdateState::Absent;
        let place = TaskPlace::Slot(1);
        service.task(
            place,
            &new_image(),
            TaskState::Failed,
            3,
            "before the failover".to_owned(),
        );
    });
    insta::assert_snapshot!(reverted(&trial), @"the container exited: task web0.1: failed: task: non-zero exit (3)");
}

/// A release that is rolled out again after a revert is not judged by its earlier tasks.
#[test]
fn tasks_of_an_earlier_rollout_do_not_count() {
    let mut unit = World::new(1, 2, NewImage::Good).units().remove(0);
    let mut world = World::new(1, 2, NewImage::Good);
    world.services[0].task(
        TaskPlace::Slot(1),
        &new_image(),
        TaskState::Failed,
        -50,
        "then".to_owned(),
    );
    let ObservedService::Found(found) = world.observe().remove(0) else {
        panic!()
    };
    assert!(verdict::failed(&unit, &found, &new_image()).is_some());
    unit.past.insert("then".to_owned());
    assert_eq!(verdict::failed(&unit, &found, &new_image()), None);
}

/// 37: with a digest, a node that cannot pull fails visibly instead of running another image.
#[test]
fn an_image_that_a_node_cannot_have_is_a_failure() {
    let trial = trial(2, 3, |world| {
        let service = &mut world.services[0];
        service.task(
            TaskPlace::Slot(1),
            &new_image(),
            TaskState::Rejected,
            3,
            "unpulled".to_owned(),
        );
    });
    insta::assert_snapshot!(refused(&trial), @"the host could not start the container: task web0.1: could not be started: No such image: example.org/web:t1");
}

/// 39
#[test]
fn nodes_that_are_away_are_not_waited_for() {
    let node = |n: u64| format!("node{n}");
    let mut world = World::new(1, 0, NewImage::Good);
    let service = &mut world.services[0];
    service.mode = ServiceMode::Global;
    for n in 1..=3 {
        let image = if n == 3 { OLD.to_owned() } else { new_image() };
        service.task(TaskPlace::Node(node(n)), &image, TaskState::Running, 0, format!("t{n}"));
    }
    let mut unit = world.units().remove(0);
    unit.nodes = (1..=3).map(node).collect();
    let mut reached = |up: &[u64]| {
        world.services[0].nodes = up.iter().copied().map(node).collect();
        let ObservedService::Found(found) = world.observe().remove(0) else {
            panic!()
        };
        verdict::reached(&unit, &found, &new_image(), SignedDuration::from_secs(10), at(20))
    };
    let some = |done, total| Reached::Some {
        done,
        total,
        behind: None,
    };
    assert_eq!(reached(&[1, 2, 3]), some(2, 3));
    // Down, paused or drained.
    assert_eq!(reached(&[1, 2]), Reached::All);
    // A node that joined and has no task yet is not ours to wait for; one that had one is.
    assert_eq!(reached(&[1, 2, 4]), Reached::All);
    world.services[0].tasks.remove(0);
    world.services[0].nodes = [1, 2].map(node).into();
    let ObservedService::Found(found) = world.observe().remove(0) else {
        panic!()
    };
    let seen = verdict::reached(&unit, &found, &new_image(), SignedDuration::from_secs(10), at(20));
    assert_eq!(seen, some(1, 2));
}
