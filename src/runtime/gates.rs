//! What waiting rollouts listen to. A night journals thousands of effects while a thousand rollouts wait for their windows: a fact about
//! one app wakes the rollouts of that app only.

use crate::model::name::AppName;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// One bell for each app of which a rollout has waited.
#[derive(Debug, Default)]
pub struct Gates(Mutex<BTreeMap<AppName, Arc<Notify>>>);

impl Gates {
    /// The bell of an app. Whoever listens looks again after each ring.
    #[must_use]
    pub fn of(&self, app: &AppName) -> Arc<Notify> {
        Arc::clone(self.bells().entry(app.clone()).or_default())
    }

    /// Something that an app's rollouts wait for has changed.
    pub fn ring(&self, app: &AppName) {
        if let Some(bell) = self.bells().get(app) {
            bell.notify_waiters();
        }
    }

    /// Something that all rollouts wait for has changed.
    pub fn ring_all(&self) {
        for bell in self.bells().values() {
            bell.notify_waiters();
        }
    }

    fn bells(&self) -> MutexGuard<'_, BTreeMap<AppName, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    #[test]
    fn a_fact_about_one_app_wakes_its_own_rollouts() {
        let name = |text: &str| text.parse::<AppName>().unwrap();
        let gates = Gates::default();
        let (web, shop) = (gates.of(&name("web")), gates.of(&name("shop")));
        let (mut web, mut shop) = (pin!(web.notified()), pin!(shop.notified()));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(web.as_mut().poll(&mut cx).is_pending());
        assert!(shop.as_mut().poll(&mut cx).is_pending());
        gates.ring(&name("none"));
        gates.ring(&name("web"));
        assert_eq!(web.as_mut().poll(&mut cx), Poll::Ready(()));
        assert!(shop.as_mut().poll(&mut cx).is_pending());
        gates.ring_all();
        assert_eq!(shop.as_mut().poll(&mut cx), Poll::Ready(()));
    }
}
