//! Detects drift: does a target still run what its last rollout left there? Drift is only reported. lowtide assumes
//! that the change was deliberate and restores the release only on request.

use super::app_state::TargetState;
use crate::model::app_state::AppEvent;
use crate::model::drift::{Drift, Placed, Sighted, is_same_service_image};
use crate::model::name::TargetName;

/// What differs; `None`: nothing does.
#[must_use]
pub fn compare(placed: &Placed, sighted: &Sighted) -> Option<Drift> {
    let (others, of): (Vec<&str>, usize) = match (placed, sighted) {
        (Placed::Containers { image }, Sighted::Containers(found)) => {
            let others = found.iter().filter(|container| container.image != *image);
            (others.map(|container| container.named.as_str()).collect(), found.len())
        }
        (Placed::Services { image }, Sighted::Services(found)) => {
            let others = found.iter().filter(|runs| !is_same_service_image(runs, image));
            (others.map(String::as_str).collect(), found.len())
        }
        // The target's kind has changed since its last rollout: there is nothing to compare until the next one.
        (Placed::Containers { .. }, Sighted::Services(_)) | (Placed::Services { .. }, Sighted::Containers(_)) => {
            return None;
        }
    };
    match others.first() {
        None if of == 0 => Some(Drift::Gone),
        None => None,
        Some(image) => Some(Drift::Runs {
            image: (*image).to_owned(),
            others: others.len(),
            of,
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
