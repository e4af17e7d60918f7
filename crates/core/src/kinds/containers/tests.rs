//! The reconciler against a small simulated engine: every kill point, every failing step.

use crate::decide::rollout::{Gate, Next, next_of, next_unseen};
use crate::fleet::corpus;
use crate::fleet::rollout::RolloutEvent;
use crate::kinds::containers::policy::ContainersPolicy;
use lowtide_model::container::ContainerState;
use lowtide_model::failure::{FailureKind, WaitReason};
use lowtide_model::policy::Unhealthy;
use lowtide_model::rollout::{Bar, Purpose, RolloutConclusion};
use lowtide_model::window::{Closing, Occurrence};
use std::collections::BTreeSet;
use trial::{Trial, outside};
use world::{KINDS, Kind, NEW_IMAGE, NewImage, OldImage, at, rollout};

mod blame;
mod low_tide;
mod mishaps;
mod preview;
mod promises;
mod tides;
pub(crate) mod trial;
pub(crate) mod world;

#[test]
fn forward_takes_these_steps() {
    let mut trial = Trial::new(1, NewImage::Good);
    assert!(trial.drive(None));
    insta::assert_snapshot!(trial.steps.join("\n"), @"
    preflight
    pull
    before hook
    create new container
    stop old container
    set restart policy no
    start new container
    wait until new container is ready
    rename to web0.prev.00000009
    rename to web0
    set restart policy always
    after hook
    remove old container
    ");
    assert_eq!(*trial.conclusion(), RolloutConclusion::Done);
}

#[test]
fn an_image_that_never_gets_ready_is_rolled_back() {
    let mut trial = Trial::new(1, NewImage::NeverReady);
    assert!(trial.drive(None));
    insta::assert_snapshot!(trial.steps.join("\n"), @"
    preflight
    pull
    before hook
    create new container
    stop old container
    set restart policy no
    start new container
    wait until new container is ready
    stop new container
    start old container
    set restart policy always
    wait until old container is ready
    save log
    remove new container
    ");
    assert!(matches!(trial.conclusion(), RolloutConclusion::Reverted { .. }));
}

#[test]
fn killed_anywhere_it_ends_as_it_would_have() {
    let mut points = 0;
    let (one, both): (&[usize], &[usize]) = (&[1], &[1, 3]);
    for (new_is, counts) in [
        (NewImage::Good, both),
        (NewImage::NeverReady, both),
        (NewImage::ExitsAtOnce, both),
        (NewImage::DiesWhileBaking, both),
        (NewImage::ExitsOnce, one),
        (NewImage::ExitsWhileWaitedFor { times: 1 }, one),
        (NewImage::NotCreated, one),
        (NewImage::NotStarted, one),
        (NewImage::NotExecutable, one),
    ] {
        for (kind, replicas) in KINDS
            .into_iter()
            .flat_map(move |kind| counts.iter().map(move |n| (kind, *n)))
        {
            let mut undisturbed = Trial::of(kind, replicas, new_is);
            let mut ends = Vec::new();
            undisturbed.killed_everywhere(&mut |mut trial| {
                trial.recover();
                assert!(trial.drive(None));
                ends.push((trial.end_state(), trial.conclusion().clone()));
            });
            for (kill, (end_state, conclusion)) in ends.iter().enumerate() {
                points += 1;
                assert_eq!(
                    *end_state,
                    undisturbed.end_state(),
                    "{kind:?} {new_is:?} killed at {kill}"
                );
                let same = std::mem::discriminant(conclusion) == std::mem::discriminant(undisturbed.conclusion());
                assert!(same, "{kind:?} {new_is:?} killed at {kill}: {conclusion:?}");
            }
        }
    }
    assert!(points > 300, "only {points} kill points were tried");
}

#[test]
fn killed_twice_it_still_ends_well() {
    for first in (0..40).step_by(3) {
        for second in (0..40).step_by(5) {
            let mut trial = Trial::new(2, NewImage::Good);
            let mut over = trial.drive(Some(first));
            if !over {
                trial.recover();
                over = trial.drive(Some(second));
            }
            if !over {
                trial.recover();
                assert!(trial.drive(None));
            }
            assert_eq!(*trial.conclusion(), RolloutConclusion::Done);
        }
    }
}

#[test]
fn an_irreversible_app_stops_for_a_person_once_the_candidate_ran() {
    let mut trial = Trial::new(1, NewImage::NeverReady);
    trial.events.clear();
    trial.push(rollout(Kind::Plain, true));
    assert!(trial.drive(None));
    assert!(matches!(trial.conclusion(), RolloutConclusion::Stuck { .. }));
    assert!(
        trial.world.containers.iter().any(|c| c.id == "old0"),
        "the old container is kept"
    );
}

#[test]
fn nothing_is_touched_outside_the_window() {
    let mut trial = Trial::new(1, NewImage::Good);
    trial.events.clear();
    let RolloutEvent::Opened {
        app,
        target,
        timezone,
        release,
        ..
    } = rollout(Kind::Plain, false)
    else {
        panic!()
    };
    trial.push(RolloutEvent::Opened {
        app,
        target,
        timezone,
        release,
        window_ignored: false,
        purpose: Purpose::Release,
    });
    let state = trial.state();
    let waits = next_unseen(&state, &outside(Gate::Open), at(0));
    assert_eq!(
        waits,
        Next::Wait {
            until: None,
            reason: WaitReason::NoWindow
        }
    );
    let held = next_unseen(&state, &outside(Gate::Halted), at(0));
    assert_eq!(
        held,
        Next::Wait {
            until: None,
            reason: WaitReason::Halted
        }
    );
}

#[test]
fn a_stranger_under_the_name_stops_everything() {
    let mut trial = Trial::new(1, NewImage::Good);
    assert!(!trial.drive(Some(3 * 3)));
    trial.recover();
    let mut observed = trial.world.observe(&trial.units().unwrap());
    observed[0].stranger = Some("x".to_owned());
    let verdict = next_of::<ContainersPolicy>(&trial.state(), Some(&observed), &outside(Gate::Open), at(1));
    assert!(
        matches!(verdict, Next::Finish(RolloutConclusion::Stuck { .. })),
        "{verdict:?}"
    );
}

fn steps(kind: Kind, new_is: NewImage) -> String {
    let mut trial = Trial::of(kind, 1, new_is);
    assert!(trial.drive(None));
    let ended = match trial.conclusion() {
        RolloutConclusion::Done => "done",
        RolloutConclusion::Reverted { .. } => "reverted",
        other @ (RolloutConclusion::AlreadyThere
        | RolloutConclusion::Refused { .. }
        | RolloutConclusion::Superseded { .. }
        | RolloutConclusion::Stuck { .. }) => panic!("{other:?}"),
    };
    format!("{}\n{ended}", trial.steps.join("\n"))
}

#[test]
fn start_first_sends_no_request_to_a_container_that_is_not_ready() {
    insta::assert_snapshot!(steps(Kind::Routed, NewImage::Good), @"
    preflight
    pull
    before hook
    create new container
    start new container
    wait until new container is ready
    give it the service's names
    wait until new container is ready
    router: join
    router: leave
    drain
    stop old container
    set restart policy no
    rename to web0.prev.00000009
    rename to web0
    set restart policy always
    after hook
    remove old container
    done
    ");
    insta::assert_snapshot!(steps(Kind::Routed, NewImage::DiesWhileBaking), @"
    preflight
    pull
    before hook
    create new container
    start new container
    wait until new container is ready
    give it the service's names
    wait until new container is ready
    router: join
    router: leave
    drain
    stop old container
    set restart policy no
    rename to web0.prev.00000009
    rename to web0
    set restart policy always
    after hook
    restart new container
    wait until new container is ready
    set restart policy no
    start old container
    wait until old container is ready
    router: join
    router: leave
    drain
    stop new container
    rename to web0.failed.00000009
    rename to web0
    set restart policy always
    save log
    remove new container
    reverted
    ");
}

#[test]
fn a_pausing_router_holds_requests_while_nobody_serves() {
    insta::assert_snapshot!(steps(Kind::Paused, NewImage::Good), @"
    preflight
    pull
    before hook
    create new container
    router: pause
    stop old container
    set restart policy no
    start new container
    wait until new container is ready
    router: resume
    rename to web0.prev.00000009
    rename to web0
    set restart policy always
    after hook
    remove old container
    done
    ");
    insta::assert_snapshot!(steps(Kind::Paused, NewImage::NeverReady), @"
    preflight
    pull
    before hook
    create new container
    router: pause
    stop old container
    set restart policy no
    start new container
    wait until new container is ready
    stop new container
    start old container
    set restart policy always
    wait until old container is ready
    router: resume
    save log
    remove new container
    reverted
    ");
}

#[test]
fn what_its_end_deletes_is_made_again_on_the_way_back() {
    insta::assert_snapshot!(steps(Kind::AutoRemove, NewImage::Good), @"
    preflight
    pull
    before hook
    create new container
    retain old image
    stop old container
    start new container
    wait until new container is ready
    rename to web0
    set restart policy always
    after hook
    drop retained image
    done
    ");
    insta::assert_snapshot!(steps(Kind::AutoRemove, NewImage::NeverReady), @"
    preflight
    pull
    before hook
    create new container
    retain old image
    stop old container
    start new container
    wait until new container is ready
    stop new container
    make old container again
    rename to web0
    start old container
    set restart policy always
    wait until old container is ready
    drop retained image
    reverted
    ");
}

#[test]
fn who_lives_in_its_network_moves_with_it() {
    insta::assert_snapshot!(steps(Kind::Held, NewImage::Good), @"
    preflight
    pull
    before hook
    create new container
    stop old container
    set restart policy no
    stop old container
    set restart policy no
    stop old container
    set restart policy no
    start new container
    wait until new container is ready
    rename to web0.prev.00000009
    rename to web0
    set restart policy always
    after hook
    create new container
    start new container
    wait until new container is ready
    rename to tenant01.prev.00000009
    rename to tenant01
    set restart policy always
    create new container
    start new container
    wait until new container is ready
    rename to tenant02.prev.00000009
    rename to tenant02
    set restart policy always
    remove old container
    remove old container
    remove old container
    done
    ");
    insta::assert_snapshot!(steps(Kind::Held, NewImage::NeverReady), @"
    preflight
    pull
    before hook
    create new container
    stop old container
    set restart policy no
    stop old container
    set restart policy no
    stop old container
    set restart policy no
    start new container
    wait until new container is ready
    stop new container
    start old container
    set restart policy always
    wait until old container is ready
    start old container
    set restart policy always
    wait until old container is ready
    start old container
    set restart policy always
    wait until old container is ready
    save log
    remove new container
    reverted
    ");
}

#[test]
fn the_tag_of_compose_follows_and_goes_back() {
    insta::assert_snapshot!(steps(Kind::Tagged, NewImage::DiesWhileBaking), @"
    preflight
    pull
    before hook
    create new container
    stop old container
    set restart policy no
    start new container
    wait until new container is ready
    rename to web0.prev.00000009
    rename to web0
    set restart policy always
    move tag web:prod
    after hook
    restart new container
    wait until new container is ready
    set restart policy no
    stop new container
    rename to web0.failed.00000009
    rename to web0
    start old container
    set restart policy always
    wait until old container is ready
    move tag web:prod
    save log
    remove new container
    reverted
    ");
    let mut trial = Trial::of(Kind::Tagged, 1, NewImage::Good);
    assert!(trial.drive(None));
    assert_eq!(
        trial.world.tag.as_ref().map(lowtide_model::image::ImageId::as_str),
        Some(NEW_IMAGE)
    );
}

#[test]
fn a_start_first_that_cannot_be_is_refused_by_name() {
    let mut trial = Trial::of(Kind::Routed, 1, NewImage::Good);
    trial.world.units[0].bars = vec![
        Bar::PublishedPort {
            port: "80/tcp".to_owned(),
        },
        Bar::WritableVolume {
            path: "/data".to_owned(),
        },
    ];
    assert!(trial.drive(None));
    let RolloutConclusion::Refused { failure } = trial.conclusion() else {
        panic!("{:?}", trial.conclusion())
    };
    insta::assert_snapshot!(failure, @"the container cannot be recreated faithfully: web0: no start-first (port 80/tcp of the host is published)");
    // Only the owner can know that two containers may write to one volume, and has said so.
    let mut trial = Trial::of(Kind::Routed, 1, NewImage::Good);
    trial.world.units[0].bars = vec![Bar::WritableVolume {
        path: "/data".to_owned(),
    }];
    assert!(trial.drive(None));
    assert_eq!(*trial.conclusion(), RolloutConclusion::Done);
}

#[test]
fn an_old_container_that_starts_no_more_calls_a_person() {
    let mut trial = Trial::new(1, NewImage::NeverReady);
    trial.world.old_is = OldImage::StartsNoMore;
    assert!(trial.drive(None));
    let RolloutConclusion::Stuck { failure } = trial.conclusion() else {
        panic!("{:?}", trial.conclusion())
    };
    insta::assert_snapshot!(failure, @"the revert failed: the old container of web0 does not stay up: it exited with code 0");
}

#[test]
fn somebody_removes_the_new_container_while_nobody_else_serves() {
    let mut trial = Trial::new(1, NewImage::Good);
    // After `start`.
    assert!(!trial.drive(Some(6 * 3 + 2)));
    trial.world.containers.retain(|c| c.id != "new0");
    trial.recover();
    assert!(trial.drive(None));
    assert!(
        matches!(trial.conclusion(), RolloutConclusion::Reverted { failure } if failure.kind == FailureKind::Diverged)
    );
    assert_eq!(trial.end_state()[0].2, ContainerState::Running);
}

#[test]
fn what_released_versions_wrote_is_read() {
    let mut streams = Vec::new();
    let mut add = |name: String, mut trial: Trial| {
        trial.drive(None);
        streams.push((name, trial.events.into_iter().map(|it| it.event).collect()));
    };
    for kind in KINDS {
        add(format!("{kind:?}, good"), Trial::of(kind, 2, NewImage::Good));
    }
    for new_is in [NewImage::NeverReady, NewImage::DiesWhileBaking, NewImage::NotCreated] {
        add(format!("{new_is:?}"), Trial::new(1, new_is));
    }
    let mut killed = Trial::new(1, NewImage::Good);
    killed.drive(Some(7));
    killed.recover();
    add("killed".to_owned(), killed);
    let occurrence = Occurrence {
        day: jiff::civil::date(2026, 11, 23),
        from: jiff::civil::time(3, 0, 0, 0),
        zone: "America/Moncton".to_owned(),
    };
    let mut tides = Trial::new(1, NewImage::Good);
    for event in [
        RolloutEvent::LateNoticeSent { since: at(0) },
        RolloutEvent::Entered { occurrence },
        RolloutEvent::Suspended {
            closing: Closing::Ended,
        },
        RolloutEvent::Expedited {
            by: "ana".to_owned(),
            unhealthy: Unhealthy::Replace,
        },
    ] {
        tides.push(event);
    }
    add("tides".to_owned(), tides);
    let kinds: BTreeSet<&str> = streams.iter().flat_map(|(_, events)| events).map(kind).collect();
    assert_eq!(kinds.len(), 11, "{kinds:?}");
    corpus::holds("rollouts-containers", streams, corpus::rollout_end);
}

fn kind(event: &RolloutEvent) -> &'static str {
    match event {
        RolloutEvent::Opened { .. } => "opened",
        RolloutEvent::Expedited { .. } => "expedited",
        RolloutEvent::Entered { .. } => "entered",
        RolloutEvent::Suspended { .. } => "suspended",
        RolloutEvent::LateNoticeSent { .. } => "late_notice_sent",
        RolloutEvent::StepStarted { .. } => "step_started",
        RolloutEvent::StepEnded { .. } => "step_ended",
        RolloutEvent::StepAbandoned => "step_abandoned",
        RolloutEvent::BakeStarted { .. } => "bake_started",
        RolloutEvent::RevertDecided { .. } => "revert_decided",
        RolloutEvent::Concluded { .. } => "concluded",
    }
}
