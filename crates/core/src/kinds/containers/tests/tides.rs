//! When rollouts begin, and how long they wait: items 57, 63 and 64.

use super::low_tide::{decision, moment, nights, story, suspended, trial};
use super::trial::Trial;
use super::world::at;
use crate::decide::app_state::{self, AppState};
use crate::decide::consequences;
use crate::decide::gates;
use crate::decide::rollout::Next;
use crate::decide::schedule::tests_app;
use crate::fleet::app_state::AppEvent;
use crate::fleet::rollout::RolloutEvent;
use jiff::SignedDuration;
use jiff::civil::time;
use lowtide_model::failure::WaitReason;
use lowtide_model::journal::Recorded;
use lowtide_model::message::{Addressees, MessageBody};
use lowtide_model::name::{RolloutId, RunId};
use lowtide_model::policy::Schedule;
use lowtide_model::rollout::RolloutConclusion;
use lowtide_model::window::{Closing, Day, Escalation, Overrun, Weekly};

/// The app's state after the events that the rollout adds to its stream.
fn app_state_after(trial: &Trial) -> AppState {
    let state = trial.state();
    let conclusion = trial.conclusion().clone();
    let (target, release, rollout) = (state.target.name.clone(), state.release.run, state.id);
    let worked = state.worked(&conclusion, at(trial.now));
    let opened = AppEvent::RolloutOpened {
        target: target.clone(),
        release,
        rollout,
    };
    let ended = AppEvent::RolloutEnded {
        target,
        release,
        rollout,
        conclusion,
        worked,
        placed: None,
    };
    let recorded = |event| Recorded {
        seq: 0,
        at: at(trial.now),
        event,
    };
    app_state::fold(vec![recorded(opened), recorded(ended)])
}

#[test]
fn one_opening_begins_one_release_once() {
    // 02:45 comes twice in Berlin on 2026-10-25: at 00:45 and at 01:45 UTC.
    let mut window = nights(Some(Overrun::Revert));
    window.opens = Weekly::between(&Day::ALL, time(2, 0, 0, 0), time(2, 50, 0, 0));
    window.opens.zone = Some("Europe/Berlin".to_owned());
    let mut first = trial(window.clone(), "2026-10-25T00:42:00Z");
    assert!(first.drive(None));
    insta::assert_snapshot!(story(&first), @r"
    Sun 00:44 unit 0: before hook
    Sun 00:45 enters 2026-10-25
    Sun 00:54 goes back: 1 of 4 were done when its window had closed
    Sun 01:03 reverted: WindowClosed
    ");
    // A person lets it try again; the clock shows 02:00 once more, and later the night of the same opening.
    let app_state = app_state_after(&first);
    for now in ["2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:45:00Z"] {
        let mut again = trial(window.clone(), now);
        let state = again.state();
        let outside = gates::outside(&state, &app_state, None, false);
        assert_eq!(outside.taken.as_ref().unwrap().day.to_string(), "2026-10-25");
        again.outside.taken = outside.taken;
        let opens = moment("2026-10-26T01:00:00Z");
        assert_eq!(
            decision(&again),
            Next::Wait {
                until: Some(opens),
                reason: WaitReason::Window { opens }
            },
            "{now}"
        );
    }
}

#[test]
fn only_whole_rollouts_teach_how_long_they_take() {
    let mut whole = trial(nights(None), "2026-09-22T03:00:00Z");
    assert!(whole.drive(None));
    let target = |trial: &Trial| app_state_after(trial).targets.into_values().next().unwrap();
    let learnt = target(&whole);
    // Four times nine or ten minutes from the first change on, and four old ones removed after a bake that does not count.
    assert_eq!((learnt.took, learnt.units), (vec![SignedDuration::from_mins(43)], 4));
    let mut suspended = trial(nights(None), "2026-09-22T04:52:00Z");
    assert!(suspended.drive(None));
    let learnt = target(&suspended);
    assert_eq!((learnt.took, learnt.units), (vec![], 4), "a night's wait is no work");
    assert_eq!(learnt.opening.unwrap().1.day.to_string(), "2026-09-23");
}

#[test]
fn the_limit_of_waiting_is_reported_once() {
    let mut window = nights(None);
    window.cutoff = Some(SignedDuration::from_hours(3));
    let mut trial = trial(window, "2026-09-22T03:00:00Z");
    let since = at(trial.now);
    let too_short = WaitReason::WindowTooShort {
        needs: SignedDuration::from_hours(3),
        longest: SignedDuration::from_hours(2),
    };
    let wait = |reason: &WaitReason| Next::Wait {
        until: None,
        reason: reason.clone(),
    };
    assert_eq!(decision(&trial), wait(&too_short));
    let day = 86_400;
    trial.now += 14 * day - 1;
    assert_eq!(decision(&trial), wait(&too_short));
    trial.now += 1;
    assert_eq!(
        decision(&trial),
        Next::Escalate {
            since,
            reason: too_short.clone()
        }
    );
    trial.push(RolloutEvent::LateNoticeSent { since });
    assert_eq!(decision(&trial), wait(&too_short), "once");
    // Security fixes wait less long before people are notified.
    trial.events.pop();
    trial.now -= 11 * day;
    assert_eq!(decision(&trial), wait(&too_short));
    trial.outside.waits.security = true;
    assert!(matches!(decision(&trial), Next::Escalate { .. }));
}

#[test]
fn maintainers_and_operators_are_notified_once_per_wait() {
    let trial = trial(nights(None), "2026-09-22T06:00:00Z");
    let message = |since| consequences::rollout_waits(&trial.state(), (since, WaitReason::NoWindow), at(trial.now));
    let first = message(at(0));
    assert_eq!(first.addressees, Addressees::Both);
    // The key does not contain the rollout, so a superseding rollout sends no second message.
    let key = &first.keys.dedup;
    assert!(!key.contains(&trial.state().id.to_string()), "{key}");
    assert_ne!(message(at(1)).keys, first.keys, "another wait");
}

fn end() -> consequences::RolloutEnd<'static> {
    static NOTHING: std::sync::LazyLock<AppState> = std::sync::LazyLock::new(AppState::default);
    consequences::RolloutEnd {
        app_state: &NOTHING,
        app: None,
        adopted: None,
    }
}

