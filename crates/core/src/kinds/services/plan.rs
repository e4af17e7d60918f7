//! What is requested of Swarm, and how long it may take.

use super::model::{OnFailure, ServiceUnit, UpdateKnobs};
use jiff::SignedDuration;

/// For Swarm's own fixed waits around each task: 2 s before the signal, 10 s of grace, the scheduler.
const MARGIN: SignedDuration = SignedDuration::from_secs(15);
/// Images are pre-pulled, so this covers only the manifest, or a node that joined later.
const PULL: SignedDuration = SignedDuration::from_mins(2);
/// On the way back a task must run for this long. The old image has proved itself before.
const BACK_SETTLE: SignedDuration = SignedDuration::from_secs(5);

/// How long a task of the new image must run before it counts.
pub(super) fn settle(startup: SignedDuration) -> SignedDuration {
    // One second: Swarm's own clock ticks are no finer.
    startup.max(SignedDuration::from_secs(1))
}

pub(super) fn back_settle() -> SignedDuration {
    BACK_SETTLE
}

/// One task in ten at once, and each is watched before the next.
pub(super) fn knobs(unit: &ServiceUnit, startup: SignedDuration) -> UpdateKnobs {
    UpdateKnobs {
        parallelism: (unit.size() / 10).max(1),
        delay: settle(startup),
        monitor: settle(startup),
        order: unit.order,
        on_failure: OnFailure::Pause,
    }
}

/// A third of the tasks at once: a fast rollback matters most, and the tasks that still serve go on serving.
pub(super) fn back_knobs(unit: &ServiceUnit) -> UpdateKnobs {
    UpdateKnobs {
        parallelism: (unit.size() / 3).max(1),
        delay: SignedDuration::ZERO,
        monitor: BACK_SETTLE,
        order: unit.order,
        on_failure: OnFailure::Continue,
    }
}

/// One and a half times what all tasks one after the other would take at their slowest.
pub(super) fn limit(unit: &ServiceUnit, startup: SignedDuration) -> SignedDuration {
    let one = PULL + startup + settle(startup) + MARGIN;
    let size = i32::try_from(unit.size()).unwrap_or(i32::MAX);
    let all = one.saturating_mul(size);
    all.saturating_add(all / 2)
}
