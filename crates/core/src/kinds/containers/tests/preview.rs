//! The forecast of a rollout matches what then happens.

use super::trial::{Trial, outside};
use super::world::{KINDS, Kind, NewImage, OLD_IMAGE, at, containers, rollout};
use crate::decide::rollout::{Gate, fold, preview};
use crate::fleet::rollout::RolloutEvent;
use crate::kinds::list::StepOutcome;
use crate::kinds::list::TargetPolicy;
use lowtide_model::failure::FailureKind;
use lowtide_model::name::RolloutId;
use lowtide_model::policy::Order;
use lowtide_model::preview::{Chosen, OrderReason, Phase, Planned, PlannedState, RolloutPreview, What};
use lowtide_model::release::Images;
use lowtide_model::release::Release;
use lowtide_model::rollout::UpdateOrder;
use lowtide_model::rollout::{Bar, RolloutConclusion};

/// The forecast as it would have been after the first `seen` events.
fn after(trial: &Trial, seen: usize) -> RolloutPreview {
    let events = &trial.events[..seen];
    let state = fold(RolloutId(ulid::Ulid(9)), events).unwrap();
    let last = events.last().unwrap().at;
    preview(&state, events, &outside(Gate::Open), &[], last)
}

fn steps(preview: &RolloutPreview) -> Vec<&str> {
    fn step(line: &Planned) -> Option<&str> {
        match &line.what {
            What::Step { step } => Some(step),
            What::Tasks { .. } | What::Bake { .. } => None,
        }
    }
    preview.steps.iter().filter_map(step).collect()
}

/// Position of the event from which on every step succeeds.
fn all_goes_well_from(trial: &Trial) -> usize {
    let failed = |outcome: &StepOutcome| matches!(outcome, StepOutcome::Failed { .. });
    let bad = |event: &RolloutEvent| {
        matches!(event, RolloutEvent::RevertDecided { .. })
            || matches!(event, RolloutEvent::StepEnded { outcome } if failed(outcome))
    };
    trial
        .events
        .iter()
        .rposition(|recorded| bad(&recorded.event))
        .map_or(1, |n| n + 1)
}

#[test]
fn what_is_forecast_happens() {
    let mut moments = 0;
    // Images that exit by themselves are left out: the journal does not show that there is nothing left to stop.
    for new_is in [NewImage::Good, NewImage::NeverReady, NewImage::DiesWhileBaking] {
        for (kind, replicas) in KINDS.into_iter().flat_map(|kind| [(kind, 1), (kind, 3)]) {
            let mut trial = Trial::of(kind, replicas, new_is);
            assert!(trial.drive(None));
            let preflighted = 3;
            for seen in preflighted.max(all_goes_well_from(&trial))..=trial.events.len() {
                let preview = after(&trial, seen);
                assert_eq!(
                    steps(&preview),
                    trial.steps,
                    "{kind:?} {replicas} {new_is:?} after {seen} events"
                );
                assert_eq!(preview.chosen, Chosen::Preflighted);
                assert_eq!(
                    preview.ends.as_ref(),
                    Some(trial.conclusion()),
                    "{kind:?} {new_is:?} {seen}"
                );
                moments += 1;
            }
        }
    }
    assert!(moments > 400, "only {moments} moments were looked at");
}

#[test]
fn before_preflight_one_stands_for_all() {
    for (kind, replicas) in [(Kind::Plain, 1), (Kind::Paused, 1), (Kind::Routed, 1)] {
        let mut trial = Trial::of(kind, replicas, NewImage::Good);
        assert!(trial.drive(None));
        for seen in 1..3 {
            let preview = after(&trial, seen);
            assert_eq!(preview.chosen, Chosen::Assumed);
            let forecast = steps(&preview).join("\n");
            let happened = trial
                .steps
                .join("\n")
                .replace("web0", "N")
                .replace("policy always", "policy as before");
            assert_eq!(forecast, happened, "{kind:?}");
        }
    }
}

