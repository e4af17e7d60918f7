//! Forgetting: ended streams, delivered notices and evidence past their time. Open ones and app streams stay.

use super::database::Store;
use super::error::StoreError;
use crate::model::image::ContentDigest;
use crate::model::journal::Stream;
use jiff::Timestamp;
use rusqlite::params;
use std::collections::BTreeSet;

impl Store {
    /// Deletes runs and rollouts that closed before `before`, but for those in `keep`, and notices delivered before it.
    /// Returns how many streams.
    ///
    /// # Errors
    /// `Database`.
    pub async fn forget(&self, before: Timestamp, keep: BTreeSet<Stream>) -> Result<usize, StoreError> {
        self.write(move |transaction| {
            let before = before.to_string();
            let mut old = transaction.prepare("SELECT id FROM streams WHERE kind != 'app' AND closed < ?1")?;
            let ids = old.query_map([&before], |row| row.get::<_, String>(0))?;
            let ids: Vec<String> = ids.collect::<Result<_, _>>()?;
            let kept: BTreeSet<String> = keep.iter().map(ToString::to_string).collect();
            let mut streams = 0;
            for id in ids.iter().filter(|id| !kept.contains(*id)) {
                transaction.execute("DELETE FROM events WHERE stream = ?1", [id])?;
                streams += transaction.execute("DELETE FROM streams WHERE id = ?1", [id])?;
            }
            transaction.execute(
                "DELETE FROM outbox WHERE state = 'delivered' AND delivered < ?1",
                params![before],
            )?;
            Ok(streams)
        })
        .await
    }

    /// Deletes evidence older than `before` but for these contents. Returns how many rows.
    ///
    /// # Errors
    /// `Database`.
    pub async fn forget_evidence(&self, before: Timestamp, keep: BTreeSet<ContentDigest>) -> Result<usize, StoreError> {
        self.write(move |transaction| {
            let mut old = transaction.prepare("SELECT DISTINCT content FROM evidence WHERE at < ?1")?;
            let contents = old.query_map([before.to_string()], |row| row.get::<_, String>(0))?;
            let contents: Vec<String> = contents.collect::<Result<_, _>>()?;
            let mut gone = 0;
            for content in contents {
                if !keep.iter().any(|kept| kept.as_str() == content) {
                    gone += transaction.execute("DELETE FROM evidence WHERE content = ?1", [content])?;
                }
            }
            Ok(gone)
        })
        .await
    }

    /// Names of the sealed files that any rollout of the journal speaks of.
    ///
    /// # Errors
    /// `Database`.
    pub async fn snapshots(&self) -> Result<BTreeSet<String>, StoreError> {
        self.call(|connection| {
            let mut statement = connection.prepare(
                "SELECT DISTINCT value FROM events, json_tree(events.body) \
                 WHERE stream >= 'rollout/' AND stream < 'rollout0' AND body LIKE '%\"snapshot\"%' AND key = 'snapshot'",
            )?;
            let names = statement.query_map([], |row| row.get(0))?;
            Ok(names.collect::<Result<_, _>>()?)
        })
        .await
    }
}
