//! Items 58 and 59: what closes between two units.

use super::{at, once, window};
use crate::decide::window::{Between, Resume, SuspensionsLeft, Underway, between_units, resume};
use jiff::Timestamp;
use jiff::civil::time;
use lowtide_model::window::{Closing, Day, Occurrence, Overrun, Window};

const BERLIN: &str = "Europe/Berlin";

/// 03:00 to 05:00; in summer 01:00 to 03:00 UTC.
fn nights(days: &[Day], overrun: Option<Overrun>) -> Window {
    Window {
        overrun,
        ..window(days, time(3, 0, 0, 0), time(5, 0, 0, 0))
    }
}

fn of_four(done: usize, suspensions: Option<SuspensionsLeft>) -> Underway {
    Underway {
        done,
        units: 4,
        suspensions,
    }
}

fn between(window: &Window, underway: Underway, now: &str) -> Between {
    between_units(Some(window), BERLIN, underway, at(now))
}

const OPEN: &str = "2026-06-01T02:59:59Z";
const ENDED: &str = "2026-06-01T03:00:00Z";

#[test]
fn each_rule_at_the_end_of_an_opening() {
    let once = Some(SuspensionsLeft::One);
    let (suspend, back) = (Between::Suspend(Closing::Ended), Between::Back(Closing::Ended));
    for (overrun, done, suspensions, expected) in [
        // By default a rollout that is half done finishes; one with less done is suspended.
        (None, 1, once, suspend.clone()),
        (None, 2, once, Between::GoOn),
        (None, 3, once, Between::GoOn),
        // It was suspended before and is not suspended for a second night.
        (None, 1, Some(SuspensionsLeft::None), back.clone()),
        // An engine that goes on by itself cannot be suspended.
        (None, 1, None, Between::GoOn),
        (Some(Overrun::Suspend), 1, None, Between::GoOn),
        (Some(Overrun::Finish), 1, once, Between::GoOn),
        (Some(Overrun::Suspend), 3, once, suspend),
        (Some(Overrun::Suspend), 3, Some(SuspensionsLeft::None), back.clone()),
        (Some(Overrun::Revert), 3, once, back.clone()),
        (Some(Overrun::Revert), 3, None, back),
    ] {
        let window = nights(&Day::ALL, overrun);
        let underway = of_four(done, suspensions);
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
        (1, 3, Between::Suspend(Closing::Ended)),
        (2, 3, Between::GoOn),
        (2, 5, Between::Suspend(Closing::Ended)),
        (3, 5, Between::GoOn),
    ] {
        let suspensions = Some(SuspensionsLeft::One);
        let underway = Underway {
            done,
            units,
            suspensions,
        };
        assert_eq!(between(&window, underway, ENDED), expected, "{done} of {units}");
    }
}

#[test]
fn a_blackout_that_begins_half_way_suspends_whatever_the_rule() {
    let denied = Closing::Denied {
        why: Some("sale".to_owned()),
    };
    let frozen = Closing::Frozen { why: "sale".to_owned() };
    let now = "2026-06-01T02:00:00Z";
    for (overrun, done, suspensions, expected) in [
        (
            None,
            1,
            Some(SuspensionsLeft::One),
            Some(Between::Suspend as fn(Closing) -> Between),
        ),
        (None, 3, Some(SuspensionsLeft::One), Some(Between::Suspend)),
        (
            Some(Overrun::Finish),
            3,
            Some(SuspensionsLeft::One),
            Some(Between::Suspend),
        ),
        (
            Some(Overrun::Revert),
            3,
            Some(SuspensionsLeft::One),
            Some(Between::Back),
        ),
        // If suspension is impossible, a rollout that is at least half done finishes, any other rolls back.
        (None, 1, None, Some(Between::Back)),
        (None, 2, None, None),
        (Some(Overrun::Finish), 1, None, Some(Between::Back)),
    ] {
        let mut window = nights(&Day::ALL, overrun);
        window.closed = vec![once("2026-06-01T04:00", "2026-06-01T05:00", "sale")];
        let underway = of_four(done, suspensions);
        let outcome = |closing: &Closing| expected.map_or(Between::GoOn, |make| make(closing.clone()));
        assert_eq!(
            between(&window, underway, now),
            outcome(&denied),
            "{overrun:?} {underway:?}"
        );
        // A freeze that is set half-way does the same.
        let mut window = nights(&Day::ALL, overrun);
        window.freeze = Some("sale".to_owned());
        assert_eq!(
            between(&window, underway, now),
            outcome(&frozen),
            "{overrun:?} {underway:?}"
        );
    }
}