/// Nothing is wrong with a release whose window closed: no halt, no quarantine; and it is not retried automatically.
#[test]
fn what_the_clock_took_back_is_no_bad_release() {
    let mut back = trial(nights(Some(Overrun::Revert)), "2026-09-22T04:52:00Z");
    assert!(back.drive(None));
    let ended = consequences::rollout_ended(&back.state(), back.conclusion(), &end(), at(back.now));
    let [
        AppEvent::RolloutEnded {
            worked: Some(worked), ..
        },
    ] = ended.facts.as_slice()
    else {
        panic!("{:?}", ended.facts)
    };
    assert_eq!(worked.took, None);
    assert_eq!(ended.messages.len(), 1);
    assert!(matches!(ended.messages[0].body, MessageBody::RolloutUntimely(_)));
}

#[test]
fn it_wakes_when_the_limit_comes_before_the_next_opening() {
    let mut window = nights(None);
    window.opens.days = vec![Day::Sat];
    window.patience.max_wait = SignedDuration::from_hours(48);
    let trial = trial(window, "2026-09-22T03:00:00Z");
    let Next::Wait { until, reason } = decision(&trial) else {
        panic!()
    };
    assert_eq!(until, Some(moment("2026-09-24T03:00:00Z")));
    let opens = moment("2026-09-26T03:00:00Z");
    assert_eq!(reason, WaitReason::Window { opens });
}

