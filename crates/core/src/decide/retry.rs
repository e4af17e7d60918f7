//! When to try again.

use jiff::SignedDuration;
use lowtide_model::failure::Fault;

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
    use proptest::prelude::*;

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
