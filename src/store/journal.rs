//! Event streams: append with what it causes, read whole, list.

use super::database::Store;
use super::error::StoreError;
use super::{outbox, pushed_tags, sql};
use jiff::Timestamp;
use lowtide_core::channels::list::Notice;
use lowtide_core::fleet::app_state::{AppEvent, EventRetention};
use lowtide_core::fleet::rollout::RolloutEvent;
use lowtide_core::fleet::run::RunEvent;
use lowtide_model::journal::{Recorded, Stream};
use lowtide_model::name::{AppName, RolloutId, RunId};
use lowtide_model::run::Trigger;
use rusqlite::{Connection, Row, Transaction, params};
use serde::de::DeserializeOwned;

/// Shape version of event bodies written today. Older ones are read through upcasters, by version.
const SHAPE: i64 = 1;

/// Name of the newest time in the journal, among what is remembered by name.
pub(super) const NEWEST: &str = "newest";

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
    mark: Mark,
    kept: EventRetention,
    /// What it says of tags in registries.
    tags: Option<pushed_tags::Change>,
}

/// What an event makes of its stream.
#[derive(Debug)]
enum Mark {
    /// `cause`: a run's trigger, JSON.
    Opens {
        cause: Option<String>,
    },
    Goes,
    /// `conclusion`: of a run.
    Closes {
        conclusion: Option<&'static str>,
    },
}

