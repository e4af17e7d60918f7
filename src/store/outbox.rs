//! Notifications to deliver: at least once, one row per cause.

use super::database::Store;
use super::error::StoreError;
use super::journal::parse_time;
use crate::model::notice::{Audience, Notice};
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};

/// A notice that waits for delivery.
#[derive(Debug, Clone, PartialEq)]
pub struct Pending {
    pub notice: Notice,
    /// Deliveries tried so far.
    pub attempts: u32,
    pub next: Timestamp,
}

/// How a delivery ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    Delivered,
    /// Tried again at the given time.
    Later {
        at: Timestamp,
        error: String,
    },
    /// Never tried again; shown as BLIND in the digest.
    Dead {
        error: String,
    },
}

pub(super) fn enqueue(transaction: &Transaction<'_>, notice: &Notice, now: Timestamp) -> Result<(), StoreError> {
    let body = serde_json::to_string(notice).map_err(|e| StoreError::Unreadable {
        what: "notice to write",
        why: e.to_string(),
    })?;
    transaction.execute(
        "INSERT OR IGNORE INTO outbox (dedup, thread, body, created, state, next) VALUES (?1, ?2, ?3, ?4, 'pending', ?4)",
        params![notice.dedup, notice.thread, body, now.to_string()],
    )?;
    Ok(())
}

impl Store {
    /// Notices of a `wanted` audience due by `now`, oldest first, at most `limit`. Those that are not due take no place.
    ///
    /// # Errors
    /// `Unreadable` when a notice cannot be read by this version.
    pub async fn due_notices(
        &self,
        now: Timestamp,
        limit: usize,
        wanted: fn(&Audience) -> bool,
    ) -> Result<Vec<Pending>, StoreError> {
        self.call(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT body, attempts, next FROM outbox WHERE state = 'pending' ORDER BY created, dedup",
            )?;
            let mut rows = statement.query([])?;
            let mut due = Vec::new();
            while let Some(row) = rows.next()? {
                let next = parse_time(&row.get::<_, String>(2)?)?;
                if next > now {
                    continue;
                }
                let notice = read(&row.get::<_, String>(0)?)?;
                if !wanted(&notice.audience) {
                    continue;
                }
                due.push(Pending {
                    notice,
                    attempts: row.get(1)?,
                    next,
                });
                if due.len() == limit {
                    break;
                }
            }
            Ok(due)
        })
        .await
    }

    /// Does an older notice of the same thread still wait for its delivery?
    ///
    /// # Errors
    /// `Database`.
    pub async fn is_behind(&self, thread: String, dedup: String) -> Result<bool, StoreError> {
        self.call(move |connection| {
            let first: Option<String> = connection
                .query_row(
                    "SELECT dedup FROM outbox WHERE state = 'pending' AND thread = ?1 ORDER BY created, dedup LIMIT 1",
                    [thread],
                    |row| row.get(0),
                )
                .optional()?;
            Ok(first.is_some_and(|first| first != dedup))
        })
        .await
    }

    /// # Errors
    /// `Database`.
    pub async fn record_delivery(&self, dedup: String, delivery: Delivery, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |transaction| {
            match delivery {
                Delivery::Delivered => transaction.execute(
                    "UPDATE outbox SET state = 'delivered', delivered = ?2, error = NULL WHERE dedup = ?1",
                    params![dedup, now.to_string()],
                )?,
                Delivery::Later { at, error } => transaction.execute(
                    "UPDATE outbox SET attempts = attempts + 1, next = ?2, error = ?3 WHERE dedup = ?1",
                    params![dedup, at.to_string(), error],
                )?,
                Delivery::Dead { error } => transaction.execute(
                    "UPDATE outbox SET state = 'dead', attempts = attempts + 1, error = ?2 WHERE dedup = ?1",
                    params![dedup, error],
                )?,
            };
            Ok(())
        })
        .await
    }

    /// Adds notices that no event causes (the daily digest).
    ///
    /// # Errors
    /// `Database`.
    pub async fn enqueue(&self, notice: Notice, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |transaction| enqueue(transaction, &notice, now)).await
    }

    /// When a notice whose `dedup` begins with `prefix` was last created.
    ///
    /// # Errors
    /// `Database`.
    pub async fn last_notice(&self, prefix: &str) -> Result<Option<Timestamp>, StoreError> {
        let pattern = format!("{prefix}%");
        self.call(move |connection| {
            let text: Option<String> = connection
                .query_row(
                    "SELECT max(created) FROM outbox WHERE dedup LIKE ?1",
                    [pattern],
                    |row| row.get(0),
                )
                .optional()?
                .flatten();
            text.as_deref().map(parse_time).transpose()
        })
        .await
    }

    /// Dead notices and those that have been tried in vain: what people have not heard.
    ///
    /// # Errors
    /// `Database`.
    pub async fn undelivered(&self) -> Result<Vec<String>, StoreError> {
        self.call(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT dedup, coalesce(error, '') FROM outbox WHERE state = 'dead' OR (state = 'pending' AND attempts > 2) \
                 ORDER BY created LIMIT 50",
            )?;
            let rows = statement.query_map([], |row| {
                Ok(format!("{}: {}", row.get::<_, String>(0)?, row.get::<_, String>(1)?))
            })?;
            rows.map(|row| row.map_err(StoreError::from)).collect()
        })
        .await
    }

    /// Notices that wait, for metrics.
    ///
    /// # Errors
    /// `Database`.
    pub async fn pending_notices(&self) -> Result<u64, StoreError> {
        self.call(|connection| {
            let count: i64 =
                connection.query_row("SELECT count(*) FROM outbox WHERE state = 'pending'", [], |row| {
                    row.get(0)
                })?;
            Ok(count as u64)
        })
        .await
    }
}

fn read(body: &str) -> Result<Notice, StoreError> {
    serde_json::from_str(body).map_err(|e| StoreError::Unreadable {
        what: "notice",
        why: e.to_string(),
    })
}
