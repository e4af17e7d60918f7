//! Three processes that share a lock, simulated: killed, one or all, at every instant.

use crate::fleet::corpus;
use lowtide_model::container::ContainerState;
use lowtide_model::handover::StateOwner;
use lowtide_model::rollout::RolloutConclusion;
use trial::{Blow, NewLowtide, Trial};

mod trial;

#[test]
fn it_is_handed_over_twice() {
    let mut trial = Trial::new(NewLowtide::Good);
    trial.drive(None);
    insta::assert_snapshot!(trial.story(), @"
    the old lowtide: preflight
    the old lowtide: pull
    the old lowtide: start the helper
    the old lowtide: hand over to the helper
    the helper: create new container
    the helper: stop old container
    the helper: set restart policy no
    the helper: start new container
    the helper: wait until new container is ready
    the helper: rename to web0.prev.00000009
    the helper: rename to web0
    the helper: set restart policy always
    the helper: hand over to the new lowtide
    the new lowtide: remove the helper
    the new lowtide: remove old container
    ");
    assert_eq!(*trial.conclusion(), RolloutConclusion::Done);
}

#[test]
fn one_that_cannot_even_stand_by_never_gets_the_state() {
    let mut trial = Trial::new(NewLowtide::ExitsAtOnce);
    trial.drive(None);
    insta::assert_snapshot!(trial.story(), @"
    the old lowtide: preflight
    the old lowtide: pull
    the old lowtide: start the helper
    the old lowtide: hand over to the helper
    the helper: create new container
    the helper: stop old container
    the helper: set restart policy no
    the helper: start new container
    the helper: goes back, the new container of web0 exited with code 0
    the helper: start old container
    the helper: set restart policy always
    the helper: wait until old container is ready
    the helper: save log
    the helper: remove new container
    the helper: hand over to the old lowtide
    ");
    assert!(matches!(trial.conclusion(), RolloutConclusion::Reverted { .. }));
}

#[test]
fn one_that_dies_of_the_state_is_rolled_back() {
    let mut trial = Trial::new(NewLowtide::DiesOfTheState);
    trial.drive(None);
    insta::assert_snapshot!(trial.story(), @"
    the old lowtide: preflight
    the old lowtide: pull
    the old lowtide: start the helper
    the old lowtide: hand over to the helper
    the helper: create new container
    the helper: stop old container
    the helper: set restart policy no
    the helper: start new container
    the helper: wait until new container is ready
    the helper: rename to web0.prev.00000009
    the helper: rename to web0
    the helper: set restart policy always
    the helper: hand over to the new lowtide
    the new lowtide: dies of the state, again and again
    the helper: goes back, the new lowtide did not take the state in time, or did not keep it
    the helper: set restart policy no
    the helper: stop new container
    the helper: rename to web0.failed.00000009
    the helper: rename to web0
    the helper: start old container
    the helper: set restart policy always
    the helper: wait until old container is ready
    the helper: save log
    the helper: remove new container
    the helper: hand over to the old lowtide
    ");
    assert!(matches!(trial.conclusion(), RolloutConclusion::Reverted { .. }));
}

#[test]
fn one_that_finds_itself_unhealthy_gives_the_state_back() {
    let mut trial = Trial::new(NewLowtide::UnhealthyWhileBaking);
    trial.drive(None);
    insta::assert_snapshot!(trial.story(), @"
    the old lowtide: preflight
    the old lowtide: pull
    the old lowtide: start the helper
    the old lowtide: hand over to the helper
    the helper: create new container
    the helper: stop old container
    the helper: set restart policy no
    the helper: start new container
    the helper: wait until new container is ready
    the helper: rename to web0.prev.00000009
    the helper: rename to web0
    the helper: set restart policy always
    the helper: hand over to the new lowtide
    the new lowtide: goes back, the new container of web0 turned unhealthy
    the new lowtide: hand over to the helper
    the helper: set restart policy no
    the helper: stop new container
    the helper: rename to web0.failed.00000009
    the helper: rename to web0
    the helper: start old container
    the helper: set restart policy always
    the helper: wait until old container is ready
    the helper: save log
    the helper: remove new container
    the helper: hand over to the old lowtide
    ");
    assert!(matches!(trial.conclusion(), RolloutConclusion::Reverted { .. }));
}

/// The update helper cannot read the database that the new lowtide migrated, and must not hand over to the new one again.
#[test]
fn one_that_migrates_and_finds_itself_unhealthy_is_rolled_back() {
    let mut trial = Trial::new(NewLowtide::MigratesAndIsUnhealthy);
    trial.drive(None);
    insta::assert_snapshot!(trial.story(), @"
    the old lowtide: preflight
    the old lowtide: pull
    the old lowtide: start the helper
    the old lowtide: hand over to the helper
    the helper: create new container
    the helper: stop old container
    the helper: set restart policy no
    the helper: start new container
    the helper: wait until new container is ready
    the helper: rename to web0.prev.00000009
    the helper: rename to web0
    the helper: set restart policy always
    the helper: hand over to the new lowtide
    the new lowtide: goes back, the new container of web0 turned unhealthy
    the new lowtide: hand over to the helper
    the helper: goes back, the new lowtide did not take the state in time, or did not keep it
    the helper: set restart policy no
    the helper: stop new container
    the helper: rename to web0.failed.00000009
    the helper: rename to web0
    the helper: start old container
    the helper: set restart policy always
    the helper: wait until old container is ready
    the helper: save log
    the helper: remove new container
    the helper: hand over to the old lowtide
    ");
    assert!(matches!(trial.conclusion(), RolloutConclusion::Reverted { .. }));
}

#[test]
fn without_a_helper_nothing_is_touched() {
    let mut trial = Trial::new(NewLowtide::Good);
    trial.helper_takes = false;
    trial.drive(None);
    assert!(
        matches!(trial.conclusion(), RolloutConclusion::Refused { .. }),
        "{}",
        trial.story()
    );
    assert_eq!(trial.last, StateOwner::Old);
    assert_eq!(trial.helpers_made, 1, "F11: however often it is tried there is one");
}

#[test]
fn a_stranger_moves_nothing() {
    let mut trial = Trial::new(NewLowtide::Good);
    trial.drive(Some((Blow::Kill, 9)));
    let next = trial.as_stranger();
    assert!(
        matches!(
            next,
            crate::decide::rollout::Next::Finish(RolloutConclusion::Stuck { .. })
        ),
        "{next:?}"
    );
}

#[test]
fn killed_anywhere_one_of_them_serves_in_the_end_and_one_is_left() {
    let mut points = 0;
    for new_is in NewLowtide::ALL {
        for blow in [Blow::Kill, Blow::Reboot] {
            for instant in 0.. {
                let mut trial = Trial::new(new_is);
                if trial.drive(Some((blow, instant))) {
                    break;
                }
                points += 1;
                trial.drive(None);
                let what = format!("{new_is:?} {blow:?} at {instant}\n{}", trial.story());
                let end = match trial.conclusion() {
                    RolloutConclusion::Done => StateOwner::New,
                    RolloutConclusion::Reverted { .. } | RolloutConclusion::Refused { .. } => StateOwner::Old,
                    other @ (RolloutConclusion::AlreadyThere
                    | RolloutConclusion::Superseded { .. }
                    | RolloutConclusion::Stuck { .. }) => panic!("{other:?} {what}"),
                };
                assert!(end == StateOwner::Old || new_is == NewLowtide::Good, "{what}");
                // A good new lowtide fails only if it was killed itself.
                if new_is == NewLowtide::Good && blow == Blow::Kill && trial.killed != Some(StateOwner::New) {
                    assert_eq!(end, StateOwner::New, "{what}");
                }
                assert_eq!(trial.last, end, "who concludes is who stays: {what}");
                assert!(trial.helpers_made <= 1, "{what}");
                let (name, policy, state) = trial.owner_container();
                assert_eq!(
                    (name.as_str(), policy.as_str(), state),
                    ("web0", "always", ContainerState::Running),
                    "{what}"
                );
            }
        }
    }
    assert!(points > 200, "only {points} points");
}

#[test]
fn what_released_versions_wrote_is_read() {
    let mut streams = Vec::new();
    for new_is in [
        NewLowtide::Good,
        NewLowtide::DiesOfTheState,
        NewLowtide::UnhealthyWhileBaking,
    ] {
        let mut trial = Trial::new(new_is);
        trial.drive(None);
        streams.push((format!("{new_is:?}"), trial.written()));
    }
    corpus::holds("rollouts-self-update", streams, corpus::rollout_end);
}
