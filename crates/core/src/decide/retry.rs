//! When to try again.

use jiff::{SignedDuration, Timestamp};
use lowtide_model::failure::{Failure, Fault};

/// Attempts in all, the first included. With the pauses below they span about an hour and a half: longer than a
/// registry's or an engine's restart, shorter than a night.
const ATTEMPTS: u32 = 8;
/// Pause after the first failed attempt.
const FIRST: SignedDuration = SignedDuration::from_mins(1);
const LONGEST: SignedDuration = SignedDuration::from_mins(30);
/// A mail server may be down over a weekend; a try once a day costs nothing.
const OUTBOX_LONGEST: SignedDuration = SignedDuration::from_hours(24);
/// Spread around the pause, in percent each way: apps that failed together do not retry together.
const JITTER_PERCENT: u64 = 20;

/// How long to wait after the `attempt`-th attempt (the first is 1) failed by `fault`; `None`: not again by itself.
/// Doubles from 1 min to 30 min, ± 20 % taken from `seed`.
///
/// Only infrastructure faults are retried: a fault of the repository, the operator or lowtide itself would recur.
#[must_use]
pub fn after(attempt: u32, fault: Fault, seed: u64) -> Option<SignedDuration> {
    match fault {
        Fault::Infra if attempt < ATTEMPTS => Some(jittered(doubled(attempt, LONGEST), attempt, seed)),
        Fault::Infra | Fault::Repo | Fault::Operator | Fault::Bug => None,
    }
}

/// When an attempt is repeated that failed at `failed`; `None`: not by itself. The pause begins when the other side takes
/// requests again, if it said so: what waits for one registry does not ask it all at once.
#[must_use]
pub fn due(attempt: u32, failure: &Failure, failed: Timestamp, seed: u64) -> Option<Timestamp> {
    let pause = after(attempt, failure.fault(), seed)?;
    let from = failure.not_before.map_or(failed, |named| named.max(failed));
    Some(from.saturating_add(pause).unwrap_or(Timestamp::MAX))
}

/// How long a notification waits after the `attempt`-th failed delivery (the first is 1): doubles from 1 min to 24 h.
/// Retries never stop: an undelivered notification stays in the outbox and is not lost.
#[must_use]
pub fn outbox_after(attempt: u32) -> SignedDuration {
    doubled(attempt, OUTBOX_LONGEST)
}

fn doubled(attempt: u32, longest: SignedDuration) -> SignedDuration {
    let factor = 1_i32.checked_shl(attempt.saturating_sub(1)).filter(|f| *f > 0);
    factor
        .and_then(|factor| FIRST.checked_mul(factor))
        .map_or(longest, |pause| pause.min(longest))
}

fn jittered(pause: SignedDuration, attempt: u32, seed: u64) -> SignedDuration {
    let percent = 100 - JITTER_PERCENT + mixed(seed ^ u64::from(attempt)) % (2 * JITTER_PERCENT + 1);
    // Both factors are small (30 min × 120): no overflow.
    SignedDuration::from_millis(pause.as_secs() * 10 * i64::try_from(percent).unwrap_or(100))
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): neighbouring seeds give unrelated numbers.
fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowtide_model::failure::FailureKind;
    use proptest::prelude::*;

    #[test]
    fn an_attempt_waits_for_the_time_that_the_other_side_named() {
        let failed: Timestamp = "2026-11-06T02:00:00Z".parse().unwrap();
        let busy = Failure::new(FailureKind::RegistryBusy, "x");
        let minutes =
            |attempt, failure: &Failure| Some(due(attempt, failure, failed, 7)?.duration_since(failed).as_mins());
        let named = |minutes| busy.clone().not_before(failed + SignedDuration::from_mins(minutes));
        let usual = minutes(4, &busy).unwrap();
        assert!((6..=9).contains(&usual), "{usual}");
        assert_eq!(minutes(4, &named(300)), Some(300 + usual));
        assert_eq!(minutes(4, &named(-300)), Some(usual));
        assert_eq!(minutes(ATTEMPTS, &named(300)), None);
        let denied = Failure::new(FailureKind::RegistryDenied, "x").not_before(failed);
        assert_eq!(minutes(1, &denied), None);
        assert_eq!(due(4, &named(1), Timestamp::MAX, 7), Some(Timestamp::MAX));
    }

    #[test]
    fn pauses_double_up_to_their_cap() {
        let minutes: Vec<_> = (1..10).map(|n| doubled(n, LONGEST).as_mins()).collect();
        assert_eq!(minutes, [1, 2, 4, 8, 16, 30, 30, 30, 30]);
        let minutes: Vec<_> = [1, 2, 3, 10, 11, 12, 31, 32, 33, u32::MAX]
            .map(|n| outbox_after(n).as_mins())
            .to_vec();
        assert_eq!(minutes, [1, 2, 4, 512, 1024, 1440, 1440, 1440, 1440, 1440]);
    }

    #[test]
    fn only_infra_faults_are_tried_again_and_not_for_ever() {
        for fault in [Fault::Repo, Fault::Operator, Fault::Bug] {
            assert_eq!(after(1, fault, 7), None, "{fault:?}");
        }
        assert!(after(7, Fault::Infra, 7).is_some());
        assert_eq!(after(8, Fault::Infra, 7), None);
        assert_eq!(after(u32::MAX, Fault::Infra, 7), None);
    }

    #[test]
    fn seeds_spread_the_pauses() {
        let pauses: std::collections::BTreeSet<_> = (0..100).filter_map(|s| after(1, Fault::Infra, s)).collect();
        assert!(pauses.len() > 20, "{}", pauses.len());
    }

    proptest! {
        #[test]
        fn jitter_stays_within_a_fifth(attempt in 1_u32..8, seed: u64) {
            let pause = after(attempt, Fault::Infra, seed).unwrap().as_millis();
            let plain = doubled(attempt, LONGEST).as_millis();
            prop_assert!(pause * 10 >= plain * 8 && pause * 10 <= plain * 12, "{pause} for {plain}");
            prop_assert_eq!(after(attempt, Fault::Infra, seed), after(attempt, Fault::Infra, seed));
        }
    }
}
