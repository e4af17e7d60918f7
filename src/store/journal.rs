//! Event streams: append with what it causes, read whole, list.

use super::database::Store;
use super::error::StoreError;
use super::outbox;
use crate::model::journal::{Recorded, Stream};
use crate::model::name::{AppName, RolloutId, RunId};
use crate::model::notice::Notice;
use crate::model::rollout::RolloutEvent;
use crate::model::run::RunEvent;
use crate::model::standing::AppEvent;
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};
use serde::de::DeserializeOwned;

/// Shape version of event bodies written today. Older ones are read through upcasters, by version.
const SHAPE: i64 = 1;

/// What happens together or not at all: events and the notices they cause.
#[derive(Debug, Default)]
pub struct Batch {
    appends: Vec<Append>,
    notices: Vec<Notice>,
}

#[derive(Debug)]
struct Append {
    stream: Stream,
    app: AppName,
    /// `Some(n)`: the stream must have exactly n events now.
    expected: Option<u64>,
    body: serde_json::Result<String>,
    opens: bool,
    closes: bool,
}

impl Batch {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
    /// The event after the `seen`-th of a run.
    #[must_use]
    pub fn run(mut self, app: &AppName, id: RunId, seen: u64, event: &RunEvent) -> Self {
        self.appends.push(Append {
            stream: Stream::Run(id),
            app: app.clone(),
            expected: Some(seen),
            body: serde_json::to_string(event),
            opens: matches!(event, RunEvent::Opened { .. }),
            closes: matches!(event, RunEvent::Concluded { .. }),
        });
        self
    }
    /// The event after the `seen`-th of a rollout.
    #[must_use]
    pub fn rollout(mut self, app: &AppName, id: RolloutId, seen: u64, event: &RolloutEvent) -> Self {
        self.appends.push(Append {
            stream: Stream::Rollout(id),
            app: app.clone(),
            expected: Some(seen),
            body: serde_json::to_string(event),
            opens: matches!(event, RolloutEvent::Opened { .. }),
            closes: matches!(event, RolloutEvent::Concluded { .. }),
        });
        self
    }
    /// A fact about an app, after whatever is there.
    #[must_use]
    pub fn app(mut self, app: &AppName, event: &AppEvent) -> Self {
        self.appends.push(Append {
            stream: Stream::App(app.clone()),
            app: app.clone(),
            expected: None,
            body: serde_json::to_string(event),
            opens: true,
            closes: false,
        });
        self
    }
    /// Notices that these events cause. A notice whose `dedup` is known already is dropped.
    #[must_use]
    pub fn notices(mut self, notices: impl IntoIterator<Item = Notice>) -> Self {
        self.notices.extend(notices);
        self
    }
}

/// A stream without its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamRow {
    pub stream: Stream,
    pub app: AppName,
    pub opened: Timestamp,
    pub closed: Option<Timestamp>,
}

impl Store {
    /// Writes the batch in one transaction.
    ///
    /// # Errors
    /// `Stale` when a stream has moved on; `Fenced`; `Database`. Nothing is written then.
    pub async fn commit(&self, batch: Batch, now: Timestamp) -> Result<(), StoreError> {
        let term = self.term();
        self.write(move |transaction| {
            for append in batch.appends {
                insert(transaction, append, now, term)?;
            }
            for notice in &batch.notices {
                outbox::enqueue(transaction, notice, now)?;
            }
            Ok(())
        })
        .await
    }

    /// # Errors
    /// `Unreadable` when an event cannot be read by this version.
    pub async fn run_events(&self, id: RunId) -> Result<Vec<Recorded<RunEvent>>, StoreError> {
        self.events(Stream::Run(id)).await
    }

    /// # Errors
    /// `Unreadable` when an event cannot be read by this version.
    pub async fn rollout_events(&self, id: RolloutId) -> Result<Vec<Recorded<RolloutEvent>>, StoreError> {
        self.events(Stream::Rollout(id)).await
    }

    /// # Errors
    /// `Unreadable` when an event cannot be read by this version.
    pub async fn app_events(&self, app: &AppName) -> Result<Vec<Recorded<AppEvent>>, StoreError> {
        self.events(Stream::App(app.clone())).await
    }

