//! Wakes rollouts that wait. A night journals thousands of effects while a thousand rollouts wait for their windows, so a fact about one
//! app wakes only that app's rollouts.

use lowtide_model::name::AppName;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// A notifier for each app that has ever had a waiting rollout.
#[derive(Debug, Default)]
pub struct Wakeups(Mutex<BTreeMap<AppName, Arc<Notify>>>);

impl Wakeups {
    /// The notifier that an app's waiting rollouts listen to.
    #[must_use]
    pub fn of(&self, app: &AppName) -> Arc<Notify> {
        Arc::clone(self.notifiers().entry(app.clone()).or_default())
    }

    /// Wakes the waiting rollouts of one app.
    pub fn wake(&self, app: &AppName) {
        if let Some(notifier) = self.notifiers().get(app) {
            notifier.notify_waiters();
        }
    }

    /// Wakes all waiting rollouts.
    pub fn wake_all(&self) {
        for notifier in self.notifiers().values() {
            notifier.notify_waiters();
        }
    }

    fn notifiers(&self) -> MutexGuard<'_, BTreeMap<AppName, Arc<Notify>>> {
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
        let wakeups = Wakeups::default();
        let (web, shop) = (wakeups.of(&name("web")), wakeups.of(&name("shop")));
        let (mut web, mut shop) = (pin!(web.notified()), pin!(shop.notified()));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(web.as_mut().poll(&mut cx).is_pending());
        assert!(shop.as_mut().poll(&mut cx).is_pending());
        wakeups.wake(&name("none"));
        wakeups.wake(&name("web"));
        assert_eq!(web.as_mut().poll(&mut cx), Poll::Ready(()));
        assert!(shop.as_mut().poll(&mut cx).is_pending());
        wakeups.wake_all();
        assert_eq!(shop.as_mut().poll(&mut cx), Poll::Ready(()));
    }
}