impl Batch {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
    /// The event after the `seen`-th of a run.
    #[must_use]
    pub fn run(mut self, app: &AppName, id: RunId, seen: u64, event: &RunEvent) -> Self {
        let mut body = serde_json::to_string(event);
        let mark = match event {
            RunEvent::Opened { trigger, .. } => match serde_json::to_string(trigger) {
                Ok(cause) => Mark::Opens { cause: Some(cause) },
                Err(error) => {
                    body = Err(error);
                    Mark::Goes
                }
            },
            RunEvent::Concluded { conclusion } => Mark::Closes {
                conclusion: Some(conclusion.word()),
            },
            RunEvent::EffectStarted { .. }
            | RunEvent::EffectEnded { .. }
            | RunEvent::EffectAbandoned { .. }
            | RunEvent::CancelRequested { .. } => Mark::Goes,
        };
        self.appends.push(Append {
            stream: Stream::Run(id),
            app: app.clone(),
            expected: Some(seen),
            body,
            mark,
            kept: EventRetention::Facts,
            tags: None,
        });
        self
    }
    /// The event after the `seen`-th of a rollout.
    #[must_use]
    pub fn rollout(mut self, app: &AppName, id: RolloutId, seen: u64, event: &RolloutEvent) -> Self {
        let opens = matches!(event, RolloutEvent::Opened { .. });
        let closes = matches!(event, RolloutEvent::Concluded { .. });
        self.appends.push(Append {
            stream: Stream::Rollout(id),
            app: app.clone(),
            expected: Some(seen),
            body: serde_json::to_string(event),
            mark: match (opens, closes) {
                (true, _) => Mark::Opens { cause: None },
                (false, true) => Mark::Closes { conclusion: None },
                (false, false) => Mark::Goes,
            },
            kept: EventRetention::Facts,
            tags: None,
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
            mark: Mark::Opens { cause: None },
            kept: event.retention(),
            tags: pushed_tags::Change::of(app, event),
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
    /// Why a run began; `None`: of rollouts and apps.
    pub cause: Option<Trigger>,
}

impl Store {
    /// Writes the batch in one transaction.
    ///
    /// # Errors
    /// `Stale` when a stream has moved on; `Fenced`; `Database`. Nothing is written then.
    pub async fn commit(&self, batch: Batch, now: Timestamp) -> Result<(), StoreError> {
        let term = self.term();
        self.write(move |transaction| append(transaction, batch, now, term))
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

    /// Folds each app's events from its last checkpoint on; needed at startup. Two readers share the apps, each with a
    /// consistent view of its half. Only one app's events per reader are in memory at a time.
    ///
    /// # Errors
    /// `Unreadable` when an event cannot be read by this version.
    pub async fn fold_apps<T: Send + 'static>(
        &self,
        fold: impl Fn(Vec<Recorded<AppEvent>>) -> T + Clone + Send + 'static,
    ) -> Result<Vec<(AppName, T)>, StoreError> {
        // Two connections, each with its half of the streams. The name decides which half, so that none is missed or folded twice if
        // one is added between the moments of the two.
        let half = |odd: bool| {
            let fold = fold.clone();
            self.query(move |connection| {
                let mut folded = Vec::new();
                for (stream, app, from) in app_streams(connection)? {
                    let sum = stream.bytes().fold(0_u8, u8::wrapping_add);
                    if (sum % 2 == 1) == odd {
                        folded.push((app, fold(events_from(connection, &stream, from)?)));
                    }
                }
                Ok(folded)
            })
        };
        let (mut folded, odd) = tokio::try_join!(half(false), half(true))?;
        folded.extend(odd);
        Ok(folded)
    }

    /// Open runs and rollouts, oldest first.
    ///
    /// # Errors
    /// `Database`.
    pub async fn open_streams(&self) -> Result<Vec<StreamRow>, StoreError> {
        self.call(|connection| rows(connection, sql::OPEN_STREAMS, params![]))
            .await
    }

    async fn events<E: DeserializeOwned + Send + 'static>(
        &self,
        stream: Stream,
    ) -> Result<Vec<Recorded<E>>, StoreError> {
        self.call(move |connection| events(connection, &stream.to_string()))
            .await
    }
}

pub(super) fn append(transaction: &Transaction<'_>, batch: Batch, now: Timestamp, term: i64) -> Result<(), StoreError> {
    for append in batch.appends {
        insert(transaction, append, now, term)?;
    }
    transaction
        .prepare_cached(sql::RAISE_META)?
        .execute([NEWEST, &stamp(now)])?;
    for notice in &batch.notices {
        outbox::enqueue(transaction, notice, now)?;
    }
    Ok(())
}

/// Every app's stream, and the event that a fold begins with.
pub(super) fn app_streams(connection: &Connection) -> Result<Vec<(String, AppName, i64)>, StoreError> {
    let mut statement = connection.prepare_cached(sql::APP_STREAMS)?;
    let found = statement.query_map([], |row| {
        Ok((
            row.get::<_, String>(0)?,
            row.get::<_, String>(1)?,
            row.get::<_, i64>(2)?,
        ))
    })?;
    found
        .map(|row| {
            let (stream, app, from) = row?;
            Ok((stream, parse_app(&app)?, from))
        })
        .collect()
}

pub(super) fn events<E: DeserializeOwned>(
    connection: &Connection,
    stream: &str,
) -> Result<Vec<Recorded<E>>, StoreError> {
    read(connection, sql::EVENTS, params![stream])
}

/// Those of an app from its last checkpoint on.
pub(super) fn events_from(
    connection: &Connection,
    stream: &str,
    from: i64,
) -> Result<Vec<Recorded<AppEvent>>, StoreError> {
    read(connection, sql::EVENTS_FROM, params![stream, from])
}

/// One event, selected by `FIRST_EVENT` or `LAST_EVENT`.
pub(super) fn event<E: DeserializeOwned>(
    connection: &Connection,
    sql: &str,
    stream: &str,
) -> Result<Option<Recorded<E>>, StoreError> {
    Ok(read(connection, sql, params![stream])?.pop())
}

fn read<E: DeserializeOwned>(
    connection: &Connection,
    sql: &str,
    params: &[&dyn rusqlite::ToSql],
) -> Result<Vec<Recorded<E>>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = statement.query(params)?;
    let mut events = Vec::new();
    while let Some(row) = found.next()? {
        events.push(recorded(row)?);
    }
    Ok(events)
}

pub(super) fn recorded<E: DeserializeOwned>(row: &Row<'_>) -> Result<Recorded<E>, StoreError> {
    let text = |column| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
    let event = serde_json::from_str(text(1)?).map_err(|e| StoreError::Unreadable {
        what: "event",
        why: e.to_string(),
    })?;
    Ok(Recorded {
        seq: row.get::<_, i64>(0)? as u64,
        at: parse_time(text(2)?)?,
        event,
    })
}

/// Streams that `sql` finds, by the columns that every question of them has.
pub(super) fn rows(
    connection: &Connection,
    sql: &str,
    params: &[&dyn rusqlite::ToSql],
) -> Result<Vec<StreamRow>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = statement.query(params)?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        rows.push(stream_row(row)?);
    }
    Ok(rows)
}

