//! May a rollout begin now? Only if it will be over, bake and way back included, before the opening ends.

use super::openings::{Stretch, stretches};
use super::{Opening, occurrence};
use jiff::{SignedDuration, Timestamp};
use lowtide_model::window::{Occurrence, Window};

/// How far ahead the best opening is searched. Less than a week, or next week's opening would always be as good as
/// today's.
const BEST_OF: SignedDuration = SignedDuration::from_hours(6 * 24);

/// May it begin?
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    Now {
        occurrence: Occurrence,
    },
    Later {
        opens: Timestamp,
    },
    /// No opening is as long as it needs.
    TooShort {
        needs: SignedDuration,
        longest: SignedDuration,
    },
    Frozen {
        why: String,
    },
    NoWindow,
    /// There is a window, and it never opens.
    Never,
}

/// Estimated duration of a rollout of `units` containers, each of which takes `unit` at most: the work, going by `past`
/// rollouts (without their bakes), plus the bake and a reserve for a rollback. Without past rollouts the limits count.
#[must_use]
pub fn estimate(unit: SignedDuration, bake: SignedDuration, units: usize, past: &[SignedDuration]) -> SignedDuration {
    let units = i32::try_from(units.max(1)).unwrap_or(i32::MAX);
    let limit = unit * units;
    let work = percentile_95(past).map_or(limit, |usual| usual * 3 / 2);
    work + bake + limit
}

/// By nearest rank: of up to 19 values the largest.
fn percentile_95(values: &[SignedDuration]) -> Option<SignedDuration> {
    let mut values = values.to_vec();
    values.sort_unstable();
    let rank = (values.len() * 95).div_ceil(100);
    values.get(rank.checked_sub(1)?).copied()
}

/// The first moment, from `now` on, at which something that takes `needs` may begin. `taken`: the opening in which it was
/// begun before, which is not used twice.
#[must_use]
pub fn start(
    window: Option<&Window>,
    zone: &str,
    needs: SignedDuration,
    taken: Option<&Occurrence>,
    now: Timestamp,
) -> Start {
    let window = match usable(window) {
        Ok(window) => window,
        Err(never) => return never,
    };
    let needs = window.cutoff.unwrap_or(needs);
    let mut longest: Option<SignedDuration> = None;
    for stretch in stretches(window, zone, now) {
        longest = longest.max(Some(stretch.end().duration_since(stretch.start())));
        if let Some((begin, opening)) = stretch.without(taken, now)
            && begin.saturating_add(needs).is_ok_and(|done| done <= stretch.end())
        {
            return at(begin, now, || occurrence(window, zone, &opening));
        }
    }
    longest.map_or(Start::Never, |longest| Start::TooShort { needs, longest })
}

/// As [`start`], for a rollout that has waited too long: the longest opening of the coming days, even if the rollout
/// does not fit.
#[must_use]
pub fn escalated(window: Option<&Window>, zone: &str, taken: Option<&Occurrence>, now: Timestamp) -> Start {
    let window = match usable(window) {
        Ok(window) => window,
        Err(never) => return never,
    };
    let horizon = now.saturating_add(BEST_OF).unwrap_or(Timestamp::MAX);
    let mut found = stretches(window, zone, now)
        .filter_map(|stretch: Stretch| Some((stretch.without(taken, now)?, stretch.end())))
        .peekable();
    let first = found.peek().copied();
    let whole = |opening: &Opening, end: Timestamp| end.duration_since(opening.start);
    let best = found
        .take_while(|((begin, _), _)| *begin < horizon)
        // An opening in progress counts at full length until half of it is over: otherwise the next one would always
        // win by a moment.
        .filter(|((begin, opening), end)| end.duration_since(*begin) * 2 >= whole(opening, *end))
        // Of equal ones the earliest.
        .min_by_key(|((_, opening), end)| std::cmp::Reverse(whole(opening, *end)));
    match best.or(first) {
        Some(((begin, opening), _)) => at(begin, now, || occurrence(window, zone, &opening)),
        None => Start::Never,
    }
}

fn usable(window: Option<&Window>) -> Result<&Window, Start> {
    let window = window.ok_or(Start::NoWindow)?;
    match &window.freeze {
        Some(why) => Err(Start::Frozen { why: why.clone() }),
        None => Ok(window),
    }
}

fn at(begin: Timestamp, now: Timestamp, occurrence: impl FnOnce() -> Occurrence) -> Start {
    if begin > now {
        Start::Later { opens: begin }
    } else {
        Start::Now {
            occurrence: occurrence(),
        }
    }
}
