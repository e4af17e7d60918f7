//! Surveys that were made before, in a SQLite file of their own. A cache: a survey that is missing, damaged or locked by another process is
//! made again, so no failure here is an error.

use super::{private, sql};
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use sha2::{Digest, Sha256};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The oldest go first. A thousand images need one each, and a new one when their repositories change.
const ROWS: i64 = 4096;
/// A thousand surveys of 15 pending packages each took 1.4 MB. With `ROWS` this bounds the file.
const MAX_BYTES: usize = 32 << 10;
/// How long to wait while another process writes. A survey that cannot be read or stored is made again.
const BUSY: Duration = Duration::from_millis(200);
pub(super) const SCHEMA: &str = "
    PRAGMA journal_mode=WAL;
    PRAGMA synchronous=NORMAL;
    CREATE TABLE IF NOT EXISTS surveys (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, body BLOB NOT NULL, sum BLOB NOT NULL);
";

/// The place of the cache. The file is opened when it is first needed.
#[derive(Debug, Clone)]
pub struct SurveyCache(PathBuf);

/// The open cache. It is closed when the visit that opened it ends.
#[derive(Debug)]
pub struct Surveys(Mutex<Connection>);

impl SurveyCache {
    /// `directory`: the state directory, or a user's cache.
    #[must_use]
    pub fn of(directory: &Path) -> Self {
        Self(directory.join("surveys.db"))
    }

    /// `None`: it cannot be used, because there is no room, no right, or it is locked.
    #[must_use]
    pub fn open(&self) -> Option<Surveys> {
        let opened = self.connect().or_else(|error| {
            // Replace a file that is no database, or one that we may not open because another user ran a command here first. A locked file
            // stays: another process is using it.
            let useless = [
                ErrorCode::NotADatabase,
                ErrorCode::DatabaseCorrupt,
                ErrorCode::CannotOpen,
            ];
            if error.sqlite_error_code().is_some_and(|code| useless.contains(&code)) {
                self.remove();
            }
            self.connect()
        });
        opened.ok().map(|connection| Surveys(Mutex::new(connection)))
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        // If this fails, opening the database says why.
        let mut folder = std::fs::DirBuilder::new();
        let _ = self
            .0
            .parent()
            .map(|path| folder.recursive(true).mode(0o700).create(path));
        let _ = private::file(&self.0);
        let connection = Connection::open(&self.0)?;
        connection.busy_timeout(BUSY)?;
        connection.execute_batch(SCHEMA)?;
        Ok(connection)
    }

    fn remove(&self) {
        for suffix in ["", "-wal", "-shm"] {
            let mut path = self.0.clone().into_os_string();
            path.push(suffix);
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Surveys {
    /// What was stored last under `key`, if it is as it was stored.
    #[must_use]
    pub fn get(&self, key: &[u8; 32]) -> Option<Vec<u8>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(sql::SURVEY).ok()?;
        let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?));
        let (body, sum) = statement.query_row([key.as_slice()], row).optional().ok()??;
        (sum == sum_of(&body)).then_some(body)
    }

    /// Stores `body` in place of what was under `key`. False: it was not stored.
    pub fn put(&self, key: &[u8; 32], body: &[u8]) -> bool {
        body.len() <= MAX_BYTES && self.replace(key, body).is_ok()
    }

    fn replace(&self, key: &[u8; 32], body: &[u8]) -> rusqlite::Result<()> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        transaction
            .prepare_cached(sql::PUT_SURVEY)?
            .execute(params![key.as_slice(), body, sum_of(body)])?;
        transaction.prepare_cached(sql::DROP_SURVEYS)?.execute([ROWS])?;
        transaction.commit()
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sum_of(body: &[u8]) -> Vec<u8> {
    Sha256::digest(body).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn key(n: usize) -> [u8; 32] {
        Sha256::digest(n.to_le_bytes()).into()
    }

    #[test]
    fn the_last_body_of_a_key_is_read_back_by_whoever_opens_it_next() {
        let directory = tempfile::tempdir().unwrap();
        let cache = SurveyCache::of(&directory.path().join("new"));
        let surveys = cache.open().unwrap();
        assert_eq!(surveys.get(&key(1)), None);
        assert!(surveys.put(&key(1), b"one"));
        assert!(surveys.put(&key(1), b"two"));
        assert!(!surveys.put(&key(1), &[0; MAX_BYTES + 1]));
        // Two processes at a time.
        let other = cache.open().unwrap();
        assert_eq!(other.get(&key(1)).unwrap(), b"two");
        assert_eq!(std::fs::metadata(&cache.0).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn the_oldest_go_first() {
        let directory = tempfile::tempdir().unwrap();
        let surveys = SurveyCache::of(directory.path()).open().unwrap();
        surveys.connection().execute_batch("PRAGMA synchronous=OFF").unwrap();
        let rows = usize::try_from(ROWS).unwrap();
        for n in 0..rows {
            assert!(surveys.put(&key(n), b"x"));
        }
        // What is made again is young again.
        assert!(surveys.put(&key(0), b"y"));
        assert!(surveys.put(&key(rows), b"z"));
        let remaining = [0, 1, 2, rows].map(|n| surveys.get(&key(n)).is_some());
        assert_eq!(remaining, [true, false, true, true]);
        let count: i64 = surveys
            .connection()
            .query_row("SELECT count(*) FROM surveys", [], |row| row.get(0))
            .unwrap();
        assert_eq!(count, ROWS);
    }

    #[test]
    fn what_is_damaged_is_missing() {
        let directory = tempfile::tempdir().unwrap();
        let cache = SurveyCache::of(directory.path());
        std::fs::write(
            &cache.0,
            b"this is no database at all, though it is long enough for a header of one, which has 100 bytes",
        )
        .unwrap();
        let surveys = cache.open().unwrap();
        assert!(surveys.put(&key(1), b"one"));
        surveys
            .connection()
            .execute("UPDATE surveys SET body = x'00'", [])
            .unwrap();
        assert_eq!(surveys.get(&key(1)), None);
        // One that cannot be opened; a file of root's looks the same to others.
        cache.remove();
        std::os::unix::fs::symlink("/nowhere/surveys.db", &cache.0).unwrap();
        assert!(cache.open().unwrap().put(&key(1), b"one"));
        // Where nothing can be stored.
        std::fs::write(directory.path().join("file"), b"").unwrap();
        assert!(SurveyCache::of(&directory.path().join("file")).open().is_none());
    }
}
