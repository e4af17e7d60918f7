//! Decides which process may take the state while lowtide is being replaced. The waiting processes cannot read the
//! journal; they go by the hand-over record.

use jiff::{SignedDuration, Timestamp};
use lowtide_model::handover::{Handover, StateOwner};

/// The intended owner gets this much time before the others try. After a reboot all processes start at once, and the
/// deadline may be long past.
const HEAD_START: SignedDuration = SignedDuration::from_secs(20);

/// What a `serve` process that does not hold the state does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtStart {
    /// No hand-over concerns it: it tries to take the state, and exits if another lowtide holds it.
    Ordinary,
    /// It tries to take the state until it succeeds.
    Try,
    /// It stands by.
    StandBy,
}

/// `role`: of the process's own container; `up`: when the process began to wait.
#[must_use]
pub fn at_start(handover: Option<&Handover>, role: Option<StateOwner>, up: Timestamp, now: Timestamp) -> AtStart {
    let Some(handover) = handover else {
        return AtStart::Ordinary;
    };
    let past = now >= handover.deadline.max(up + HEAD_START);
    match role {
        Some(role) if role == handover.to || past => AtStart::Try,
        None if past => AtStart::Ordinary,
        Some(_) | None => AtStart::StandBy,
    }
}

/// Container of the new lowtide, if the update helper must stop it: the state was handed to it, and the rollout is overdue.
#[must_use]
pub fn hangs(handover: &Handover, role: Option<StateOwner>, now: Timestamp) -> Option<&str> {
    let must_stop = role == Some(StateOwner::Helper) && handover.to == StateOwner::New && now >= handover.overdue;
    handover.new.as_deref().filter(|_| must_stop)
}

/// May this process restore the database copy that was made at the hand-over? Only processes of the image that wrote
/// the copy may.
#[must_use]
pub fn may_bring_back(handover: &Handover, role: Option<StateOwner>) -> bool {
    match role {
        Some(StateOwner::Old | StateOwner::Helper) => handover.tried.is_some(),
        Some(StateOwner::New) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowtide_model::name::RolloutId;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + second).unwrap()
    }

    fn handover(to: StateOwner) -> Handover {
        Handover {
            rollout: RolloutId(ulid::Ulid(9)),
            to,
            deadline: at(100),
            overdue: at(500),
            old: "o".to_owned(),
            helper: "k".to_owned(),
            new: Some("n".to_owned()),
            tried: (to == StateOwner::New).then(|| at(100)),
        }
    }

    #[test]
    fn who_may_try() {
        let to_new = handover(StateOwner::New);
        let table = [
            (Some("n"), 0, 1, AtStart::Try),
            (Some("k"), 0, 99, AtStart::StandBy),
            (Some("k"), 0, 100, AtStart::Try),
            // It came up late: the new one has its head start.
            (Some("k"), 200, 210, AtStart::StandBy),
            (Some("k"), 200, 220, AtStart::Try),
            (Some("o"), 0, 100, AtStart::Try),
            (Some("x"), 0, 99, AtStart::StandBy),
            (Some("x"), 0, 100, AtStart::Ordinary),
            (None, 0, 50, AtStart::StandBy),
        ];
        for (id, up, now, expected) in table {
            let role = id.and_then(|id: &str| to_new.role(id));
            assert_eq!(
                at_start(Some(&to_new), role, at(up), at(now)),
                expected,
                "{id:?} up {up} at {now}"
            );
        }
        assert_eq!(at_start(None, None, at(0), at(1000)), AtStart::Ordinary);
    }

    #[test]
    fn only_the_helper_ends_one_that_hangs_and_only_when_it_is_overdue() {
        let table = [
            (StateOwner::New, StateOwner::Helper, 500, Some("n")),
            (StateOwner::New, StateOwner::Helper, 499, None),
            (StateOwner::New, StateOwner::Old, 500, None),
            (StateOwner::New, StateOwner::New, 500, None),
            (StateOwner::Helper, StateOwner::Helper, 500, None),
            (StateOwner::Old, StateOwner::Helper, 500, None),
        ];
        for (to, role, now, expected) in table {
            assert_eq!(hangs(&handover(to), Some(role), at(now)), expected, "{to:?} {role:?}");
        }
    }

    #[test]
    fn only_who_wrote_the_copy_puts_it_back_and_only_after_the_new_one() {
        for to in [StateOwner::Old, StateOwner::Helper, StateOwner::New] {
            for role in [
                None,
                Some(StateOwner::Old),
                Some(StateOwner::Helper),
                Some(StateOwner::New),
            ] {
                for tried in [None, Some(at(100))] {
                    let handover = Handover { tried, ..handover(to) };
                    // Also when the new one gives the state back by itself.
                    let expected = tried.is_some() && matches!(role, Some(StateOwner::Old | StateOwner::Helper));
                    assert_eq!(may_bring_back(&handover, role), expected, "{to:?} {role:?} {tried:?}");
                }
            }
        }
    }
}
