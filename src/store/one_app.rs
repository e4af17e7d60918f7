//! Queries about one app, run or rollout, for the pages: run beside the writer, each as of one moment.

use super::database::Store;
use super::error::StoreError;
use super::journal::{StreamRow, event, events, rows};
use super::overview::{Glance, RunEnd, run_end};
use super::{outbox, revisions, sql};
use lowtide_core::fleet::rollout::RolloutEvent;
use lowtide_core::fleet::run::RunEvent;
use lowtide_model::journal::{Recorded, Stream};
use lowtide_model::name::{AppName, RolloutId, RunId};
use rusqlite::params;

/// The newest runs and rollouts of an app, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct AppPast<T> {
    /// Each with what was made of its events.
    pub runs: Vec<(RunEnd, T)>,
    /// Each with its first and its last event: of one that was only opened, they are the same.
    pub rollouts: Vec<(StreamRow, RolloutEvent, RolloutEvent)>,
}

impl Store {
    /// As [`Store::glance`], with the runs and rollouts of one app alone.
    ///
    /// # Errors
    /// `Database`; `Unreadable` when an event cannot be read by this version.
    pub async fn glance_of(&self, app: AppName) -> Result<Glance, StoreError> {
        self.query(move |connection| {
            let mut newest = Vec::new();
            for row in rows(connection, sql::RECENT_RUNS_OF, params![app.as_str(), 1])? {
                newest.extend(run_end(connection, row)?);
            }
            let (mut runs, mut rollouts) = (Vec::new(), Vec::new());
            for row in rows(connection, sql::OPEN_STREAMS, params![])? {
                if row.app != app {
                    continue;
                }
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

    /// At most `most` runs and as many rollouts. The events of one run at a time are in memory.
    ///
    /// # Errors
    /// `Database`; `Unreadable` when an event cannot be read by this version.
    pub async fn past_of<T: Send + 'static>(
        &self,
        app: AppName,
        most: u32,
        read: fn(&[Recorded<RunEvent>]) -> T,
    ) -> Result<AppPast<T>, StoreError> {
        self.query(move |connection| {
            let mut past = AppPast {
                runs: Vec::new(),
                rollouts: Vec::new(),
            };
            for row in rows(connection, sql::RECENT_RUNS_OF, params![app.as_str(), most])? {
                let made = read(&events(connection, &row.stream.to_string())?);
                past.runs.extend(run_end(connection, row)?.map(|end| (end, made)));
            }
            for row in rows(connection, sql::RECENT_ROLLOUTS_OF, params![app.as_str(), most])? {
                let stream = row.stream.to_string();
                let first = event(connection, sql::FIRST_EVENT, &stream)?;
                let last = event(connection, sql::LAST_EVENT, &stream)?;
                let ends = first.zip(last);
                past.rollouts
                    .extend(ends.map(|(first, last)| (row, first.event, last.event)));
            }
            Ok(past)
        })
        .await
    }

    /// As [`Store::run_events`], beside the writer; empty: there is no such run, or no more.
    ///
    /// # Errors
    /// `Unreadable` when an event cannot be read by this version.
    pub async fn past_run(&self, id: RunId) -> Result<Vec<Recorded<RunEvent>>, StoreError> {
        let stream = Stream::Run(id).to_string();
        self.query(move |connection| events(connection, &stream)).await
    }

    /// As [`Store::rollout_events`], beside the writer; empty: there is no such rollout, or no more.
    ///
    /// # Errors
    /// `Unreadable` when an event cannot be read by this version.
    pub async fn past_rollout(&self, id: RolloutId) -> Result<Vec<Recorded<RolloutEvent>>, StoreError> {
        let stream = Stream::Rollout(id).to_string();
        self.query(move |connection| events(connection, &stream)).await
    }
}
