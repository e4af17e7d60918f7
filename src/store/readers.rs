//! Read-only connections on threads of their own: a query from a page or a command never queues behind the writer and
//! never blocks it (WAL: a reader sees what was committed when its query began).

use super::error::StoreError;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// Queries run at once: more readers than processors are no faster. Others wait in line.
const MOST: usize = 2;

/// An idle reader thread ends after this time and frees its memory.
const IDLE: Duration = Duration::from_secs(20);

/// Kibibytes of pages cached per connection: the inner pages of every index of a large journal.
const CACHE: i64 = 4096;

type Question = Box<dyn FnOnce(Result<&mut Connection, StoreError>) + Send>;

/// Dropping this closes the queue: the reader threads end once the queue is empty.
#[derive(Debug)]
pub(super) struct Readers(Arc<Line>);

struct Line {
    path: PathBuf,
    state: Mutex<State>,
    rings: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Question>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl Readers {
    pub(super) fn new(path: &Path) -> Self {
        Self(Arc::new(Line {
            path: path.to_owned(),
            state: Mutex::default(),
            rings: Condvar::new(),
        }))
    }

    /// Runs one query, all of it as of one moment.
    pub(super) async fn query<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.with(move |connection| {
            let moment = Transaction::new_unchecked(connection, TransactionBehavior::Deferred)?;
            question(&moment)
        })
        .await
    }

    /// As [`query`](Self::query), for what has to begin its reading itself.
    pub(super) async fn with<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, receiver) = oneshot::channel();
        self.put(Box::new(move |connection| {
            // Who asked may be gone.
            let _ = sender.send(connection.and_then(|connection| question(connection)));
        }))?;
        receiver.await.map_err(|_| StoreError::Closed)?
    }

    fn put(&self, question: Question) -> Result<(), StoreError> {
        let mut state = self.0.lock();
        state.waiting.push_back(question);
        if state.waiting.len() > state.idle && state.threads < MOST {
            let line = Arc::clone(&self.0);
            let spawned = std::thread::Builder::new()
                .name("store-reader".to_owned())
                .spawn(move || line.serve());
            match spawned {
                Ok(_) => state.threads += 1,
                // Another one runs it, later.
                Err(_) if state.threads > 0 => {}
                Err(source) => {
                    state.waiting.pop_back();
                    let path = self.0.path.display().to_string();
                    return Err(StoreError::File { path, source });
                }
            }
        }
        drop(state);
        self.0.rings.notify_one();
        Ok(())
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.rings.notify_all();
    }
}

impl Line {
    fn serve(&self) {
        let mut connection = None;
        while let Some(question) = self.next() {
            if connection.is_none() {
                match open(&self.path) {
                    Ok(opened) => connection = Some(opened),
                    Err(error) => {
                        question(Err(error));
                        continue;
                    }
                }
            }
            let Some(mut opened) = connection.take() else { continue };
            // A panicking query must not take the reader thread down. Its connection is dropped, since its state is
            // unknown.
            let outcome = catch_unwind(AssertUnwindSafe(|| question(Ok(&mut opened))));
            connection = outcome.is_ok().then_some(opened);
        }
    }

    /// The next query; `None`: none came in time or the store was closed, and this thread is no longer counted. The
    /// queue check and the uncounting share one lock, so a query that arrives afterwards starts another thread.
    fn next(&self) -> Option<Question> {
        let mut state = self.lock();
        loop {
            if let Some(question) = state.waiting.pop_front() {
                return Some(question);
            }
            if state.closed {
                state.threads -= 1;
                return None;
            }
            state.idle += 1;
            let (woken, waited) = self
                .rings
                .wait_timeout(state, IDLE)
                .unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if waited.timed_out() && state.waiting.is_empty() {
                state.threads -= 1;
                return None;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line").field("path", &self.path).finish_non_exhaustive()
    }
}

fn open(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(path, flags).and_then(|connection| {
        connection.execute_batch(&format!("PRAGMA busy_timeout=5000; PRAGMA cache_size=-{CACHE};"))?;
        connection.set_prepared_statement_cache_capacity(super::database::STATEMENTS);
        // Without this, SQLite prepares a statement again each time a different value is bound to its LIMIT.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        Ok(connection)
    });
    opened.map_err(|source| StoreError::Database {
        path: path.display().to_string(),
        source,
    })
}

#[cfg(test)]
mod tests;
