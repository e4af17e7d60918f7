//! Forgetting: ended streams and delivered notices past their time. Open ones and app streams stay.

use super::database::Store;
use super::error::StoreError;
use jiff::Timestamp;
use rusqlite::params;

impl Store {
    /// Deletes runs and rollouts that closed before `before`, and notices delivered before it. Returns how many streams.
    ///
    /// # Errors
    /// `Database`.
    pub async fn forget(&self, before: Timestamp) -> Result<usize, StoreError> {
        self.write(move |transaction| {
            let before = before.to_string();
            transaction.execute(
                "DELETE FROM events WHERE stream IN (SELECT id FROM streams WHERE kind != 'app' AND closed < ?1)",
                params![before],
            )?;
            let streams = transaction.execute(
                "DELETE FROM streams WHERE kind != 'app' AND closed < ?1",
                params![before],
            )?;
            transaction.execute(
                "DELETE FROM outbox WHERE state = 'delivered' AND delivered < ?1",
                params![before],
            )?;
            Ok(streams)
        })
        .await
    }
}
