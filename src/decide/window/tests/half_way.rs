//! Items 58 and 59: what closes between two units.

use super::{at, once, window};
use crate::decide::window::{Between, HoldsLeft, Resume, Underway, between_units, resume};
use crate::model::window::{Closing, Day, Occurrence, Overrun, Window};
use jiff::Timestamp;
use jiff::civil::time;

const BERLIN: &str = "Europe/Berlin";

/// 03:00 to 05:00; in summer 01:00 to 03:00 UTC.
fn nights(days: &[Day], overrun: Option<Overrun>) -> Window {
    Window {
        overrun,
        ..window(days, time(3, 0, 0, 0), time(5, 0, 0, 0))
    }
}

fn of_four(done: usize, hold: Option<HoldsLeft>) -> Underway {
    Underway { done, units: 4, hold }
}

fn between(window: &Window, underway: Underway, now: &str) -> Between {
    between_units(Some(window), BERLIN, underway, at(now))
}

const OPEN: &str = "2026-06-01T02:59:59Z";
const ENDED: &str = "2026-06-01T03:00:00Z";

#[test]
fn item_58_each_rule_at_the_end_of_an_opening() {
    let holds = Some(HoldsLeft::One);
    let (hold, back) = (Between::Hold(Closing::Ended), Between::Back(Closing::Ended));
    for (overrun, done, can_hold, expected) in [
        // By default: half is enough to finish, less waits.
        (None, 1, holds, hold.clone()),
        (None, 2, holds, Between::GoOn),
        (None, 3, holds, Between::GoOn),
        // It was held before: not a second night.
        (None, 1, Some(HoldsLeft::None), back.clone()),
        // An engine that goes on by itself cannot be held.
        (None, 1, None, Between::GoOn),
        (Some(Overrun::Hold), 1, None, Between::GoOn),
        (Some(Overrun::Finish), 1, holds, Between::GoOn),
        (Some(Overrun::Hold), 3, holds, hold),
        (Some(Overrun::Hold), 3, Some(HoldsLeft::None), back.clone()),
        (Some(Overrun::Revert), 3, holds, back.clone()),
        (Some(Overrun::Revert), 3, None, back),
    ] {
        let window = nights(&Day::ALL, overrun);
        let underway = of_four(done, can_hold);
        assert_eq!(between(&window, underway, ENDED), expected, "{overrun:?} {underway:?}");
        assert_eq!(
            between(&window, underway, OPEN),
            Between::GoOn,
            "still open: {overrun:?}"
        );
    }
}

/// Half of an odd number is not a whole one.
#[test]
fn half_is_enough_to_finish() {
    let window = nights(&Day::ALL, None);
    for (done, units, expected) in [
        (1, 1, Between::GoOn),
        (1, 2, Between::GoOn),
        (1, 3, Between::Hold(Closing::Ended)),
        (2, 3, Between::GoOn),
        (2, 5, Between::Hold(Closing::Ended)),
        (3, 5, Between::GoOn),
    ] {
        let hold = Some(HoldsLeft::One);
        let underway = Underway { done, units, hold };
        assert_eq!(between(&window, underway, ENDED), expected, "{done} of {units}");
    }
}

#[test]
fn item_59_a_blackout_that_begins_half_way_holds_whatever_the_rule() {
    let denied = Closing::Denied {
        why: Some("sale".to_owned()),
    };
    let frozen = Closing::Frozen { why: "sale".to_owned() };
    let now = "2026-06-01T02:00:00Z";
    for (overrun, done, can_hold, expected) in [
        (
            None,
            1,
            Some(HoldsLeft::One),
            Some(Between::Hold as fn(Closing) -> Between),
        ),
        (None, 3, Some(HoldsLeft::One), Some(Between::Hold)),
        (Some(Overrun::Finish), 3, Some(HoldsLeft::One), Some(Between::Hold)),
        (Some(Overrun::Revert), 3, Some(HoldsLeft::One), Some(Between::Back)),
        // Cannot be held: what is nearly done is finished, the rest goes back.
        (None, 1, None, Some(Between::Back)),
        (None, 2, None, None),
        (Some(Overrun::Finish), 1, None, Some(Between::Back)),
    ] {
        let mut window = nights(&Day::ALL, overrun);
        window.closed = vec![once("2026-06-01T04:00", "2026-06-01T05:00", "sale")];
        let underway = of_four(done, can_hold);
        let answer = |closing: &Closing| expected.map_or(Between::GoOn, |make| make(closing.clone()));
        assert_eq!(
            between(&window, underway, now),
            answer(&denied),
            "{overrun:?} {underway:?}"
        );
        // A freeze that is set half-way does the same.
        let mut window = nights(&Day::ALL, overrun);
        window.freeze = Some("sale".to_owned());
        assert_eq!(
            between(&window, underway, now),
            answer(&frozen),
            "{overrun:?} {underway:?}"
        );
    }
}