#[test]
fn a_rollout_killed_in_a_step_says_so() {
    let mut trial = Trial::new(1, NewImage::Good);
    assert!(!trial.drive(Some(6 * 3)));
    let running = after(&trial, trial.events.len());
    let line = |preview: &RolloutPreview, n: usize| preview.steps[n].state.word();
    assert_eq!(["done", "running", "ahead"], [5, 6, 7].map(|n| line(&running, n)));
    trial.recover();
    let abandoned = after(&trial, trial.events.len());
    assert_eq!(["abandoned", "ahead"], [6, 7].map(|n| line(&abandoned, n)));
    assert_eq!(abandoned.ends, Some(RolloutConclusion::Done));
}

/// One letter for each unit.
fn phases(preview: &RolloutPreview) -> String {
    let letter = |phase| match phase {
        Phase::Waiting => 'w',
        Phase::Moving => 'm',
        Phase::Moved => 'M',
        Phase::Baking => 'b',
        Phase::Finishing => 'f',
        Phase::Returning => 'r',
        Phase::Returned => 'R',
        Phase::Untouched => '-',
    };
    preview.moves.iter().map(|moved| letter(moved.phase)).collect()
}

fn course(new_is: NewImage) -> String {
    let mut trial = Trial::of(Kind::Plain, 3, new_is);
    assert!(trial.drive(None));
    let mut seen: Vec<String> = (1..=trial.events.len()).map(|n| phases(&after(&trial, n))).collect();
    seen.dedup();
    seen.join(" ")
}

#[test]
fn each_unit_has_its_phase() {
    insta::assert_snapshot!(course(NewImage::Good), @"w www mww Mww Mmw MMw MMm MMM bbb fff ffM fMM MMM");
    insta::assert_snapshot!(course(NewImage::DiesWhileBaking), @"w www mww Mww Mmw MMw MMm MMM bbb rrr rrR rRR RRR");
    insta::assert_snapshot!(course(NewImage::NeverReady), @"w www mww r-- R--");
}

/// The tag if the old image was a release of ours, otherwise the image itself; nothing before preflight.
#[test]
fn what_ran_before_is_named_once_somebody_looked() {
    let mut trial = Trial::new(2, NewImage::Good);
    assert!(trial.drive(None));
    let from = |seen: usize, releases: &[Release]| {
        let events = &trial.events[..seen];
        let state = fold(RolloutId(ulid::Ulid(9)), events).unwrap();
        let forecast = preview(&state, events, &outside(Gate::Open), releases, at(0));
        forecast.moves.into_iter().map(|moved| moved.from).collect::<Vec<_>>()
    };
    let before = Release {
        images: Images::one(OLD_IMAGE.parse().unwrap(), OLD_IMAGE.parse().unwrap()),
        tag: "t0".to_owned(),
        ..trial.state().release.clone()
    };
    assert_eq!(from(1, std::slice::from_ref(&before)), [None]);
    let both = |name: &str| [Some(name.to_owned()), Some(name.to_owned())];
    assert_eq!(from(3, &[]), both("aaaaaaaaaaaa"));
    assert_eq!(from(3, &[before, trial.state().release.clone()]), both("t0"));
}

/// The order of the first unit, and why.
fn order(kind: Kind, change: impl Fn(&mut TargetPolicy, &mut Trial)) -> (UpdateOrder, OrderReason) {
    let mut trial = Trial::of(kind, 1, NewImage::Good);
    let RolloutEvent::Opened {
        mut target,
        app,
        timezone,
        release,
        window_ignored,
        purpose,
    } = rollout(kind, false)
    else {
        panic!()
    };
    containers(&mut target).order = Order::Auto;
    change(&mut target, &mut trial);
    trial.events.clear();
    trial.push(RolloutEvent::Opened {
        target,
        app,
        timezone,
        release,
        window_ignored,
        purpose,
    });
    trial.drive(Some(4));
    let moved = after(&trial, 3).moves.remove(0);
    (moved.order.unwrap(), moved.why)
}

