//! App streams never end, so that they are shortened: a checkpoint stands for all facts before it, and those may go.

use super::database::Store;
use super::error::StoreError;
use super::journal::{Batch, app_streams, append, events_from, last_seq, parse_app, recorded, stamp};
use super::sql;
use jiff::Timestamp;
use lowtide_core::fleet::app_state::{AppEvent, FleetEvent};
use lowtide_model::journal::Recorded;
use lowtide_model::name::AppName;
use rusqlite::params;
use std::sync::Arc;

/// Streams per transaction: an event of the journal waits for no more of them.
const AT_ONCE: usize = 50;

impl Store {
    /// Writes a checkpoint into each app stream for which `wants` returns true, given the number of facts since its
    /// last checkpoint. `checkpoint` builds it from that checkpoint and those facts, in the transaction that reads
    /// them. Returns the number of checkpoints.
    ///
    /// # Errors
    /// `Unreadable` when an event cannot be read by this version; `Fenced`; `Database`.
    pub async fn checkpoint_apps(
        &self,
        wants: fn(u64) -> bool,
        checkpoint: impl Fn(Vec<Recorded<AppEvent>>) -> AppEvent + Send + Sync + 'static,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let due = self.query(move |connection| {
            let mut due = Vec::new();
            for (stream, app, from) in app_streams(connection)? {
                if wants(facts(from, last_seq(connection, &stream)?)) {
                    due.push((stream, app));
                }
            }
            Ok(due)
        });
        let due: Vec<(String, AppName)> = due.await?;
        let term = self.term();
        let checkpoint = Arc::new(checkpoint);
        for some in due.chunks(AT_ONCE) {
            let some = some.to_vec();
            let checkpoint = Arc::clone(&checkpoint);
            self.write(move |transaction| {
                for (stream, app) in some {
                    let sql = transaction.prepare_cached(sql::CHECKPOINT);
                    let from: i64 = sql?.query_row([&stream], |row| row.get(0))?;
                    let facts = events_from(transaction, &stream, from)?;
                    // Not before what it stands for, should the clock have been set back since.
                    let at = facts.last().map_or(now, |last| last.at.max(now));
                    append(transaction, Batch::new().app(&app, &checkpoint(facts)), at, term)?;
                    let seq = last_seq(transaction, &stream)?;
                    transaction
                        .prepare_cached(sql::SET_CHECKPOINT)?
                        .execute(params![stream, seq])?;
                }
                Ok(())
            })
            .await?;
        }
        Ok(due.len())
    }

    /// Deletes facts older than `facts` that a checkpoint replaces, superseded checkpoints, and audit log entries older
    /// than `audit`. Returns the number of deleted events.
    ///
    /// # Errors
    /// `Fenced`, `Database`.
    pub async fn trim_apps(&self, facts: Timestamp, audit: Timestamp) -> Result<usize, StoreError> {
        // Looked for beside the writer: most streams have nothing, and a transaction costs a write to the disk.
        let found = self.query(move |connection| {
            let mut some = connection.prepare_cached(sql::TRIMS_APP)?;
            let mut found = Vec::new();
            for (stream, _, from) in app_streams(connection)? {
                if from > 1 && some.exists(params![stream, stamp(facts)])? {
                    found.push(stream);
                }
            }
            Ok((
                found,
                connection.prepare_cached(sql::TRIMS_AUDIT)?.exists([stamp(audit)])?,
            ))
        });
        let (shortened, audited): (Vec<String>, bool) = found.await?;
        let mut gone = 0;
        for some in shortened.chunks(AT_ONCE) {
            let some = some.to_vec();
            gone += self
                .write(move |transaction| {
                    let mut trim = transaction.prepare_cached(sql::TRIM_APP)?;
                    let mut gone = 0;
                    for stream in some {
                        gone += trim.execute(params![stream, stamp(facts)])?;
                    }
                    Ok(gone)
                })
                .await?;
        }
        if audited {
            self.write(move |transaction| Ok(transaction.execute(sql::DELETE_AUDIT, [stamp(audit)])?))
                .await?;
        }
        Ok(gone)
    }

    /// What people did to apps, and what was held back and why, since then, oldest first.
    ///
    /// # Errors
    /// `Unreadable` when an event cannot be read by this version.
    pub async fn audit(&self, since: Timestamp) -> Result<Vec<(AppName, Recorded<AppEvent>)>, StoreError> {
        self.query(move |connection| {
            let mut statement = connection.prepare_cached(sql::AUDIT)?;
            let mut found = statement.query([stamp(since)])?;
            let mut audit = Vec::new();
            while let Some(row) = found.next()? {
                let app = row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?;
                audit.push((parse_app(app)?, recorded(row)?));
            }
            Ok(audit)
        })
        .await
    }

    /// What operators did to the whole fleet since then, oldest first.
    ///
    /// # Errors
    /// `Unreadable` when an event cannot be read by this version.
    pub async fn fleet_audit(&self, since: Timestamp) -> Result<Vec<Recorded<FleetEvent>>, StoreError> {
        self.query(move |connection| {
            let mut statement = connection.prepare_cached(sql::FLEET_AUDIT)?;
            let mut found = statement.query([stamp(since)])?;
            let mut audit = Vec::new();
            while let Some(row) = found.next()? {
                audit.push(recorded(row)?);
            }
            Ok(audit)
        })
        .await
    }

    /// Records in the audit log what an operator did to the whole fleet.
    ///
    /// # Errors
    /// `Database`.
    pub async fn record_fleet(&self, event: FleetEvent, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |transaction| {
            let body = serde_json::to_string(&event).map_err(|e| StoreError::Unreadable {
                what: "event to write",
                why: e.to_string(),
            })?;
            let row = params![None::<&str>, 0, stamp(now), body];
            transaction.prepare_cached(sql::INSERT_AUDIT)?.execute(row)?;
            Ok(())
        })
        .await
    }
}

/// Events after the checkpoint, which itself is none; of a stream without one, all.
fn facts(from: i64, last: i64) -> u64 {
    let checkpoint = i64::from(from > 1);
    u64::try_from(last + 1 - from - checkpoint).unwrap_or(0)
}
