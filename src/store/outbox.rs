//! Notifications to deliver: at least once, one row per cause.

use super::database::Store;
use super::error::StoreError;
use super::journal::{parse_time, stamp};
use super::sql;
use jiff::Timestamp;
use lowtide_core::channels::list::{Address, Notice};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

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
    /// Never tried again; shown as BLIND in the daily report.
    Dead {
        error: String,
    },
}

pub(super) fn enqueue(transaction: &Transaction<'_>, notice: &Notice, now: Timestamp) -> Result<(), StoreError> {
    let body = serde_json::to_string(notice).map_err(|e| StoreError::Unreadable {
        what: "notice to write",
        why: e.to_string(),
    })?;
    transaction.prepare_cached(sql::ENQUEUE)?.execute(params![
        notice.keys.dedup,
        notice.keys.thread,
        body,
        stamp(now)
    ])?;
    Ok(())
}

impl Store {
    /// Notices with a `wanted` address, due by `now`, oldest first, at most `limit`. Those that are not due take no place.
    ///
    /// # Errors
    /// `Unreadable` when a notice cannot be read by this version.
    pub async fn due_notices(
        &self,
        now: Timestamp,
        limit: usize,
        wanted: fn(&Address) -> bool,
    ) -> Result<Vec<Pending>, StoreError> {
        self.call(move |connection| {
            let mut statement = connection.prepare_cached(sql::PENDING)?;
            let mut rows = statement.query([])?;
            let mut due = Vec::new();
            while let Some(row) = rows.next()? {
                let next = parse_time(&row.get::<_, String>(2)?)?;
                if next > now {
                    continue;
                }
                let notice = read(&row.get::<_, String>(0)?)?;
                if !wanted(&notice.address) {
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
            let mut statement = connection.prepare_cached(sql::FIRST_OF_THREAD)?;
            let first: Option<String> = statement.query_row([thread], |row| row.get(0)).optional()?;
            Ok(first.is_some_and(|first| first != dedup))
        })
        .await
    }

    /// # Errors
    /// `Database`.
    pub async fn record_delivery(&self, dedup: String, delivery: Delivery, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |transaction| {
            match delivery {
                Delivery::Delivered => transaction.execute(sql::DELIVERED, params![dedup, stamp(now)])?,
                Delivery::Later { at, error } => {
                    transaction.execute(sql::DELIVER_LATER, params![dedup, stamp(at), error])?
                }
                Delivery::Dead { error } => transaction.execute(sql::DEAD, params![dedup, error])?,
            };
            Ok(())
        })
        .await
    }

    /// Dead notices, and undelivered ones after more than two failed attempts: what people have not received.
    ///
    /// # Errors
    /// `Database`.
    pub async fn undelivered(&self) -> Result<Vec<String>, StoreError> {
        self.query(|connection| {
            let mut statement = connection.prepare_cached(sql::UNDELIVERED)?;
            let rows = statement.query_map([], |row| {
                Ok(format!("{}: {}", row.get::<_, String>(0)?, row.get::<_, String>(1)?))
            })?;
            rows.map(|row| row.map_err(StoreError::from)).collect()
        })
        .await
    }

    /// Notices that wait.
    ///
    /// # Errors
    /// `Database`.
    pub async fn pending_notices(&self) -> Result<u64, StoreError> {
        self.query(count_pending).await
    }
}

pub(super) fn count_pending(connection: &Connection) -> Result<u64, StoreError> {
    let mut statement = connection.prepare_cached(sql::COUNT_PENDING)?;
    let count: i64 = statement.query_row([], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

fn read(body: &str) -> Result<Notice, StoreError> {
    serde_json::from_str(body).map_err(|e| StoreError::Unreadable {
        what: "notice",
        why: e.to_string(),
    })
}
