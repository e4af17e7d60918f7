//! The writer's connection, its thread, and migrations.

use super::error::StoreError;
use super::private;
use super::readers::Readers;
use super::sql;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use tokio::sync::oneshot;

/// Append-only: a released migration never changes.
const MIGRATIONS: &[&str] = &[include_str!("../../migrations/0001_journal.sql")];

/// Prepared statements cached per connection: all there are.
pub(super) const STATEMENTS: usize = 100;

type Work = Box<dyn FnOnce(&mut Connection) + Send>;

/// A handle to the database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    work: mpsc::Sender<Work>,
    readers: Arc<Readers>,
    written: Arc<AtomicU64>,
    term: i64,
    path: PathBuf,
}

impl Store {
    /// Opens (or creates) the database and brings its schema up to date. `raise_term`: this process is the one that
    /// writes; every older one is fenced off.
    ///
    /// # Errors
    /// `Database`, `TooNew`, `Emptied`.
    pub fn open(path: &Path, raise_term: bool) -> Result<Self, StoreError> {
        not_emptied(path)?;
        private::file(path)?;
        let named = |source| StoreError::Database {
            path: path.display().to_string(),
            source,
        };
        let mut connection = Connection::open(path).map_err(named)?;
        // FULL: a journalled intent must survive power loss, or the effect after it is unaccounted for.
        connection
            .execute_batch(
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA busy_timeout=5000;",
            )
            .map_err(named)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        migrate(&mut connection)?;
        let term = if raise_term {
            next_term(&connection)?
        } else {
            current_term(&connection)?
        };
        let (work, inbox) = mpsc::channel::<Work>();
        std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                while let Ok(work) = inbox.recv() {
                    work(&mut connection);
                }
            })
            .map_err(|source| StoreError::File {
                path: path.display().to_string(),
                source,
            })?;
        Ok(Self {
            work,
            readers: Arc::new(Readers::new(path)),
            written: Arc::default(),
            term,
            path: path.to_owned(),
        })
    }

    /// Number that fences an older instance.
    #[must_use]
    pub fn term(&self) -> i64 {
        self.term
    }

    /// The term of whoever owns the state now; higher than ours when a newer lowtide took over.
    ///
    /// # Errors
    /// `Database`.
    pub async fn current_term(&self) -> Result<i64, StoreError> {
        self.call(|connection| current_term(connection)).await
    }

    /// Writes a consistent copy of the database to `to`, while in use: all that was committed before.
    ///
    /// # Errors
    /// `Database` when the copy cannot be written.
    pub async fn backup(&self, to: PathBuf) -> Result<(), StoreError> {
        private::file(&to)?;
        let copied = self.readers.with(move |connection| {
            let mut copy = Connection::open(&to)?;
            let backup = rusqlite::backup::Backup::new(connection, &mut copy)?;
            // In one go, as of one moment: between two goes, each write would begin the copy anew.
            backup.run_to_completion(i32::MAX, std::time::Duration::ZERO, None)?;
            Ok(())
        });
        copied.await
    }

    /// Was the database written by a newer version?
    ///
    /// # Errors
    /// `Database`.
    pub fn is_too_new(path: &Path) -> Result<bool, StoreError> {
        let version: i64 = Connection::open(path)?.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        Ok(version as usize > MIGRATIONS.len())
    }

    /// Replaces the contents of the database by those of `from`, in one transaction. Whoever calls holds the state.
    ///
    /// # Errors
    /// `Database`: it is as it was.
    pub fn restore(path: &Path, from: &Path) -> Result<(), StoreError> {
        let from = Connection::open(from)?;
        let mut to = Connection::open(path)?;
        to.busy_timeout(std::time::Duration::from_secs(5))?;
        let backup = rusqlite::backup::Backup::new(&from, &mut to)?;
        backup.run_to_completion(1000, std::time::Duration::ZERO, None)?;
        Ok(())
    }

    /// Raises the term of a database that nobody uses by `ahead`, so that whoever opens it next is newer than anyone who
    /// writes to what it is a copy of.
    ///
    /// # Errors
    /// `Database`, `TooNew`.
    pub(super) fn fence(path: &Path, ahead: i64) -> Result<(), StoreError> {
        let mut connection = Connection::open(path)?;
        migrate(&mut connection)?;
        let term = current_term(&connection)?.saturating_add(ahead);
        put_term(&connection, term)?;
        // Leave WAL mode, so that the database is a single file that can be moved.
        connection.execute_batch("PRAGMA journal_mode=DELETE;")?;
        Ok(())
    }

    /// What is wrong with a database that nobody uses; `None`: it is whole.
    ///
    /// # Errors
    /// `File` when it cannot be opened.
    pub(super) fn damage(path: &Path) -> Result<Option<String>, StoreError> {
        let checked = Connection::open(path)
            .and_then(|connection| connection.query_row("PRAGMA quick_check", [], |row| row.get::<_, String>(0)));
        Ok(match checked {
            Ok(word) if word == "ok" && path.metadata().is_ok_and(|of| of.len() > 0) => None,
            Ok(word) if word == "ok" => Some("it is empty".to_owned()),
            Ok(word) => Some(word),
            Err(error) => Some(error.to_string()),
        })
    }

    /// Runs a query on a reader connection, as of one moment. The query sees what is committed, but not writes that are
    /// still queued; code that drives a stream therefore reads through the writer (`call`).
    pub(super) async fn query<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.readers.query(question).await
    }

    #[cfg(test)]
    pub(super) fn readers(&self) -> &Readers {
        &self.readers
    }

    /// Runs `work` on the writer thread, after all that was sent to it before.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, receiver) = oneshot::channel();
        let work: Work = Box::new(move |connection| {
            // A caller that was cancelled no longer waits; its work is done all the same.
            let _ = sender.send(work(connection));
        });
        self.work.send(work).map_err(|_| StoreError::Closed)?;
        receiver.await.map_err(|_| StoreError::Closed)?
    }

    /// Runs `work` in one transaction, after checking that no newer instance has taken over.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&rusqlite::Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let ours = self.term;
        let written = Arc::clone(&self.written);
        self.call(move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let newer = current_term(&transaction)?;
            if newer > ours {
                return Err(StoreError::Fenced { ours, newer });
            }
            let value = work(&transaction)?;
            transaction.commit()?;
            written.fetch_add(1, Ordering::AcqRel);
            Ok(value)
        })
        .await
    }

    /// Grows with each transaction of this process.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Size of the database file, bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |m| m.len())
    }
}

fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let version = |connection: &Connection| -> Result<usize, StoreError> {
        let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        Ok(version as usize)
    };
    if version(connection)? == MIGRATIONS.len() {
        return Ok(());
    }
    // Looked at again under the write lock: another process may be opening the same new database.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = version(&transaction)?;
    if done > MIGRATIONS.len() {
        return Err(StoreError::TooNew {
            found: done,
            known: MIGRATIONS.len(),
        });
    }
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(done) {
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", index as i64 + 1)?;
    }
    transaction.commit()?;
    Ok(())
}

fn current_term(connection: &Connection) -> Result<i64, StoreError> {
    let text: Option<String> = connection.query_row(sql::META, ["term"], |row| row.get(0)).optional()?;
    text.map_or(Ok(0), |text| {
        text.parse().map_err(|_| StoreError::Unreadable {
            what: "term",
            why: text,
        })
    })
}

fn next_term(connection: &Connection) -> Result<i64, StoreError> {
    let term = current_term(connection)? + 1;
    put_term(connection, term)?;
    Ok(term)
}

fn put_term(connection: &Connection, term: i64) -> Result<(), StoreError> {
    connection.execute(sql::PUT_META, ["term", &term.to_string()])?;
    Ok(())
}

/// The instance's name is written once the database is there: an empty one beside it has lost everything.
fn not_emptied(path: &Path) -> Result<(), StoreError> {
    let empty = path.metadata().is_ok_and(|of| of.len() == 0);
    let instance = path.with_file_name("instance");
    if empty && instance.metadata().is_ok_and(|of| of.len() > 0) {
        return Err(StoreError::Emptied {
            path: path.display().to_string(),
            instance: instance.display().to_string(),
        });
    }
    Ok(())
}
