//! How many rollouts move something at once, in the fleet and on one host. One that bakes moves nothing, and holds no slot.

use lowtide_model::name::HostName;
use lowtide_model::policy::Limits;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// See the module.
#[derive(Debug, Default)]
pub struct RolloutSlots {
    working: Mutex<BTreeMap<HostName, usize>>,
    freed: Notify,
}

/// Held for as long as a rollout moves something.
#[derive(Debug)]
#[must_use]
pub struct RolloutSlot {
    of: Arc<RolloutSlots>,
    host: HostName,
}

impl RolloutSlots {
    /// Waits for a slot on this host. `limits` is called each time: the configuration may have changed meanwhile.
    pub async fn take(self: &Arc<Self>, host: &HostName, limits: impl Fn() -> Limits) -> RolloutSlot {
        loop {
            // Registered before the check, so that a slot freed after it is not missed.
            let freed = self.freed.notified();
            if let Some(slot) = self.try_take(host, limits()) {
                return slot;
            }
            freed.await;
        }
    }

    /// The limits may be others now.
    pub fn look_again(&self) {
        self.freed.notify_waiters();
    }

    fn try_take(self: &Arc<Self>, host: &HostName, limits: Limits) -> Option<RolloutSlot> {
        let mut working = self.working.lock().unwrap_or_else(PoisonError::into_inner);
        let fleet: usize = working.values().sum();
        let here = working.get(host).copied().unwrap_or_default();
        if fleet >= limits.rollouts.max(1) || here >= limits.rollouts_per_host.max(1) {
            return None;
        }
        *working.entry(host.clone()).or_default() += 1;
        Some(RolloutSlot {
            of: Arc::clone(self),
            host: host.clone(),
        })
    }
}

impl Drop for RolloutSlot {
    fn drop(&mut self) {
        let mut working = self.of.working.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(here) = working.get_mut(&self.host) {
            *here -= 1;
        }
        working.retain(|_, here| *here > 0);
        drop(working);
        // All of them: the next in line may wait for another host.
        self.of.look_again();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::poll;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn limits(rollouts: usize, rollouts_per_host: usize) -> Limits {
        Limits {
            runs: 1,
            rollouts,
            rollouts_per_host,
            min_free_disk: 0,
        }
    }

    fn host(name: &str) -> HostName {
        name.parse().unwrap()
    }

    #[tokio::test]
    async fn a_host_and_the_fleet_have_their_own_limits() {
        let slots = Arc::new(RolloutSlots::default());
        let (a, b, c) = (host("a"), host("b"), host("c"));
        let most = limits(2, 1);
        let on_a = slots.try_take(&a, most).unwrap();
        assert!(slots.try_take(&a, most).is_none(), "one per host");
        let on_b = slots.try_take(&b, most).unwrap();
        assert!(slots.try_take(&c, most).is_none(), "two in the fleet");
        drop(on_a);
        assert!(slots.try_take(&b, most).is_none());
        let on_c = slots.try_take(&c, most).unwrap();
        drop((on_b, on_c));
        assert!(slots.working.lock().unwrap().is_empty(), "nothing is kept of a host");
        assert!(
            slots.try_take(&a, limits(0, 0)).is_some(),
            "there is always room for one"
        );
    }

    #[tokio::test]
    async fn who_waits_for_another_host_takes_no_ones_turn() {
        let slots = Arc::new(RolloutSlots::default());
        let (a, b) = (host("a"), host("b"));
        let most = || limits(8, 1);
        let (on_a, on_b) = (slots.take(&a, most).await, slots.take(&b, most).await);
        let mut next_on_a = Box::pin(slots.take(&a, most));
        let mut next_on_b = Box::pin(slots.take(&b, most));
        assert!(poll!(&mut next_on_a).is_pending() && poll!(&mut next_on_b).is_pending());
        drop(on_b);
        assert!(poll!(&mut next_on_a).is_pending());
        assert!(poll!(&mut next_on_b).is_ready());
        drop(on_a);
        assert!(poll!(&mut next_on_a).is_ready());
    }

    #[tokio::test]
    async fn another_limit_is_in_force_at_once() {
        let slots = Arc::new(RolloutSlots::default());
        let a = host("a");
        let per_host = AtomicUsize::new(1);
        let most = || limits(8, per_host.load(Ordering::Relaxed));
        let _one = slots.take(&a, most).await;
        let mut two = Box::pin(slots.take(&a, most));
        let mut three = Box::pin(slots.take(&a, most));
        assert!(poll!(&mut two).is_pending() && poll!(&mut three).is_pending());
        per_host.store(3, Ordering::Relaxed);
        slots.look_again();
        assert!(poll!(&mut two).is_ready() && poll!(&mut three).is_ready());
    }
}