#[test]
fn nothing_is_held_over_a_weekend() {
    // Friday night; the next opening is that of Monday.
    let working = [Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri];
    let friday = "2026-06-05T03:00:00Z";
    let window = nights(&working, None);
    assert_eq!(
        between(&window, of_four(1, Some(HoldsLeft::One)), friday),
        Between::Back(Closing::Ended)
    );
    let every_night = nights(&Day::ALL, None);
    assert_eq!(
        between(&every_night, of_four(1, Some(HoldsLeft::One)), friday),
        Between::Hold(Closing::Ended)
    );
    // The window was taken out of the configuration.
    assert_eq!(
        between_units(None, BERLIN, of_four(1, Some(HoldsLeft::One)), at(friday)),
        Between::Back(Closing::Ended)
    );
}

fn entered() -> Occurrence {
    Occurrence {
        day: "2026-06-01".parse().unwrap(),
        from: time(3, 0, 0, 0),
        zone: BERLIN.to_owned(),
    }
}

fn held(window: &Window, closing: &Closing, now: &str) -> Resume {
    resume(Some(window), BERLIN, (closing, at(ENDED)), Some(&entered()), at(now))
}

fn wait(until: &str) -> Resume {
    Resume::Wait { until: at(until) }
}

#[test]
fn a_held_rollout_goes_on_in_the_next_opening_or_back() {
    let window = nights(&Day::ALL, None);
    let next = "2026-06-02T01:00:00Z";
    let on_tuesday = Resume::Now(Occurrence {
        day: "2026-06-02".parse().unwrap(),
        ..entered()
    });
    assert_eq!(held(&window, &Closing::Ended, ENDED), wait(next));
    // The clock was set back: the opening that ended does not open again.
    assert_eq!(held(&window, &Closing::Ended, "2026-06-01T02:00:00Z"), wait(next));
    assert_eq!(held(&window, &Closing::Ended, next), on_tuesday);
    // lowtide was down during the next opening.
    assert_eq!(held(&window, &Closing::Ended, "2026-06-02T14:59:59Z"), Resume::Back);
    assert_eq!(held(&window, &Closing::Ended, "2026-06-02T15:00:00Z"), Resume::Back);
    assert_eq!(
        resume(None, BERLIN, (&Closing::Ended, at(ENDED)), Some(&entered()), at(next)),
        Resume::Back,
        "the window was taken out"
    );
}

#[test]
fn a_deny_in_the_middle_ends_within_the_same_opening() {
    let mut window = nights(&Day::ALL, None);
    window.closed = vec![once("2026-06-01T04:00", "2026-06-01T04:30", "backup")];
    let denied = Closing::Denied {
        why: Some("backup".to_owned()),
    };
    let since: Timestamp = at("2026-06-01T02:00:00Z");
    let asked = |now: &str| resume(Some(&window), BERLIN, (&denied, since), Some(&entered()), at(now));
    assert_eq!(asked("2026-06-01T02:00:00Z"), wait("2026-06-01T02:30:00Z"));
    assert_eq!(asked("2026-06-01T02:30:00Z"), Resume::Now(entered()));
}

#[test]
fn a_freeze_holds_a_night_and_a_day_and_not_longer() {
    let mut window = nights(&Day::ALL, None);
    window.freeze = Some("sale".to_owned());
    let frozen = Closing::Frozen { why: "sale".to_owned() };
    let limit = "2026-06-02T15:00:00Z";
    assert_eq!(held(&window, &frozen, "2026-06-02T01:00:00Z"), wait(limit));
    assert_eq!(held(&window, &frozen, limit), Resume::Back);
    // Lifted: it goes on where the window is open, the same opening included.
    window.freeze = None;
    assert_eq!(held(&window, &frozen, "2026-06-01T02:59:00Z"), Resume::Now(entered()));
}