#[test]
fn nothing_is_suspended_over_a_weekend() {
    // Friday night; the next opening is that of Monday.
    let working = [Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri];
    let friday = "2026-06-05T03:00:00Z";
    let window = nights(&working, None);
    assert_eq!(
        between(&window, of_four(1, Some(SuspensionsLeft::One)), friday),
        Between::Back(Closing::Ended)
    );
    let every_night = nights(&Day::ALL, None);
    assert_eq!(
        between(&every_night, of_four(1, Some(SuspensionsLeft::One)), friday),
        Between::Suspend(Closing::Ended)
    );
    // The window was taken out of the configuration.
    assert_eq!(
        between_units(None, BERLIN, of_four(1, Some(SuspensionsLeft::One)), at(friday)),
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

fn suspended(window: &Window, closing: &Closing, now: &str) -> Resume {
    resume(Some(window), BERLIN, (closing, at(ENDED)), Some(&entered()), at(now))
}

fn wait(until: &str) -> Resume {
    Resume::Wait { until: at(until) }
}

#[test]
fn a_suspended_rollout_goes_on_in_the_next_opening_or_back() {
    let window = nights(&Day::ALL, None);
    let next = "2026-06-02T01:00:00Z";
    let on_tuesday = Resume::Now(Occurrence {
        day: "2026-06-02".parse().unwrap(),
        ..entered()
    });
    assert_eq!(suspended(&window, &Closing::Ended, ENDED), wait(next));
    // The clock was set back: the opening that ended does not open again.
    assert_eq!(suspended(&window, &Closing::Ended, "2026-06-01T02:00:00Z"), wait(next));
    assert_eq!(suspended(&window, &Closing::Ended, next), on_tuesday);
    // lowtide was down during the next opening.
    assert_eq!(
        suspended(&window, &Closing::Ended, "2026-06-02T14:59:59Z"),
        Resume::Back
    );
    assert_eq!(
        suspended(&window, &Closing::Ended, "2026-06-02T15:00:00Z"),
        Resume::Back
    );
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
    let resumed = |now: &str| resume(Some(&window), BERLIN, (&denied, since), Some(&entered()), at(now));
    assert_eq!(resumed("2026-06-01T02:00:00Z"), wait("2026-06-01T02:30:00Z"));
    assert_eq!(resumed("2026-06-01T02:30:00Z"), Resume::Now(entered()));
}

#[test]
fn a_freeze_suspends_for_a_night_and_a_day_and_not_longer() {
    let mut window = nights(&Day::ALL, None);
    window.freeze = Some("sale".to_owned());
    let frozen = Closing::Frozen { why: "sale".to_owned() };
    let limit = "2026-06-02T15:00:00Z";
    assert_eq!(suspended(&window, &frozen, "2026-06-02T01:00:00Z"), wait(limit));
    assert_eq!(suspended(&window, &frozen, limit), Resume::Back);
    // The freeze is lifted: the rollout resumes wherever the window is open, also in the same opening.
    window.freeze = None;
    assert_eq!(
        suspended(&window, &frozen, "2026-06-01T02:59:00Z"),
        Resume::Now(entered())
    );
}
