//! After an incident each target is watched twice as long, for its own number of new releases.

use super::halts::{operators, push, resumed, reverted, with_incident};
use super::*;

fn left(app_state: &AppState) -> String {
    let of = |target: &str| app_state.probation.left(&target.parse().unwrap());
    format!("s1 {} s2 {} p1 {}", of("s1"), of("s2"), of("p1"))
}

fn policy(app: &App) -> TargetPolicy {
    let mut policy = app.rollout[0].clone();
    policy.settings.bake = jiff::SignedDuration::from_mins(2);
    policy
}

/// Minutes a release bakes on the first target, and why it is brought there.
fn bakes(app: &App, app_state: &AppState, n: u128) -> (i64, Purpose) {
    let (target, purpose) = undertaken(app_state, policy(app), &release(n));
    (target.settings.bake.as_mins(), purpose)
}

#[test]
fn the_next_rollouts_bake_twice_as_long_and_only_those_that_arrive_count() {
    let app = app();
    let mut app_state = with_incident(&app, "s1");
    push(&mut app_state, resumed(2));
    released(&mut app_state, 3);
    assert_eq!(bakes(&app, &app_state, 3), (4, Purpose::Probation));
    let refused = || RolloutConclusion::Refused {
        failure: Failure::new(FailureKind::PreflightRefused, "x"),
    };
    play(&app, &mut app_state, |_| refused());
    assert_eq!(left(&app_state), "s1 2 s2 2 p1 2", "nothing arrived");
    push(&mut app_state, resumed(0));
    assert_eq!(
        left(&app_state),
        "s1 2 s2 2 p1 2",
        "letting a refused rollout go on ends nothing"
    );
    play(&app, &mut app_state, |_| RolloutConclusion::Done);
    assert_eq!(left(&app_state), "s1 1 s2 1 p1 1", "each target proves it for itself");
    assert_eq!(bakes(&app, &app_state, 3), (2, Purpose::Release), "it is there already");
    // An operator's own halt suspends probation but does not use it up.
    push(&mut app_state, operators());
    assert_eq!(bakes(&app, &app_state, 4), (2, Purpose::Release));
    push(&mut app_state, resumed(0));
    assert_eq!(left(&app_state), "s1 1 s2 1 p1 1");
    released(&mut app_state, 4);
    play(&app, &mut app_state, |_| RolloutConclusion::Done);
    assert_eq!(left(&app_state), "s1 0 s2 0 p1 0");
    assert_eq!(bakes(&app, &app_state, 5), (2, Purpose::Release));
}

/// The release fails in production; staging, which runs it, goes back. That rollback uses up no probation: the next new
/// release bakes twice as long in production, and on staging.
#[test]
fn what_only_goes_back_uses_up_no_probation() {
    let app = app();
    let mut app_state = with_incident(&app, "p1");
    let of = |app_state: &AppState, target: &str| app_state.targets[&target.parse().unwrap()].current;
    assert_eq!(
        of(&app_state, "s1"),
        Some(RunId(Ulid(1))),
        "staging went back with its channel"
    );
    push(&mut app_state, resumed(1));
    // The target already runs a newer release, so rolling out an older one is no probation.
    app_state.targets.get_mut(&"s1".parse().unwrap()).unwrap().current = Some(RunId(Ulid(2)));
    assert_eq!(bakes(&app, &app_state, 1), (2, Purpose::Release));
    let story = play(&app, &mut app_state, |_| RolloutConclusion::Done);
    assert_eq!(story, ["s1 → t1"]);
    assert_eq!(left(&app_state), "s1 1 s2 1 p1 1");
    released(&mut app_state, 3);
    let staging = play(&app, &mut app_state, |target| {
        if target == "p1" {
            reverted()
        } else {
            RolloutConclusion::Done
        }
    });
    assert!(staging.contains(&"p1 → t3".to_owned()), "{staging:?}");
}

#[test]
fn one_release_counts_once_per_target() {
    let mut probation = Probation::begin(2);
    let target: TargetName = "s1".parse().unwrap();
    for _ in 0..3 {
        probation.arrive(&target, RunId(Ulid(3)));
    }
    assert_eq!(
        (probation.left(&target), probation.left(&"s2".parse().unwrap())),
        (1, 2)
    );
    probation.arrive(&target, RunId(Ulid(4)));
    probation.arrive(&target, RunId(Ulid(5)));
    assert_eq!(probation.left(&target), 0);
}
