//! How the store can fail. None of these is an expected result: each means "we do not know".

use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::local;

/// See the variants.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or could not be read; SQLite's own words.
    #[error("the database {path} cannot be used")]
    Database {
        path: String,
        #[source]
        source: rusqlite::Error,
    },
    /// A row holds what this version cannot read.
    #[error("the database holds an unreadable {what}: {why}")]
    Unreadable { what: &'static str, why: String },
    /// Another lowtide appended first; the caller's view is stale.
    #[error("stream {stream} has moved on past event {expected}")]
    Stale { stream: String, expected: u64 },
    /// A newer lowtide took over this state directory.
    #[error("a newer lowtide (term {newer}) owns this state; this one (term {ours}) stops writing")]
    Fenced { ours: i64, newer: i64 },
    /// The database was written by a newer version.
    #[error(
        "a newer lowtide wrote this database (schema {found}; this version knows up to {known}). Nothing was changed: start that \
         version again, or restore a backup of this one's (`lowtide restore FILE --state DIR`)"
    )]
    TooNew { found: usize, known: usize },
    #[error("{path}: {source}")]
    File { path: String, source: std::io::Error },
    /// A sealed file that does not open with our key.
    #[error("sealed file {name} was not written with this key, or was changed")]
    Seal { name: String },
    /// Nothing is left of a database that was in use: a full disk, a copy that broke off.
    #[error(
        "the database {path} is empty, and this state was in use: it is damaged. Restore a backup into another directory \
         (`lowtide restore FILE --state DIR`); to begin anew instead, without what is halted, quarantined or half-way, \
         remove {instance}"
    )]
    Emptied { path: String, instance: String },
    #[error("a restore into {path} broke off: do it again (`lowtide restore FILE --state {path}`)")]
    HalfRestored { path: String },
    /// The writer thread is gone: the process is ending.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// As a failure of a stage or step. What the file system or SQLite was refused by the machine says nothing of a release.
    #[must_use]
    pub fn failure(&self, what: &str) -> Failure {
        let kind = match self {
            StoreError::Database { source, .. } => database_kind(source),
            StoreError::File { source, .. } => local::kind(source),
            StoreError::Unreadable { .. }
            | StoreError::Stale { .. }
            | StoreError::Fenced { .. }
            | StoreError::TooNew { .. }
            | StoreError::Seal { .. }
            | StoreError::Emptied { .. }
            | StoreError::HalfRestored { .. }
            | StoreError::Closed => FailureKind::Invariant,
        };
        Failure::new(kind, format!("{what}: {self}"))
    }
}

fn database_kind(error: &rusqlite::Error) -> FailureKind {
    use rusqlite::ErrorCode as C;
    let of_the_machine = [
        C::SystemIoFailure,
        C::CannotOpen,
        C::OutOfMemory,
        C::ReadOnly,
        C::PermissionDenied,
        C::FileLockingProtocolFailed,
        C::DatabaseBusy,
        C::DatabaseLocked,
        C::DatabaseCorrupt,
        C::NotADatabase,
    ];
    match error.sqlite_error_code() {
        Some(C::DiskFull) => FailureKind::DiskFull,
        Some(code) if of_the_machine.contains(&code) => FailureKind::LocalTrouble,
        Some(_) | None => FailureKind::Invariant,
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(source: rusqlite::Error) -> Self {
        StoreError::Database {
            path: "lowtide.db".to_owned(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    #[test]
    fn a_database_that_the_machine_refuses_is_no_broken_rule() {
        let refused = |code: i32| StoreError::from(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        for (code, kind) in [
            (ffi::SQLITE_FULL, FailureKind::DiskFull),
            (ffi::SQLITE_IOERR, FailureKind::LocalTrouble),
            (ffi::SQLITE_CANTOPEN, FailureKind::LocalTrouble),
            (ffi::SQLITE_NOMEM, FailureKind::LocalTrouble),
            (ffi::SQLITE_BUSY, FailureKind::LocalTrouble),
            (ffi::SQLITE_CONSTRAINT, FailureKind::Invariant),
        ] {
            assert_eq!(refused(code).failure("x").kind, kind, "{code}");
        }
        let file = |number| StoreError::File {
            path: "sealed".to_owned(),
            source: std::io::Error::from_raw_os_error(number),
        };
        assert_eq!(file(24).failure("x").kind, FailureKind::LocalTrouble);
        assert_eq!(file(28).failure("x").kind, FailureKind::DiskFull);
    }
}
