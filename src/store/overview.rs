//! Queries that read many streams at once: for `status`, `plan`, `history`, the pages and the metrics. They are
//! run beside the writer, each as of one moment.

use super::database::Store;
use super::error::StoreError;
use super::journal::{StreamRow, event, events, parse_app, parse_time, rows, stamp, stream_row};
use super::{outbox, revisions, sql};
use jiff::{SignedDuration, Timestamp};
use lowtide_core::fleet::rollout::RolloutEvent;
use lowtide_core::fleet::run::RunEvent;
use lowtide_model::journal::{Recorded, Stream};
use lowtide_model::name::{AppName, RunId};
use lowtide_model::run::Conclusion;
use lowtide_model::trouble::RefusedRevision;
use rusqlite::{Connection, params};
use std::collections::BTreeSet;

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

/// A run, and how it ended.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEnd {
    pub row: StreamRow,
    pub run: RunId,
    /// Its last event; `None`: it is under way.
    pub last: Option<RunEvent>,
}

impl RunEnd {
    /// `None`: it is under way.
    #[must_use]
    pub fn conclusion(&self) -> Option<&Conclusion> {
        match &self.last {
            Some(RunEvent::Concluded { conclusion }) => Some(conclusion),
            Some(
                RunEvent::Opened { .. }
                | RunEvent::EffectStarted { .. }
                | RunEvent::EffectEnded { .. }
                | RunEvent::EffectAbandoned { .. }
                | RunEvent::CancelRequested { .. },
            )
            | None => None,
        }
    }
}

/// What the journal says of a fleet at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Glance {
    /// The newest run of each app that has one.
    pub newest: Vec<RunEnd>,
    /// Open runs and rollouts, oldest first.
    pub runs: Vec<(StreamRow, RunId, Vec<Recorded<RunEvent>>)>,
    pub rollouts: Vec<(StreamRow, Vec<Recorded<RolloutEvent>>)>,
    /// Notices that wait for delivery.
    pub notices: u64,
    pub refused: Option<RefusedRevision>,
}

/// What the journal knows of some runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    pub open: BTreeSet<RunId>,
    pub ended: BTreeSet<RunId>,
}

impl Store {
    /// The newest run of each app, and everything that is open.
    ///
    /// # Errors
    /// `Database`; `Unreadable` when an event cannot be read by this version.
    pub async fn glance(&self) -> Result<Glance, StoreError> {
        self.query(move |connection| {
            let newest = newest(connection)?;
            let (mut runs, mut rollouts) = (Vec::new(), Vec::new());
            for row in rows(connection, sql::OPEN_STREAMS, params![])? {
                let stream = row.stream.to_string();
                match row.stream {
                    Stream::Run(run) => runs.push((row, run, events(connection, &stream)?)),
                    Stream::Rollout(_) => rollouts.push((row, events(connection, &stream)?)),
                    Stream::App(_) => {}
                }
            }
            Ok(Glance {
                newest,
                runs,
                rollouts,
                notices: outbox::count_pending(connection)?,
                refused: revisions::refused(connection)?,
            })
        })
        .await
    }

    /// The newest runs, newest first; of one app, or of all.
    ///
    /// # Errors
    /// `Database`; `Unreadable` when an event cannot be read by this version.
    pub async fn recent_runs(&self, app: Option<AppName>, limit: u32) -> Result<Vec<RunEnd>, StoreError> {
        self.query(move |connection| {
            let found = match &app {
                Some(app) => rows(connection, sql::RECENT_RUNS_OF, params![app.as_str(), limit]),
                None => rows(connection, sql::RECENT_RUNS, params![limit]),
            };
            let mut ends = Vec::new();
            for row in found? {
                ends.extend(run_end(connection, row)?);
            }
            Ok(ends)
        })
        .await
    }

    /// How long the last `most` runs of each app took, as far as they have ended.
    ///
    /// # Errors
    /// `Database`.
    pub async fn run_lengths(
        &self,
        apps: Vec<AppName>,
        most: u32,
    ) -> Result<Vec<(AppName, Vec<SignedDuration>)>, StoreError> {
        self.query(move |connection| {
            let of = |app: &AppName| -> Result<Vec<SignedDuration>, StoreError> {
                let mut statement = connection.prepare_cached(sql::RUN_LENGTHS)?;
                let mut found = statement.query(params![app.as_str(), most])?;
                let mut lengths = Vec::new();
                while let Some(row) = found.next()? {
                    let text = |column| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
                    if let Some(closed) = row.get_ref(1)?.as_str_or_null().map_err(rusqlite::Error::from)? {
                        lengths.push(parse_time(closed)?.duration_since(parse_time(text(0)?)?));
                    }
                }
                Ok(lengths)
            };
            apps.into_iter()
                .map(|app| {
                    let lengths = of(&app)?;
                    Ok((app, lengths))
                })
                .collect()
        })
        .await
    }