/// Reads a row with the columns common to all stream queries.
pub(super) fn stream_row(row: &Row<'_>) -> Result<StreamRow, StoreError> {
    let text = |column| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
    let maybe = |column| row.get_ref(column)?.as_str_or_null().map_err(rusqlite::Error::from);
    let cause = maybe(4)?.map(|cause| {
        serde_json::from_str(cause).map_err(|e| StoreError::Unreadable {
            what: "trigger",
            why: e.to_string(),
        })
    });
    Ok(StreamRow {
        stream: parse_stream(text(0)?)?,
        app: parse_app(text(1)?)?,
        opened: parse_time(text(2)?)?,
        closed: maybe(3)?.map(parse_time).transpose()?,
        cause: cause.transpose()?,
    })
}

fn insert(transaction: &Transaction<'_>, append: Append, now: Timestamp, term: i64) -> Result<(), StoreError> {
    let body = append.body.map_err(|e| StoreError::Unreadable {
        what: "event to write",
        why: e.to_string(),
    })?;
    let stream = append.stream.to_string();
    let last = last_seq(transaction, &stream)?;
    if let Some(expected) = append.expected
        && expected != last as u64
    {
        return Err(StoreError::Stale { stream, expected });
    }
    let at = stamp(now);
    if let (Mark::Opens { cause }, 0) = (&append.mark, last) {
        let kind = stream.split('/').next().unwrap_or_default();
        transaction.prepare_cached(sql::INSERT_STREAM)?.execute(params![
            stream,
            kind,
            append.app.as_str(),
            at,
            cause
        ])?;
        if let Stream::Run(_) = append.stream {
            transaction
                .prepare_cached(sql::PUT_NEWEST)?
                .execute([append.app.as_str(), &stream])?;
        }
    }
    let kept = match append.kept {
        EventRetention::Facts => None,
        EventRetention::Audit => Some("audit"),
        EventRetention::Checkpoint => Some("checkpoint"),
    };
    transaction
        .prepare_cached(sql::INSERT_EVENT)?
        .execute(params![stream, last + 1, SHAPE, body, at, term, kept])?;
    if append.kept == EventRetention::Audit {
        let app = append.app.as_str();
        transaction
            .prepare_cached(sql::INSERT_AUDIT)?
            .execute(params![app, last + 1, at, body])?;
    }
    if let Some(change) = &append.tags {
        change.apply(transaction, &append.app)?;
    }
    for name in snapshots(&body) {
        transaction
            .prepare_cached(sql::INSERT_SNAPSHOT)?
            .execute([&stream, &name])?;
    }
    if let Mark::Closes { conclusion } = append.mark {
        transaction
            .prepare_cached(sql::CLOSE_STREAM)?
            .execute(params![stream, at, conclusion])?;
        if let Stream::Run(_) = append.stream {
            transaction
                .prepare_cached(sql::END_NEWEST)?
                .execute([append.app.as_str(), &stream, &body])?;
        }
        if let Some(conclusion) = conclusion {
            transaction
                .prepare_cached(sql::COUNT_ENDED)?
                .execute(params![stream, conclusion, at])?;
        }
    }
    Ok(())
}

pub(super) fn last_seq(connection: &Connection, stream: &str) -> Result<i64, StoreError> {
    let mut statement = connection.prepare_cached(sql::LAST_SEQ)?;
    let last: Option<i64> = statement.query_row([stream], |row| row.get(0))?;
    Ok(last.unwrap_or(0))
}

/// Names of sealed files that an event speaks of, wherever in it they stand.
fn snapshots(body: &str) -> Vec<String> {
    let mut names = Vec::new();
    if body.contains("\"snapshot\"")
        && let Ok(value) = serde_json::from_str(body)
    {
        gather(&value, &mut names);
    }
    names
}

fn gather(value: &serde_json::Value, names: &mut Vec<String>) {
    use serde_json::Value as V;
    match value {
        V::Object(fields) => {
            for (key, value) in fields {
                match value {
                    V::String(name) if key == "snapshot" => names.push(name.clone()),
                    V::String(_) | V::Null | V::Bool(_) | V::Number(_) | V::Array(_) | V::Object(_) => {
                        gather(value, names)
                    }
                }
            }
        }
        V::Array(items) => items.iter().for_each(|item| gather(item, names)),
        V::Null | V::Bool(_) | V::Number(_) | V::String(_) => {}
    }
}

/// As columns have it: they are compared as text, so that all are of one length.
pub(super) fn stamp(at: Timestamp) -> String {
    format!("{at:.9}")
}

pub(super) fn parse_app(text: &str) -> Result<AppName, StoreError> {
    text.parse().map_err(|_| StoreError::Unreadable {
        what: "app name",
        why: text.to_owned(),
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
