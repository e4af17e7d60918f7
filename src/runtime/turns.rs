//! Mutual exclusion: runs, rollouts and promotions work side by side; lowtide's own replacement works alone.

use crate::model::name::RolloutId;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// See the module.
#[derive(Default)]
pub struct Turns {
    lock: Arc<RwLock<()>>,
    /// The turn of a replacement that was under way when this process took the state: no other work may start before
    /// it.
    reserved: Mutex<Option<(RolloutId, OwnedRwLockWriteGuard<()>)>>,
}

/// Held while a run, a rollout or a promotion works.
pub enum Turn {
    Shared(OwnedRwLockReadGuard<()>),
    Alone(OwnedRwLockWriteGuard<()>),
}

impl Turns {
    /// Waits while lowtide is being replaced.
    pub async fn share(&self) -> Turn {
        Turn::Shared(Arc::clone(&self.lock).read_owned().await)
    }

    /// The exclusive turn; `None` while other work is in progress. It does not queue: a queued writer would block new
    /// work.
    #[must_use]
    pub fn alone(&self, rollout: RolloutId) -> Option<Turn> {
        let mut reserved = self.reserved.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, turn)) = reserved.take_if(|(id, _)| *id == rollout) {
            return Some(Turn::Alone(turn));
        }
        Arc::clone(&self.lock).try_write_owned().ok().map(Turn::Alone)
    }

    /// Takes the exclusive turn for this rollout, before any other work is started.
    pub fn reserve(&self, rollout: RolloutId) {
        let turn = Arc::clone(&self.lock).try_write_owned().ok();
        *self.reserved.lock().unwrap_or_else(PoisonError::into_inner) = turn.map(|turn| (rollout, turn));
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
        let turns = Turns::default();
        let (one, other) = (turns.share().await, turns.share().await);
        assert!(turns.alone(id(1)).is_none());
        drop(one);
        assert!(turns.alone(id(1)).is_none() && !turns.is_alone());
        drop(other);
        let alone = turns.alone(id(1));
        assert!(alone.is_some() && turns.is_alone());
        let mut waits = Box::pin(turns.share());
        assert!(futures_util::poll!(&mut waits).is_pending());
        drop(alone);
        assert!(futures_util::poll!(&mut waits).is_ready());
    }

    #[tokio::test]
    async fn what_was_under_way_has_its_turn_kept() {
        let turns = Turns::default();
        turns.reserve(id(1));
        assert!(turns.is_alone());
        assert!(turns.alone(id(2)).is_none());
        turns.release(id(2));
        assert!(turns.is_alone());
        assert!(turns.alone(id(1)).is_some());
        assert!(!turns.is_alone());
    }

    /// The old one finds the replacement rolled back, and nothing left to do.
    #[tokio::test]
    async fn what_ends_without_a_step_frees_its_turn() {
        let turns = Turns::default();
        turns.reserve(id(1));
        turns.release(id(1));
        assert!(!turns.is_alone());
    }
}
