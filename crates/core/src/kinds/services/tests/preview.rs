//! The forecast of a rollout matches what then happens.

use super::*;
use crate::decide::rollout::preview;
use lowtide_model::preview::{Chosen, Phase, PlannedState, RolloutPreview, What};

fn after(trial: &Trial, seen: usize) -> RolloutPreview {
    let events = &trial.events[..seen];
    let state = fold(RolloutId(ulid::Ulid(9)), events).unwrap();
    let last = events.last().unwrap().at;
    preview(&state, events, &outside(), &[], last)
}

fn steps(preview: &RolloutPreview) -> Vec<String> {
    let step = |what: &What| match what {
        What::Step { step } => Some(step.clone()),
        What::Tasks { .. } | What::Bake { .. } => None,
    };
    preview.steps.iter().filter_map(|line| step(&line.what)).collect()
}

#[test]
fn what_is_forecast_happens() {
    let mut moments = 0;
    // Left out: the journal does not show what Swarm rolled back by itself.
    for new_is in NewImage::ALL.into_iter().filter(|it| *it != NewImage::RolledBack) {
        for (services, replicas) in [(1, 1), (1, 3), (3, 2)] {
            let mut trial = Trial::new(services, replicas, new_is);
            assert!(trial.drive(None));
            let back = |event: &RolloutEvent| matches!(event, RolloutEvent::RevertDecided { .. });
            let turned = trial.events.iter().rposition(|recorded| back(&recorded.event));
            for seen in turned.map_or(3, |n| n + 1)..=trial.events.len() {
                let preview = after(&trial, seen);
                assert_eq!(
                    steps(&preview),
                    trial.steps,
                    "{new_is:?} {services} after {seen} events"
                );
                assert_eq!(preview.ends.as_ref(), Some(trial.conclusion()), "{new_is:?} {seen}");
                moments += 1;
            }
        }
    }
    assert!(moments > 100, "only {moments} moments were looked at");
}

#[test]
fn before_preflight_one_stands_for_all() {
    let trial = Trial::new(2, 2, NewImage::Good);
    let preview = after(&trial, 1);
    assert_eq!(preview.chosen, Chosen::Assumed);
    insta::assert_snapshot!(steps(&preview).join("\n"), @"
    preflight
    pull on the service's nodes
    update service
    restore the service's update settings
    ");
}

/// What is waited for: tasks, and the bake.
fn waits(preview: &RolloutPreview) -> Vec<String> {
    let wait = |what: &What| match what {
        What::Step { .. } => None,
        What::Tasks { total } => Some(format!("{total} tasks")),
        What::Bake { lasts } => Some(format!("bake {} s", lasts.as_secs())),
    };
    let lines = preview.steps.iter();
    lines
        .filter_map(|line| Some(format!("{}: {}", wait(&line.what)?, line.state.word())))
        .collect()
}

#[test]
fn each_service_has_its_phase_and_its_tasks() {
    let mut trial = Trial::new(2, 3, NewImage::Good);
    assert!(trial.drive(None));
    let moment = |n: usize| {
        let preview = after(&trial, n);
        let phases: Vec<&str> = preview.moves.iter().map(|it| it.phase.word()).collect();
        assert!(
            preview
                .moves
                .iter()
                .all(|it| it.phase != Phase::Waiting || it.tasks == Some(3))
        );
        format!("{} | {}", phases.join(", "), waits(&preview).join(", "))
    };
    let mut seen: Vec<String> = (3..=trial.events.len()).map(moment).collect();
    seen.dedup();
    insta::assert_snapshot!(seen.join("\n"), @"
    waiting, waiting | 3 tasks: ahead, 3 tasks: ahead, bake 30 s: ahead
    moving, waiting | 3 tasks: ahead, 3 tasks: ahead, bake 30 s: ahead
    moving, waiting | 3 tasks: running, 3 tasks: ahead, bake 30 s: ahead
    moved, moving | 3 tasks: done, 3 tasks: ahead, bake 30 s: ahead
    moved, moving | 3 tasks: done, 3 tasks: running, bake 30 s: ahead
    baking, baking | 3 tasks: done, 3 tasks: done, bake 30 s: running
    finishing, finishing | 3 tasks: done, 3 tasks: done, bake 30 s: done
    moved, finishing | 3 tasks: done, 3 tasks: done, bake 30 s: done
    moved, moved | 3 tasks: done, 3 tasks: done, bake 30 s: done
    ");
    let last = after(&trial, trial.events.len());
    let done = |state: PlannedState| matches!(state, PlannedState::Done { .. });
    assert!(last.steps.iter().all(|line| done(line.state)));
}

/// Before preflight, the forecast names neither a service's old image nor its order nor its tasks.
#[test]
fn what_a_service_is_like_is_reported_once_somebody_looked() {
    let mut trial = Trial::new(1, 3, NewImage::Good);
    assert!(trial.drive(None));
    let forecast = |seen| {
        let moved = after(&trial, seen).moves.remove(0);
        (moved.from, moved.order, moved.tasks)
    };
    assert_eq!(forecast(1), (None, None, None));
    let looked = (Some("t0".to_owned()), Some(UpdateOrder::StartFirst), Some(3));
    assert_eq!(forecast(3), looked);
}

#[test]
fn services_that_the_configuration_names_are_reported_before_anybody_looked() {
    let names = |services: &[&str]| {
        let mut trial = Trial::new(1, 1, NewImage::Good);
        if let RolloutEvent::Opened { target, .. } = &mut trial.events[0].event {
            let select = ServiceSelect::Stack {
                stack: "shop".to_owned(),
                services: services.iter().map(ToString::to_string).collect(),
            };
            let order = Order::Auto;
            target.kind = TargetKind::Services(Box::new(ServicesPolicy { select, order }));
        }
        let moves = after(&trial, 1).moves;
        moves.into_iter().map(|moved| moved.name).collect::<Vec<_>>()
    };
    assert_eq!(names(&["web", "cron"]), ["shop_web", "shop_cron"]);
    assert_eq!(names(&[]), ["N"]);
}
