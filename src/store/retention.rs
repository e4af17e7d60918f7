//! Forgetting: ended streams, notices and evidence past their time. Open streams stay; those of apps are shortened
//! (`checkpoint`).

use super::database::Store;
use super::error::StoreError;
use super::evidence;
use super::journal::stamp;
use super::sql;
use jiff::Timestamp;
use lowtide_model::image::ContentDigest;
use lowtide_model::journal::Stream;
use std::collections::BTreeSet;

/// Streams deleted per transaction. Bounded, because appending the next event waits for it.
const AT_ONCE: usize = 200;
/// The same of evidence: an inventory has hundreds of pieces.
const EVIDENCE_AT_ONCE: usize = 20;

/// What was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Forgotten {
    /// Runs and rollouts.
    pub streams: usize,
    /// Pending notices that became too old to be worth delivering.
    pub undelivered: u64,
}

impl Store {
    /// Deletes runs and rollouts that closed before `before`, but for those in `retained`, and notices created before it.
    ///
    /// # Errors
    /// `Database`.
    pub async fn forget(&self, before: Timestamp, retained: BTreeSet<Stream>) -> Result<Forgotten, StoreError> {
        let past = stamp(before);
        let retained_ids: BTreeSet<String> = retained.iter().map(ToString::to_string).collect();
        let found = self.query(move |connection| {
            let mut old = connection.prepare_cached(sql::CLOSED_BEFORE)?;
            let ids = old.query_map([past], |row| row.get::<_, String>(0))?;
            Ok(ids.collect::<Result<Vec<_>, _>>()?)
        });
        let old: Vec<String> = found
            .await?
            .into_iter()
            .filter(|id| !retained_ids.contains(id))
            .collect();
        for some in old.chunks(AT_ONCE) {
            let some = some.to_vec();
            self.write(move |transaction| {
                for id in &some {
                    for sql in [
                        // While its row still says which of them it is.
                        sql::DISCOUNT_ENDED,
                        sql::DELETE_NEWEST,
                        sql::DELETE_EVENTS,
                        sql::DELETE_SNAPSHOTS,
                        sql::DELETE_STREAM,
                    ] {
                        transaction.prepare_cached(sql)?.execute([id])?;
                    }
                }
                transaction.prepare_cached(sql::DELETE_ENDED)?.execute([])?;
                Ok(())
            })
            .await?;
        }
        let past = stamp(before);
        let undelivered = self.write(move |transaction| {
            let undelivered: i64 = transaction.query_row(sql::OLD_NOTICES, [&past], |row| row.get(0))?;
            transaction.execute(sql::DELETE_NOTICES, [&past])?;
            Ok(u64::try_from(undelivered).unwrap_or(0))
        });
        Ok(Forgotten {
            streams: old.len(),
            undelivered: undelivered.await?,
        })
    }

    /// Deletes evidence older than `before` but for these contents. Returns how many contents.
    ///
    /// # Errors
    /// `Database`.
    pub async fn forget_evidence(
        &self,
        before: Timestamp,
        retained: BTreeSet<ContentDigest>,
    ) -> Result<usize, StoreError> {
        let past = stamp(before);
        let cutoff = past.clone();
        let found = self.query(move |connection| {
            let mut old = connection.prepare_cached(sql::OLD_EVIDENCE)?;
            let contents = old.query_map([cutoff], |row| row.get::<_, String>(0))?;
            Ok(contents.collect::<Result<BTreeSet<_>, _>>()?)
        });
        let retained_ids: BTreeSet<&str> = retained.iter().map(ContentDigest::as_str).collect();
        let old = found.await?;
        let old: Vec<String> = old
            .into_iter()
            .filter(|content| !retained_ids.contains(content.as_str()))
            .collect();
        for some in old.chunks(EVIDENCE_AT_ONCE) {
            let (some, past) = (some.to_vec(), past.clone());
            self.write(move |transaction| {
                for content in &some {
                    // An entry that was stored again since then stays.
                    evidence::delete(transaction, sql::DELETE_EVIDENCE, [content, &past])?;
                }
                Ok(())
            })
            .await?;
        }
        Ok(old.len())
    }

    /// Names of the sealed files that any rollout of the journal speaks of.
    ///
    /// # Errors
    /// `Database`.
    pub async fn snapshots(&self) -> Result<BTreeSet<String>, StoreError> {
        self.query(|connection| {
            let mut statement = connection.prepare_cached(sql::SNAPSHOTS)?;
            let names = statement.query_map([], |row| row.get(0))?;
            Ok(names.collect::<Result<_, _>>()?)
        })
        .await
    }
}
