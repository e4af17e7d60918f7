//! Whole rollouts of four containers by the clock of a window: items 58 and 59.

use super::trial::Trial;
use super::world::{Kind, NewImage, at, rollout};
use crate::decide::forecast;
use crate::decide::rollout::{Next, next_of};
use crate::fleet::rollout::RolloutEvent;
use crate::kinds::containers::policy::ContainersPolicy;
use crate::kinds::containers::step::ContainerStep;
use jiff::civil::time;
use jiff::{SignedDuration, Timestamp};
use lowtide_model::failure::{FailureKind, WaitReason};
use lowtide_model::journal::Recorded;
use lowtide_model::rollout::{Goal, RolloutConclusion};
use lowtide_model::window::{ClosedSpan, Closing, Closure, Day, Overrun, Weekly, Window};
use std::fmt::Write as _;

/// 03:00 to 05:00 UTC, every night.
pub(super) fn nights(overrun: Option<Overrun>) -> Window {
    Window {
        overrun,
        cutoff: Some(SignedDuration::from_mins(1)),
        ..Weekly::between(&Day::ALL, time(3, 0, 0, 0), time(5, 0, 0, 0)).into()
    }
}

pub(super) fn moment(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Four containers, a minute per step: ten minutes each.
pub(super) fn trial(window: Window, begins: &str) -> Trial {
    let mut trial = Trial::new(4, NewImage::Good);
    trial.pace = 60;
    trial.now = moment(begins).as_second() - at(0).as_second();
    trial.outside.window = Some(window);
    open(&mut trial, false);
    trial
}

pub(super) fn open(trial: &mut Trial, irreversible: bool) {
    trial.events.clear();
    let RolloutEvent::Opened {
        app,
        target,
        timezone,
        release,
        purpose,
        ..
    } = rollout(Kind::Plain, irreversible)
    else {
        panic!()
    };
    trial.outside.waits.since = at(trial.now);
    trial.push(RolloutEvent::Opened {
        app,
        target,
        timezone,
        release,
        window_ignored: false,
        purpose,
    });
}

/// The important events of the rollout, with times.
pub(super) fn story(trial: &Trial) -> String {
    let mut text = String::new();
    let mut last = None;
    for recorded in &trial.events {
        let what = match &recorded.event {
            RolloutEvent::Entered { occurrence } => format!("enters {}", occurrence.day),
            RolloutEvent::Suspended { closing } => format!("suspended: {closing:?}"),
            RolloutEvent::LateNoticeSent { .. } => "people are notified".to_owned(),
            RolloutEvent::Expedited { .. } => "expedited".to_owned(),
            RolloutEvent::BakeStarted { .. } => "bakes".to_owned(),
            RolloutEvent::RevertDecided { failure } => format!("goes back: {}", failure.detail),
            RolloutEvent::StepStarted { step, .. } if step.about().unit != last => {
                last = step.about().unit;
                match last {
                    Some(unit) => format!("unit {unit}: {step}"),
                    None => continue,
                }
            }
            RolloutEvent::Concluded {
                conclusion: RolloutConclusion::Reverted { failure },
            } => format!("reverted: {:?}", failure.kind),
            RolloutEvent::Concluded { conclusion } => format!("{conclusion:?}"),
            RolloutEvent::Opened { .. }
            | RolloutEvent::StepStarted { .. }
            | RolloutEvent::StepEnded { .. }
            | RolloutEvent::StepAbandoned => continue,
        };
        writeln!(text, "{} {what}", recorded.at.strftime("%a %H:%M")).unwrap();
    }
    text
}

pub(super) fn decision(trial: &Trial) -> Next<ContainerStep> {
    let state = trial.state();
    let observed = trial.world.seen(trial.units().as_ref());
    next_of::<ContainersPolicy>(&state, observed.as_ref(), &trial.outside, at(trial.now))
}

#[test]
fn closing_half_way_by_default() {
    // One of four is done when the opening ends in the middle of it: the others wait for the next night.
    let mut little = trial(nights(None), "2026-09-22T04:52:00Z");
    assert!(little.drive(None));
    insta::assert_snapshot!(story(&little), @r"
    Tue 04:54 unit 0: before hook
    Tue 04:55 enters 2026-09-22
    Tue 05:04 suspended: Ended
    Wed 03:00 enters 2026-09-23
    Wed 03:00 unit 1: before hook
    Wed 03:10 unit 2: before hook
    Wed 03:20 unit 3: before hook
    Wed 03:30 bakes
    Wed 03:31 unit 2: remove old container
    Wed 03:32 unit 1: remove old container
    Wed 03:33 unit 0: remove old container
    Wed 03:34 Done
    ");
    // Two of four: the other two are done as well.
    let mut half = trial(nights(None), "2026-09-22T04:42:00Z");
    assert!(half.drive(None));
    insta::assert_snapshot!(story(&half), @r"
    Tue 04:44 unit 0: before hook
    Tue 04:45 enters 2026-09-22
    Tue 04:54 unit 1: before hook
    Tue 05:04 unit 2: before hook
    Tue 05:14 unit 3: before hook
    Tue 05:24 bakes
    Tue 05:25 unit 2: remove old container
    Tue 05:26 unit 1: remove old container
    Tue 05:27 unit 0: remove old container
    Tue 05:28 Done
    ");
}

#[test]
fn closing_half_way_by_each_rule() {
    let begins = "2026-09-22T04:52:00Z";
    let mut finished = trial(nights(Some(Overrun::Finish)), begins);
    assert!(finished.drive(None));
    insta::assert_snapshot!(story(&finished), @r"
    Tue 04:54 unit 0: before hook
    Tue 04:55 enters 2026-09-22
    Tue 05:04 unit 1: before hook
    Tue 05:14 unit 2: before hook
    Tue 05:24 unit 3: before hook
    Tue 05:34 bakes
    Tue 05:35 unit 2: remove old container
    Tue 05:36 unit 1: remove old container
    Tue 05:37 unit 0: remove old container
    Tue 05:38 Done
    ");
    let mut back = trial(nights(Some(Overrun::Revert)), begins);
    let before = back.end_state();
    assert!(back.drive(None));
    insta::assert_snapshot!(story(&back), @r"
    Tue 04:54 unit 0: before hook
    Tue 04:55 enters 2026-09-22
    Tue 05:04 goes back: 1 of 4 were done when its window had closed
    Tue 05:13 reverted: WindowClosed
    ");
    assert_eq!(back.end_state(), before, "everything is as it was");
    // Suspended once, and the second night is too short as well: the rollout rolls back instead of waiting for a third
    // one.
    let mut short = nights(Some(Overrun::Suspend));
    short.opens = Weekly::between(&Day::ALL, time(3, 0, 0, 0), time(3, 8, 0, 0));
    let mut suspended = trial(short, "2026-09-22T02:00:00Z");
    let before = suspended.end_state();
    assert!(suspended.drive(None));
    insta::assert_snapshot!(story(&suspended), @"
    Tue 03:02 unit 0: before hook
    Tue 03:03 enters 2026-09-22
    Tue 03:12 suspended: Ended
    Wed 03:00 enters 2026-09-23
    Wed 03:00 unit 1: before hook
    Wed 03:10 goes back: 2 of 4 were done when its window had closed
    Wed 03:17 unit 0: set restart policy no
    Wed 03:24 unit 1: save log
    Wed 03:26 unit 0: save log
    Wed 03:28 reverted: WindowClosed
    ");
    assert_eq!(suspended.end_state(), before);
}

#[test]
fn a_window_before_a_weekend_goes_back_at_once() {
    let working = [Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri];
    let mut window = nights(None);
    window.opens.days = working.to_vec();
    let mut friday = trial(window, "2026-09-25T04:52:00Z");
    assert!(friday.drive(None));
    insta::assert_snapshot!(story(&friday), @r"
    Fri 04:54 unit 0: before hook
    Fri 04:55 enters 2026-09-25
    Fri 05:04 goes back: 1 of 4 were done when its window had closed
    Fri 05:13 reverted: WindowClosed
    ");
}

/// Every instant at which the process can die: the rollout ends in the same way, and still only between units.
#[test]
fn killed_at_every_instant_of_a_suspended_rollout() {
    let begins = "2026-09-22T04:52:00Z";
    let mut calm = trial(nights(None), begins);
    assert!(calm.drive(None));
    for kill in 0.. {
        let mut killed = trial(nights(None), begins);
        if killed.drive(Some(kill)) {
            assert!(kill > 100, "only {kill} instants");
            break;
        }
        killed.recover();
        assert!(killed.drive(None));
        assert_eq!(killed.conclusion(), &RolloutConclusion::Done, "killed at {kill}");
        assert_eq!(killed.end_state(), calm.end_state(), "killed at {kill}");
        let suspensions = |trial: &Trial| {
            let suspended = |r: &&Recorded<RolloutEvent>| matches!(r.event, RolloutEvent::Suspended { .. });
            trial.events.iter().filter(suspended).count()
        };
        assert_eq!(suspensions(&killed), 1, "killed at {kill}");
    }
}

#[test]
fn a_blackout_begins_half_way() {
    let blackout = |to: &str| Closure {
        span: ClosedSpan::Once {
            from: "2026-09-22T03:05".parse().unwrap(),
            to: to.parse().unwrap(),
        },
        why: Some("sale".to_owned()),
    };
    // A short blackout: the rollout resumes after it, in the same opening. The unit in progress is finished first.
    let mut window = nights(Some(Overrun::Finish));
    window.closed = vec![blackout("2026-09-22T04:00")];
    let mut short = trial(window.clone(), "2026-09-22T03:00:00Z");
    assert!(short.drive(None));
    insta::assert_snapshot!(story(&short), @r#"
    Tue 03:02 unit 0: before hook
    Tue 03:03 enters 2026-09-22
    Tue 03:12 suspended: Denied { why: Some("sale") }
    Tue 04:00 enters 2026-09-22
    Tue 04:00 unit 1: before hook
    Tue 04:10 unit 2: before hook
    Tue 04:20 unit 3: before hook
    Tue 04:30 bakes
    Tue 04:31 unit 2: remove old container
    Tue 04:32 unit 1: remove old container
    Tue 04:33 unit 0: remove old container
    Tue 04:34 Done
    "#);
    // A blackout longer than a night: the rollout rolls back.
    window.closed = vec![blackout("2026-09-26T00:00")];
    let mut long = trial(window, "2026-09-22T03:00:00Z");
    let before = long.end_state();
    assert!(long.drive(None));
    insta::assert_snapshot!(story(&long), @r"
    Tue 03:02 unit 0: before hook
    Tue 03:03 enters 2026-09-22
    Tue 03:12 goes back: 1 of 4 were done when its window was closed: sale
    Tue 03:21 reverted: WindowClosed
    ");
    assert_eq!(long.end_state(), before);
}

/// A freeze set at any instant interrupts neither a unit nor a rollback.
#[test]
fn a_freeze_never_stops_a_unit_or_a_revert() {
    let mut reverting = 0;
    for kill in 0.. {
        let mut killed = Trial::new(1, NewImage::NeverReady);
        killed.outside.window = Some(nights(None));
        killed.now = moment("2026-09-22T03:00:00Z").as_second() - at(0).as_second();
        open(&mut killed, false);
        if killed.drive(Some(kill)) {
            break;
        }
        killed.recover();
        if let Some(window) = &mut killed.outside.window {
            window.freeze = Some("sale".to_owned());
        }
        let state = killed.state();
        if !state.touched {
            let frozen = WaitReason::Frozen { why: "sale".to_owned() };
            assert!(matches!(decision(&killed), Next::Wait { until: None, reason } if reason == frozen));
            continue;
        }
        reverting += usize::from(state.goal == Goal::Back);
        assert!(killed.drive(None));
        assert!(
            matches!(killed.conclusion(), RolloutConclusion::Reverted { .. }),
            "killed at {kill}"
        );
    }
    assert!(reverting > 5, "only {reverting} instants on the way back");
}

/// A trial that is suspended at 05:04 with one of four units done.
pub(super) fn suspended() -> Trial {
    let mut trial = trial(nights(None), "2026-09-22T04:52:00Z");
    for kill in 0.. {
        assert!(!trial.drive(Some(2)), "it is never suspended");
        trial.recover();
        if matches!(decision(&trial), Next::Suspend { .. }) {
            trial.push(RolloutEvent::Suspended {
                closing: Closing::Ended,
            });
            return trial;
        }
        assert!(kill < 500);
    }
    trial
}

#[test]
fn while_suspended_it_waits_and_says_why() {
    let trial = suspended();
    let Next::Wait { until, reason } = decision(&trial) else {
        panic!("{:?}", decision(&trial))
    };
    assert!(until.unwrap() <= at(trial.now + 30), "what serves meanwhile is watched");
    let opens = moment("2026-09-23T03:00:00Z");
    let expected = WaitReason::Suspended {
        closing: Closing::Ended,
        until: opens,
    };
    assert_eq!(reason, expected);
    // A reader of the journal alone sees the same.
    let foretold = forecast::rollout_waits(&trial.state(), &trial.outside, at(trial.now));
    assert_eq!(foretold, Some(expected));
}

#[test]
fn what_turns_bad_while_it_is_suspended_is_rolled_back() {
    let mut trial = suspended();
    let id = trial.world.labels[0].1.clone();
    trial.world.get(&id).restart_count = 2;
    let Next::DecideRevert(failure) = decision(&trial) else {
        panic!("{:?}", decision(&trial))
    };
    assert_eq!(failure.kind, FailureKind::Restarting);
}

#[test]
fn whoever_says_now_does_not_wait_for_the_next_night() {
    let mut trial = suspended();
    trial.push(RolloutEvent::Expedited {
        by: "ana".to_owned(),
        unhealthy: lowtide_model::policy::Unhealthy::Refuse,
    });
    assert!(matches!(decision(&trial), Next::Do { .. }), "{:?}", decision(&trial));
}

#[test]
fn what_cannot_go_back_is_not_rolled_back_by_the_clock() {
    let mut trial = trial(nights(Some(Overrun::Revert)), "2026-09-22T04:52:00Z");
    open(&mut trial, true);
    assert!(trial.drive(None));
    assert_eq!(trial.conclusion(), &RolloutConclusion::Done);
}