#[test]
fn an_order_has_a_reason() {
    let bars = vec![Bar::Device];
    let bar = |trial: &mut Trial| trial.world.units[0].bars = vec![Bar::Device];
    for (got, wanted) in [
        (
            order(Kind::Plain, |_, _| {}),
            (UpdateOrder::StopFirst, OrderReason::NoRouter),
        ),
        (
            order(Kind::Paused, |_, _| {}),
            (UpdateOrder::StopFirst, OrderReason::RouterPauses),
        ),
        (
            order(Kind::Routed, |_, _| {}),
            (UpdateOrder::StartFirst, OrderReason::RouterTakesUp),
        ),
        (
            order(Kind::Routed, |_, trial| bar(trial)),
            (UpdateOrder::StopFirst, OrderReason::Bars { bars: bars.clone() }),
        ),
        (
            order(Kind::Routed, |target, _| containers(target).order = Order::StopFirst),
            (UpdateOrder::StopFirst, OrderReason::Configured),
        ),
        (
            order(Kind::Routed, |target, trial| {
                containers(target).order = Order::StartFirst;
                bar(trial);
            }),
            (UpdateOrder::StopFirst, OrderReason::Refused { bars }),
        ),
    ] {
        assert_eq!(got, wanted);
    }
    let mut held = Trial::of(Kind::Held, 1, NewImage::Good);
    held.drive(None);
    assert_eq!(after(&held, 3).moves[1].why, OrderReason::Dependent);
}

#[test]
fn a_release_that_was_overtaken_has_no_steps_ahead() {
    let mut trial = Trial::new(1, NewImage::Good);
    let newer = lowtide_model::name::RunId(ulid::Ulid(8));
    let state = trial.state();
    let forecast = preview(&state, &trial.events, &outside(Gate::Superseded(newer)), &[], at(0));
    assert_eq!(forecast.ends, Some(RolloutConclusion::Superseded { by: newer }));
    assert_eq!(forecast.steps, []);
    // A rollout that has changed something completes before a newer release.
    assert!(!trial.drive(Some(6 * 3)));
    let state = trial.state();
    assert!(state.touched);
    let forecast = preview(&state, &trial.events, &outside(Gate::Superseded(newer)), &[], at(0));
    assert_eq!(forecast.ends, Some(RolloutConclusion::Done));
}

/// The forecast names the steps. What a rollout waits for is shown elsewhere.
#[test]
fn what_holds_a_rollout_up_changes_nothing_of_its_way() {
    let trial = Trial::new(2, NewImage::Good);
    let forecast = |gate| preview(&trial.state(), &trial.events, &outside(gate), &[], at(0));
    let open = forecast(Gate::Open);
    assert_eq!(open.ends, Some(RolloutConclusion::Done));
    for gate in [Gate::Paused, Gate::Halted] {
        assert_eq!(
            (forecast(gate).steps, forecast(gate).ends),
            (open.steps.clone(), open.ends.clone()),
            "{gate:?}"
        );
    }
}

#[test]
fn a_release_that_was_withdrawn_has_steps_ahead_only_once_one_was_begun() {
    let mut trial = Trial::new(1, NewImage::Good);
    let forecast = |trial: &Trial| {
        let state = trial.state();
        preview(&state, &trial.events, &outside(Gate::Withdrawn), &[], at(0))
    };
    let untouched = forecast(&trial);
    let Some(RolloutConclusion::Refused { failure }) = &untouched.ends else {
        panic!("{:?}", untouched.ends)
    };
    assert_eq!(failure.kind, FailureKind::Withdrawn);
    assert_eq!(untouched.steps, []);
    assert!(!trial.drive(Some(6 * 3)));
    assert!(trial.state().touched);
    assert!(
        forecast(&trial)
            .steps
            .iter()
            .any(|line| line.state == PlannedState::Ahead)
    );
}
