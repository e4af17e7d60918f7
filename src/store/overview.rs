//! Questions that look at many streams at once: what `status`, `history` and the metrics ask.

use super::database::Store;
use super::error::StoreError;
use super::journal::{StreamRow, decode, parse_time, rows};
use crate::model::journal::Recorded;
use crate::model::name::{AppName, RunId};
use crate::model::run::RunEvent;
use jiff::Timestamp;
use rusqlite::params;

/// How many ended runs of an app the journal still holds, by how they ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub app: AppName,
    /// `released`, `unchanged`, `observed`, `failed`, `cancelled`.
    pub conclusion: String,
    pub runs: u64,
    /// When the newest of them ended.
    pub last: Timestamp,
}

impl Store {
    /// The newest runs, newest first; of one app, or of all.
    ///
    /// # Errors
    /// `Database`.
    pub async fn recent_runs(&self, app: Option<AppName>, limit: u32) -> Result<Vec<StreamRow>, StoreError> {
        self.call(move |connection| {
            rows(
                connection,
                "SELECT id, app, opened, closed FROM streams WHERE kind = 'run' AND (?1 IS NULL OR app = ?1) \
                 ORDER BY opened DESC, id DESC LIMIT ?2",
                params![app.map(String::from), limit],
            )
        })
        .await
    }

    /// The newest run of each app.
    ///
    /// # Errors
    /// `Database`.
    pub async fn last_runs(&self) -> Result<Vec<StreamRow>, StoreError> {
        self.call(|connection| {
            // With a lone max(), SQLite takes the bare columns from the row that has it (lang_select.html, 2.5).
            let sql = "SELECT id, app, max(opened), closed FROM streams WHERE kind = 'run' GROUP BY app";
            rows(connection, sql, params![])
        })
        .await
    }

    /// Runs and rollouts whose id ends in `end`, in either case; at most `limit`. An `end` that no id can have finds none.
    ///
    /// # Errors
    /// `Database`.
    pub async fn streams_ending(&self, end: &str, limit: u32) -> Result<Vec<StreamRow>, StoreError> {
        if end.is_empty() || !end.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Ok(Vec::new());
        }
        let pattern = format!("%{}", end.to_ascii_uppercase());
        self.call(move |connection| {
            rows(
                connection,
                "SELECT id, app, opened, closed FROM streams WHERE kind != 'app' AND id LIKE ?1 ORDER BY opened DESC LIMIT ?2",
                params![pattern, limit],
            )
        })
        .await
    }

    /// The first and the last event of a run: why it began, and how it ended.
    ///
    /// # Errors
    /// `Unreadable` when an event cannot be read by this version.
    pub async fn run_ends(&self, id: RunId) -> Result<Vec<Recorded<RunEvent>>, StoreError> {
        self.call(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT seq, body, at FROM events WHERE stream = ?1 \
                 AND (seq = 1 OR seq = (SELECT max(seq) FROM events WHERE stream = ?1)) ORDER BY seq",
            )?;
            let found = statement.query_map([format!("run/{id}")], |row| {
                Ok((
                    row.get::<_, i64>(0)?,
                    row.get::<_, String>(1)?,
                    row.get::<_, String>(2)?,
                ))
            })?;
            found
                .map(|row| {
                    let (seq, body, at) = row?;
                    decode(seq, &body, &at)
                })
                .collect()
        })
        .await
    }

    /// # Errors
    /// `Database`, `Unreadable`.
    pub async fn ended_runs(&self) -> Result<Vec<Ended>, StoreError> {
        self.call(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT s.app, coalesce(json_extract(e.body, '$.conclusion.conclusion'), ''), count(*), max(s.closed) \
                 FROM streams s JOIN events e ON e.stream = s.id \
                 AND e.seq = (SELECT max(seq) FROM events WHERE stream = s.id) \
                 WHERE s.kind = 'run' AND s.closed IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2",
            )?;
            let found = statement.query_map([], |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, String>(1)?,
                    row.get::<_, i64>(2)?,
                    row.get::<_, String>(3)?,
                ))
            })?;
            found
                .map(|row| {
                    let (app, conclusion, runs, last) = row?;
                    Ok(Ended {
                        app: app.parse().map_err(|_| StoreError::Unreadable {
                            what: "app name",
                            why: app.clone(),
                        })?,
                        conclusion,
                        runs: runs as u64,
                        last: parse_time(&last)?,
                    })
                })
                .collect()
        })
        .await
    }
}
