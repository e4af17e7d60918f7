//! Responses about the whole fleet are computed once for all concurrent requests.

use crate::runtime::bot::Bot;
use crate::store::error::StoreError;
use bytes::Bytes;
use lowtide_model::trouble::Trouble;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// How long a response with relative times may be reused while nothing has changed.
const FRESH: Duration = Duration::from_secs(2);
/// The same for a response without times. It has a limit too, because an opening window changes it.
const STEADY: Duration = Duration::from_secs(60);

/// The cached response of one kind. While one request computes it, the others wait for the result.
pub(super) struct Shared {
    lasts: Duration,
    last: Mutex<Option<Made>>,
}

struct Made {
    of: State,
    text: Bytes,
}

/// What a response was computed from: the journal, the changes that the supervisor decides by and what is counted for
/// monitoring (all three only grow), the problems around the bot, and the time.
#[derive(Clone)]
pub(super) struct State {
    written: u64,
    changes: u64,
    counted: u64,
    troubles: Vec<Trouble>,
    at: Instant,
}

impl State {
    pub(super) fn of(bot: &Bot) -> Self {
        Self {
            written: bot.store.written(),
            changes: bot.changes(),
            counted: bot.counters.counted(),
            troubles: bot.troubles.all(),
            at: Instant::now(),
        }
    }

    /// Is a response that was computed from `earlier` still valid?
    fn bears(&self, earlier: &Self, lasts: Duration) -> bool {
        let moved = |state: &Self| (state.written, state.changes, state.counted);
        let same = moved(self) == moved(earlier);
        same && self.troubles == earlier.troubles && self.at.duration_since(earlier.at) < lasts
    }
}

impl Shared {
    /// For a response that shows how long ago something was, or when it will be.
    pub(super) fn of_times() -> Self {
        Self {
            lasts: FRESH,
            last: Mutex::default(),
        }
    }

    /// For a response that does not.
    pub(super) fn of_counts() -> Self {
        Self {
            lasts: STEADY,
            last: Mutex::default(),
        }
    }

    /// The current response: the cached one, if nothing has changed since, else what `make` computes. `state` is read
    /// before `make` begins, so a change meanwhile is in the next response.
    pub(super) async fn get(
        &self,
        state: impl FnOnce() -> State,
        make: impl Future<Output = Result<String, StoreError>>,
    ) -> Result<Bytes, StoreError> {
        let mut last = self.last.lock().await;
        let of = state();
        if let Some(made) = last.as_ref().filter(|made| of.bears(&made.of, self.lasts)) {
            return Ok(made.text.clone());
        }
        let text = Bytes::from(make.await?);
        *last = Some(Made { of, text: text.clone() });
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test]
    async fn a_response_is_made_once_for_all_and_anew_when_something_changes() {
        let shared = Shared::of_times();
        let made = Cell::new(0);
        let make = || async {
            tokio::task::yield_now().await;
            made.set(made.get() + 1);
            Ok(made.get().to_string())
        };
        let at = Instant::now();
        let state = |written, changes| State {
            written,
            changes,
            counted: 0,
            troubles: Vec::new(),
            at,
        };
        let request = |of: State| shared.get(move || of, make());
        let (a, b, c) = tokio::join!(request(state(1, 1)), request(state(1, 1)), request(state(1, 1)));
        assert_eq!([a.unwrap(), b.unwrap(), c.unwrap()], ["1", "1", "1"]);
        assert_eq!(request(state(2, 1)).await.unwrap(), "2", "the journal went on");
        assert_eq!(
            request(state(2, 2)).await.unwrap(),
            "3",
            "a pause, another configuration"
        );
        assert_eq!(request(state(2, 2)).await.unwrap(), "3");
        let later = State {
            at: at + FRESH,
            ..state(2, 2)
        };
        assert_eq!(request(later).await.unwrap(), "4", "what it said of times is old");
        let blind = State {
            troubles: vec![Trouble::ConfigurationUnread],
            ..state(2, 2)
        };
        assert_eq!(request(blind).await.unwrap(), "5", "something is wrong around it");
        let counted = State {
            counted: 1,
            ..state(2, 2)
        };
        assert_eq!(
            request(counted).await.unwrap(),
            "6",
            "counted after the journal was written"
        );
    }

    #[tokio::test]
    async fn counts_stay_until_something_changes() {
        let shared = Shared::of_counts();
        let state = |after| State {
            written: 1,
            changes: 1,
            counted: 0,
            troubles: Vec::new(),
            at: Instant::now() + after,
        };
        let request = |after, text: &str| {
            let (of, text) = (state(after), text.to_owned());
            shared.get(move || of, async { Ok(text) })
        };
        assert_eq!(request(Duration::ZERO, "a").await.unwrap(), "a");
        assert_eq!(request(FRESH * 5, "b").await.unwrap(), "a");
        assert_eq!(request(STEADY + FRESH, "c").await.unwrap(), "c");
    }

    #[tokio::test]
    async fn a_failed_response_is_not_shared() {
        let shared = Shared::of_times();
        let of = State {
            written: 1,
            changes: 1,
            counted: 0,
            troubles: Vec::new(),
            at: Instant::now(),
        };
        let state = || of.clone();
        let failed = shared.get(state, async { Err(StoreError::Closed) }).await;
        assert!(matches!(failed, Err(StoreError::Closed)));
        let made = shared.get(state, async { Ok("well".to_owned()) }).await;
        assert_eq!(made.unwrap(), "well");
    }
}
