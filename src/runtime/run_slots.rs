//! How many runs work at once, whoever opened them: a schedule, a parent, or a person with ten names on one line.

use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// See the module.
#[derive(Debug, Default)]
pub struct RunSlots {
    working: Mutex<usize>,
    freed: Notify,
}

/// Held for as long as a run works; not while it waits.
#[derive(Debug)]
#[must_use]
pub struct RunSlot(Arc<RunSlots>);

impl RunSlots {
    /// A slot, unless `most` runs work already.
    pub fn try_take(self: &Arc<Self>, most: usize) -> Option<RunSlot> {
        let mut working = self.working.lock().unwrap_or_else(PoisonError::into_inner);
        if *working >= most.max(1) {
            return None;
        }
        *working += 1;
        Some(RunSlot(Arc::clone(self)))
    }

    /// Waits for one. `most` is called each time: the configuration may have changed meanwhile.
    pub async fn take(self: &Arc<Self>, most: impl Fn() -> usize) -> RunSlot {
        loop {
            let freed = self.freed.notified();
            if let Some(slot) = self.try_take(most()) {
                // Where the limit was raised there may be room for the next as well.
                self.freed.notify_one();
                return slot;
            }
            freed.await;
        }
    }
}

impl Drop for RunSlot {
    fn drop(&mut self) {
        *self.0.working.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::poll;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Poll;

    #[tokio::test]
    async fn no_more_runs_work_than_the_limit_says() {
        let slots = Arc::new(RunSlots::default());
        let (one, two) = (slots.try_take(2).unwrap(), slots.try_take(2).unwrap());
        assert!(slots.try_take(2).is_none());
        let mut third = Box::pin(slots.take(|| 2));
        let mut fourth = Box::pin(slots.take(|| 2));
        assert!(poll!(&mut third).is_pending() && poll!(&mut fourth).is_pending());
        drop(one);
        let Poll::Ready(third) = poll!(&mut third) else {
            panic!("a slot is free");
        };
        assert!(poll!(&mut fourth).is_pending());
        drop((two, third));
        assert!(poll!(&mut fourth).is_ready());
    }

    #[tokio::test]
    async fn whoever_gives_up_waiting_takes_no_ones_turn() {
        let slots = Arc::new(RunSlots::default());
        let one = slots.try_take(1).unwrap();
        let mut gone = Box::pin(slots.take(|| 1));
        let mut next = Box::pin(slots.take(|| 1));
        assert!(poll!(&mut gone).is_pending() && poll!(&mut next).is_pending());
        drop(one);
        drop(gone);
        assert!(poll!(&mut next).is_ready());
    }

    #[tokio::test]
    async fn a_raised_limit_lets_all_in_that_fit() {
        let slots = Arc::new(RunSlots::default());
        let most = AtomicUsize::new(1);
        let limit = || most.load(Ordering::Relaxed);
        let one = slots.try_take(limit()).unwrap();
        let mut others: Vec<_> = (0..3).map(|_| Box::pin(slots.take(limit))).collect();
        for other in &mut others {
            assert!(poll!(other).is_pending());
        }
        most.store(3, Ordering::Relaxed);
        drop(one);
        let mut held = Vec::new();
        for other in &mut others {
            if let Poll::Ready(slot) = poll!(other) {
                held.push(slot);
            }
        }
        assert_eq!(held.len(), 3);
    }

    #[tokio::test]
    async fn there_is_always_room_for_one() {
        assert!(Arc::new(RunSlots::default()).try_take(0).is_some());
    }
}