#[test]
fn impatience_may_begin_what_does_not_fit() {
    let mut window = nights(None);
    window.cutoff = Some(SignedDuration::from_hours(3));
    window.patience.then = Escalation::Start;
    window.patience.max_wait = SignedDuration::from_hours(48);
    let mut trial = trial(window, "2026-09-22T03:00:00Z");
    trial.now += 48 * 3600;
    // 03:00, a night like the others: the whole of it is left.
    assert!(matches!(decision(&trial), Next::Do { .. }), "{:?}", decision(&trial));
    trial.now += 60;
    assert!(
        matches!(decision(&trial), Next::Do { .. }),
        "a minute late: {:?}",
        decision(&trial)
    );
    // In the second half of the night the next one is better, and people are notified.
    trial.now += 3600;
    assert!(
        matches!(decision(&trial), Next::Escalate { .. }),
        "{:?}",
        decision(&trial)
    );
    assert!(trial.drive(None));
    insta::assert_snapshot!(story(&trial), @r"
    Thu 04:01 people are notified
    Fri 03:02 unit 0: before hook
    Fri 03:03 enters 2026-09-25
    Fri 03:12 unit 1: before hook
    Fri 03:22 unit 2: before hook
    Fri 03:32 unit 3: before hook
    Fri 03:42 bakes
    Fri 03:43 unit 2: remove old container
    Fri 03:44 unit 1: remove old container
    Fri 03:45 unit 0: remove old container
    Fri 03:46 Done
    ");
}

#[test]
fn a_release_that_takes_anothers_place_has_waited_as_long() {
    let ended = |rollout, release, conclusion| AppEvent::RolloutEnded {
        target: "front".parse().unwrap(),
        release: RunId(ulid::Ulid(release)),
        rollout: RolloutId(ulid::Ulid(rollout)),
        conclusion,
        worked: None,
        placed: None,
    };
    let opened = |rollout, release| AppEvent::RolloutOpened {
        target: "front".parse().unwrap(),
        release: RunId(ulid::Ulid(release)),
        rollout: RolloutId(ulid::Ulid(rollout)),
    };
    let by = RunId(ulid::Ulid(2));
    let events = [
        opened(1, 1),
        ended(1, 1, RolloutConclusion::Superseded { by }),
        opened(2, 2),
        ended(2, 2, RolloutConclusion::Done),
        opened(3, 3),
    ];
    let since = |n: usize| {
        let recorded = events[..n].iter().enumerate().map(|(n, event)| Recorded {
            seq: 0,
            at: at(i64::try_from(n).unwrap()),
            event: event.clone(),
        });
        let app_state = app_state::fold(recorded.collect());
        app_state
            .targets
            .values()
            .next()
            .unwrap()
            .waits
            .map(|waits| waits.since)
    };
    assert_eq!([3, 4, 5].map(since), [Some(at(0)), None, Some(at(4))]);
}

#[test]
fn a_plan_is_made_anew_when_zone_data_change() {
    let mut trial = trial(nights(None), "2026-09-22T00:30:00Z");
    let opens = |trial: &Trial| {
        let decision = decision(trial);
        let Next::Wait {
            reason: WaitReason::Window { opens },
            ..
        } = decision
        else {
            panic!("{decision:?}")
        };
        opens.to_string()
    };
    assert_eq!(opens(&trial), "2026-09-22T03:00:00Z");
    // The same journal with other zone data: only the current zone data count.
    for (zone, expected) in [
        ("Europe/Berlin", "2026-09-22T01:00:00Z"),
        ("America/New_York", "2026-09-22T07:00:00Z"),
        ("Asia/Kolkata", "2026-09-22T21:30:00Z"),
    ] {
        trial.outside.timezone = zone.to_owned();
        assert_eq!(opens(&trial), expected, "{zone}");
    }
    // So for a suspended rollout.
    let mut suspended = suspended();
    for (zone, expected) in [
        ("UTC", "2026-09-23T03:00:00Z"),
        ("Europe/Helsinki", "2026-09-23T00:00:00Z"),
    ] {
        suspended.outside.timezone = zone.to_owned();
        let Next::Wait { reason, .. } = decision(&suspended) else {
            panic!("{:?}", decision(&suspended))
        };
        let until = moment(expected);
        assert_eq!(
            reason,
            WaitReason::Suspended {
                closing: Closing::Ended,
                until
            },
            "{zone}"
        );
    }
}

/// The current configuration counts, not that of the time when the rollout was opened.
#[test]
fn the_window_is_that_of_today() {
    let trial = trial(nights(None), "2026-09-22T00:30:00Z");
    let state = trial.state();
    let mut app = tests_app("web", Schedule::Never, "Asia/Kolkata");
    let RolloutEvent::Opened { target, .. } = trial.events[0].event.clone() else {
        panic!()
    };
    let mut target = *target;
    target.settings.window = Some(nights(None));
    app.rollout = vec![target];
    let outside_with = |app| gates::outside(&state, &AppState::default(), app, false);
    assert_eq!(outside_with(Some(&app)).window, Some(nights(None)));
    assert_eq!(outside_with(Some(&app)).timezone, "Asia/Kolkata");
    assert_eq!(
        outside_with(None).window,
        None,
        "not configured any more: as it was opened"
    );
}
