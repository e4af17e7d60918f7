//! How the store can fail. None of these is an expected result: each means "we do not know".

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
    #[error("the database has schema {found}; this version knows up to {known}")]
    TooNew { found: usize, known: usize },
    #[error("{path}: {source}")]
    File { path: String, source: std::io::Error },
    /// A sealed file that does not open with our key.
    #[error("sealed file {name} was not written with this key, or was changed")]
    Seal { name: String },
    /// The writer thread is gone: the process is ending.
    #[error("the store is closed")]
    Closed,
}

impl From<rusqlite::Error> for StoreError {
    fn from(source: rusqlite::Error) -> Self {
        StoreError::Database {
            path: "lowtide.db".to_owned(),
            source,
        }
    }
}
