//! State of a channel, folded from its app's events.

use super::{ChannelState, Unpromoted};
use crate::decide::{notify, retry};
use jiff::Timestamp;
use lowtide_model::failure::Failure;
use lowtide_model::name::RunId;

impl Unpromoted {
    /// When the promotion is retried automatically; `None`: only on request, in the next night, or after a restart or a
    /// configuration change.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        if self.attempts == 0 {
            return Some(self.at);
        }
        // Any number that differs from channel to channel.
        let seed = self.since.as_millisecond().unsigned_abs();
        retry::due(self.attempts, &self.failure, self.at, seed)
    }
}

impl ChannelState {
    pub(super) fn fill(&mut self, release: RunId) {
        self.failing = None;
        if self.current != Some(release) {
            self.previous = self.current.replace(release);
        }
    }

    pub(super) fn fail(&mut self, release: RunId, since: Timestamp, failure: &Failure, at: Timestamp) {
        self.failing = Some(Box::new(self.failed(release, since, failure, at)));
    }

    /// State after a failed attempt: when it is retried, and whether people are notified.
    #[must_use]
    pub fn failed(&self, release: RunId, since: Timestamp, failure: &Failure, at: Timestamp) -> Unpromoted {
        let known = self.failing.as_deref();
        // Attempts are counted per release: the obstacle of the last one may not exist for another.
        let attempts = known
            .filter(|known| known.release == release)
            .map_or(0, |known| known.attempts);
        let mut failing = Unpromoted {
            release,
            since,
            failure: failure.clone(),
            at,
            attempts: attempts.saturating_add(1),
            told: known.and_then(|known| known.told.clone()),
        };
        if failing.due().is_none() {
            failing.told.get_or_insert_with(|| notify::trouble(failure));
        }
        failing
    }

    pub(super) fn again(&mut self) {
        if let Some(failing) = &mut self.failing {
            failing.attempts = 0;
        }
    }
}