    /// Runs and rollouts that ended at `since` or later and those that are open, those opened last first, each with its first
    /// and its last event.
    ///
    /// # Errors
    /// `Database`; `Unreadable` when an event cannot be read by this version.
    pub async fn ended_since(&self, since: Timestamp) -> Result<Recent, StoreError> {
        self.query(move |connection| {
            let mut found = rows(connection, sql::OPEN_STREAMS, params![])?;
            found.extend(rows(connection, sql::CLOSED_SINCE, params![stamp(since)])?);
            found.sort_by(|a, b| (b.opened, &b.stream).cmp(&(a.opened, &a.stream)));
            let mut recent = Recent::default();
            for row in found {
                let stream = row.stream.to_string();
                match row.stream {
                    Stream::Run(_) => recent.runs.extend(run_end(connection, row)?),
                    Stream::Rollout(_) => {
                        let first = event(connection, sql::FIRST_EVENT, &stream)?;
                        let last = event(connection, sql::LAST_EVENT, &stream)?;
                        recent
                            .rollouts
                            .extend(first.zip(last).map(|(first, last)| (row, first.event, last.event)));
                    }
                    Stream::App(_) => {}
                }
            }
            Ok(recent)
        })
        .await
    }

    /// Which of these runs are under way, and which have ended; others the journal does not know, or no more.
    ///
    /// # Errors
    /// `Database`.
    pub async fn known_runs(&self, runs: BTreeSet<RunId>) -> Result<Known, StoreError> {
        self.query(move |connection| {
            let mut known = Known::default();
            for run in runs {
                for row in rows(connection, sql::STREAM, params![Stream::Run(run).to_string()])? {
                    let set = if row.closed.is_none() {
                        &mut known.open
                    } else {
                        &mut known.ended
                    };
                    set.insert(run);
                }
            }
            Ok(known)
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
        self.query(move |connection| rows(connection, sql::STREAMS_ENDING, params![pattern, limit]))
            .await
    }

    /// # Errors
    /// `Database`, `Unreadable`.
    pub async fn ended_runs(&self) -> Result<Vec<Ended>, StoreError> {
        self.query(|connection| {
            let mut statement = connection.prepare_cached(sql::ENDED)?;
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
                        app: parse_app(&app)?,
                        conclusion,
                        runs: u64::try_from(runs).unwrap_or(0),
                        last: parse_time(&last)?,
                    })
                })
                .collect()
        })
        .await
    }
}

/// What a day brought.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Recent {
    pub runs: Vec<RunEnd>,
    /// Each with its first and its last event: of one that was only opened, they are the same.
    pub rollouts: Vec<(StreamRow, RolloutEvent, RolloutEvent)>,
}

/// The newest run of each app, with its last event if it has ended.
fn newest(connection: &Connection) -> Result<Vec<RunEnd>, StoreError> {
    let mut statement = connection.prepare_cached(sql::NEWEST_RUNS)?;
    let mut found = statement.query([])?;
    let mut newest = Vec::new();
    while let Some(row) = found.next()? {
        let last = row.get_ref(5)?.as_str_or_null().map_err(rusqlite::Error::from)?;
        let last = last.map(serde_json::from_str).transpose();
        let last = last.map_err(|e| StoreError::Unreadable {
            what: "event",
            why: e.to_string(),
        })?;
        let row = stream_row(row)?;
        if let Stream::Run(run) = row.stream {
            newest.push(RunEnd { row, run, last });
        }
    }
    Ok(newest)
}

pub(super) fn run_end(connection: &Connection, row: StreamRow) -> Result<Option<RunEnd>, StoreError> {
    let Stream::Run(run) = row.stream else { return Ok(None) };
    let last = match row.closed {
        Some(_) => event(connection, sql::LAST_EVENT, &row.stream.to_string())?,
        None => None,
    };
    let last = last.map(|recorded| recorded.event);
    Ok(Some(RunEnd { row, run, last }))
}
