//! Detects drift: does a target still run what its last rollout left there? Drift is only reported. lowtide assumes
//! that the change was deliberate and restores the release only on request.

use super::app_state::TargetState;
use crate::fleet::app_state::AppEvent;
use crate::fleet::app_state::Placed;
use crate::kinds::list::KindName;
use lowtide_model::drift::{Drift, Sighted};
use lowtide_model::name::TargetName;

/// What differs; `None`: nothing does. `kind`: the target's.
#[must_use]
pub fn compare(placed: &Placed, kind: KindName, sighted: &[Sighted]) -> Option<Drift> {
    // The target's kind has changed since its last rollout: there is nothing to compare until the next one.
    if placed.kind != kind {
        return None;
    }
    let differs = |seen: &&Sighted| !kind.is_same_image(&seen.image, &placed.image);
    let others: Vec<&Sighted> = sighted.iter().filter(differs).collect();
    match others.first() {
        None if sighted.is_empty() => Some(Drift::Gone),
        None => None,
        Some(first) => Some(Drift::Runs {
            image: first.named.clone(),
            others: others.len(),
            of: sighted.len(),
        }),
    }
}

/// Records a change of drift only when two observations in a row agree. A single one may fall between the stop of a
/// container and the start of its replacement, as during `docker compose up -d`.
#[must_use]
pub fn learnt(
    target: &TargetName,
    state: &TargetState,
    before: Option<&Option<Drift>>,
    now: &Option<Drift>,
) -> Option<AppEvent> {
    let known = state.drift.as_ref().map(|(_, drift)| drift);
    let (rollout, _) = state.placed.as_ref()?;
    let news = state.open.is_none() && before == Some(now) && known != now.as_ref();
    news.then(|| AppEvent::Drifted {
        target: target.clone(),
        rollout: *rollout,
        drift: now.clone(),
    })
}

#[cfg(test)]
#[path = "drift_tests.rs"]
mod tests;