    /// What `fold` makes of every app's events, in one pass: what a start needs. One app's events are held at a time.
    ///
    /// # Errors
    /// `Unreadable` when an event cannot be read by this version.
    pub async fn fold_apps<T: Send + 'static>(
        &self,
        fold: impl Fn(&[Recorded<AppEvent>]) -> T + Send + 'static,
    ) -> Result<Vec<(AppName, T)>, StoreError> {
        self.call(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT stream, seq, body, at FROM events WHERE stream >= 'app/' AND stream < 'app0' ORDER BY stream, seq",
            )?;
            let mut rows = statement.query([])?;
            let mut folded = Vec::new();
            let mut open: Option<(AppName, Vec<Recorded<AppEvent>>)> = None;
            while let Some(row) = rows.next()? {
                let (seq, stream): (i64, String) = (row.get("seq")?, row.get("stream")?);
                let Stream::App(app) = parse_stream(&stream)? else { continue };
                let (body, at): (String, String) = (row.get("body")?, row.get("at")?);
                let recorded = decode(seq, &body, &at)?;
                match &mut open {
                    Some((last, events)) if *last == app => events.push(recorded),
                    Some(_) | None => {
                        let whole = open.replace((app, vec![recorded]));
                        folded.extend(whole.map(|(app, events)| (app, fold(&events))));
                    }
                }
            }
            folded.extend(open.map(|(app, events)| (app, fold(&events))));
            Ok(folded)
        })
        .await
    }

    /// Open runs and rollouts, oldest first.
    ///
    /// # Errors
    /// `Database`.
    pub async fn open_streams(&self) -> Result<Vec<StreamRow>, StoreError> {
        self.call(|connection| {
            rows(connection, "SELECT id, app, opened, closed FROM streams WHERE closed IS NULL AND kind != 'app' ORDER BY opened, id", params![])
        })
        .await
    }

    /// The newest runs and rollouts, newest first; of one app, or of all.
    ///
    /// # Errors
    /// `Database`.
    pub async fn recent_streams(&self, app: Option<AppName>, limit: u32) -> Result<Vec<StreamRow>, StoreError> {
        self.call(move |connection| {
            let app = app.map(String::from);
            rows(
                connection,
                "SELECT id, app, opened, closed FROM streams WHERE kind != 'app' AND (?1 IS NULL OR app = ?1) \
                 ORDER BY opened DESC, id DESC LIMIT ?2",
                params![app, limit],
            )
        })
        .await
    }

    async fn events<E: DeserializeOwned + Send + 'static>(
        &self,
        stream: Stream,
    ) -> Result<Vec<Recorded<E>>, StoreError> {
        self.call(move |connection| {
            let mut statement =
                connection.prepare_cached("SELECT seq, body, at FROM events WHERE stream = ?1 ORDER BY seq")?;
            let rows = statement.query_map([stream.to_string()], |row| {
                Ok((
                    row.get::<_, i64>(0)?,
                    row.get::<_, String>(1)?,
                    row.get::<_, String>(2)?,
                ))
            })?;
            rows.map(|row| {
                let (seq, body, at) = row?;
                decode(seq, &body, &at)
            })
            .collect()
        })
        .await
    }
}

pub(super) fn rows(
    connection: &rusqlite::Connection,
    sql: &str,
    params: &[&dyn rusqlite::ToSql],
) -> Result<Vec<StreamRow>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params, |row| {
        Ok((
            row.get::<_, String>(0)?,
            row.get::<_, String>(1)?,
            row.get::<_, String>(2)?,
            row.get::<_, Option<String>>(3)?,
        ))
    })?;
    rows.map(|row| {
        let (stream, app, opened, closed) = row?;
        Ok(StreamRow {
            stream: parse_stream(&stream)?,
            app: app.parse().map_err(|_| StoreError::Unreadable {
                what: "app name",
                why: app.clone(),
            })?,
            opened: parse_time(&opened)?,
            closed: closed.as_deref().map(parse_time).transpose()?,
        })
    })
    .collect()
}

fn insert(transaction: &Transaction<'_>, append: Append, now: Timestamp, term: i64) -> Result<(), StoreError> {
    let body = append.body.map_err(|e| StoreError::Unreadable {
        what: "event to write",
        why: e.to_string(),
    })?;
    let stream = append.stream.to_string();
    let last: i64 = transaction
        .query_row("SELECT max(seq) FROM events WHERE stream = ?1", [&stream], |row| {
            row.get::<_, Option<i64>>(0)
        })
        .optional()?
        .flatten()
        .unwrap_or(0);
    if let Some(expected) = append.expected
        && expected != last as u64
    {
        return Err(StoreError::Stale { stream, expected });
    }
    let at = now.to_string();
    if append.opens && last == 0 {
        let kind = stream.split('/').next().unwrap_or_default();
        transaction.execute(
            "INSERT OR IGNORE INTO streams (id, kind, app, opened) VALUES (?1, ?2, ?3, ?4)",
            params![stream, kind, append.app.as_str(), at],
        )?;
    }
    transaction.execute(
        "INSERT INTO events (stream, seq, version, body, at, term) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![stream, last + 1, SHAPE, body, at, term],
    )?;
    if append.closes {
        transaction.execute("UPDATE streams SET closed = ?2 WHERE id = ?1", params![stream, at])?;
    }
    Ok(())
}

pub(super) fn decode<E: DeserializeOwned>(seq: i64, body: &str, at: &str) -> Result<Recorded<E>, StoreError> {
    let event = serde_json::from_str(body).map_err(|e| StoreError::Unreadable {
        what: "event",
        why: e.to_string(),
    })?;
    Ok(Recorded {
        seq: seq as u64,
        at: parse_time(at)?,
        event,
    })
}

pub(super) fn parse_time(text: &str) -> Result<Timestamp, StoreError> {
    text.parse().map_err(|_| StoreError::Unreadable {
        what: "time",
        why: text.to_owned(),
    })
}

fn parse_stream(text: &str) -> Result<Stream, StoreError> {
    text.parse().map_err(|_| StoreError::Unreadable {
        what: "stream",
        why: text.to_owned(),
    })
}
