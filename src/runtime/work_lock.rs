//! Mutual exclusion: runs, rollouts and promotions work side by side; lowtide's own replacement works alone.

use lowtide_model::name::RolloutId;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// See the module.
#[derive(Default)]
pub struct WorkLock {
    lock: Arc<RwLock<()>>,
    /// The turn of a replacement that was under way when this process took the state: no other work may start before
    /// it.
    reserved: Mutex<Option<(RolloutId, OwnedRwLockWriteGuard<()>)>>,
}

/// Held while a run, a rollout or a promotion works.
pub enum WorkGuard {
    Shared(OwnedRwLockReadGuard<()>),
    Alone(OwnedRwLockWriteGuard<()>),
}

impl WorkLock {
    /// Waits while lowtide is being replaced.
    pub async fn share(&self) -> WorkGuard {
        WorkGuard::Shared(Arc::clone(&self.lock).read_owned().await)
    }

    /// The exclusive turn; `None` while other work is in progress. It does not queue: a queued writer would block new
    /// work.
    #[must_use]
    pub fn alone(&self, rollout: RolloutId) -> Option<WorkGuard> {
        let mut reserved = self.reserved.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, work_guard)) = reserved.take_if(|(id, _)| *id == rollout) {
            return Some(WorkGuard::Alone(work_guard));
        }
        Arc::clone(&self.lock).try_write_owned().ok().map(WorkGuard::Alone)
    }

    /// Takes the exclusive turn for this rollout, before any other work is started.
    pub fn reserve(&self, rollout: RolloutId) {
        let work_guard = Arc::clone(&self.lock).try_write_owned().ok();
        *self.reserved.lock().unwrap_or_else(PoisonError::into_inner) =
            work_guard.map(|work_guard| (rollout, work_guard));
    }

    /// Frees the reserved turn of a rollout that has ended, perhaps without a single step.
    pub fn release(&self, rollout: RolloutId) {
        let mut reserved = self.reserved.lock().unwrap_or_else(PoisonError::into_inner);
        reserved.take_if(|(id, _)| *id == rollout);
    }

    /// Is lowtide being replaced?
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.lock.try_read().is_err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> RolloutId {
        RolloutId(ulid::Ulid(n))
    }

    #[tokio::test]
    async fn the_last_in_the_queue_waits_for_all_and_then_all_wait_for_it() {
        let work_lock = WorkLock::default();
        let (one, other) = (work_lock.share().await, work_lock.share().await);
        assert!(work_lock.alone(id(1)).is_none());
        drop(one);
        assert!(work_lock.alone(id(1)).is_none() && !work_lock.is_alone());
        drop(other);
        let alone = work_lock.alone(id(1));
        assert!(alone.is_some() && work_lock.is_alone());
        let mut waits = Box::pin(work_lock.share());
        assert!(futures_util::poll!(&mut waits).is_pending());
        drop(alone);
        assert!(futures_util::poll!(&mut waits).is_ready());
    }

    #[tokio::test]
    async fn work_under_way_retains_its_turn() {
        let work_lock = WorkLock::default();
        work_lock.reserve(id(1));
        assert!(work_lock.is_alone());
        assert!(work_lock.alone(id(2)).is_none());
        work_lock.release(id(2));
        assert!(work_lock.is_alone());
        assert!(work_lock.alone(id(1)).is_some());
        assert!(!work_lock.is_alone());
    }

    /// The old one finds the replacement rolled back, and nothing left to do.
    #[tokio::test]
    async fn what_ends_without_a_step_frees_its_turn() {
        let work_lock = WorkLock::default();
        work_lock.reserve(id(1));
        work_lock.release(id(1));
        assert!(!work_lock.is_alone());
    }
}
