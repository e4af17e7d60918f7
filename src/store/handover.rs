//! What one lowtide leaves the next: who takes the state, and the database as it was when it was handed over.

use super::database::Store;
use super::error::StoreError;
use lowtide_model::handover::Handover;
use std::io::Write as _;
use std::path::{Path, PathBuf};

const RECORD: &str = "handover.json";
const COPY: &str = "handover.db";

/// The hand-over under way; `None`: there is none.
///
/// # Errors
/// `File`; `Unreadable` for one that another version wrote.
pub fn read(state: &Path) -> Result<Option<Handover>, StoreError> {
    let path = state.join(RECORD);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(file(&path, source)),
    };
    let record = serde_json::from_slice(&text).map_err(|e| StoreError::Unreadable {
        what: "hand-over",
        why: e.to_string(),
    })?;
    Ok(Some(record))
}

/// Whole or not at all, and on disk before it counts.
///
/// # Errors
/// `File`.
pub fn write(state: &Path, record: &Handover) -> Result<(), StoreError> {
    use std::os::unix::fs::OpenOptionsExt;
    let (path, new) = (state.join(RECORD), state.join("handover.json.new"));
    let text = serde_json::to_vec(record).map_err(|e| StoreError::Unreadable {
        what: "hand-over",
        why: e.to_string(),
    })?;
    let put = || {
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&new, &path)?;
        std::fs::File::open(state)?.sync_all()
    };
    put().map_err(|source| file(&path, source))
}

/// Removes the record and the copy of the database. The copy goes first: without the record, no process would look for
/// it.
///
/// # Errors
/// `File`.
pub fn clear(state: &Path) -> Result<(), StoreError> {
    for name in [COPY, RECORD] {
        remove(&state.join(name))?;
    }
    Ok(())
}

/// Copies the database before a newer lowtide takes the state, for the processes that have to continue from it if the
/// newer one fails.
///
/// # Errors
/// `Database`, `File`.
pub async fn copy(state: &Path, store: &Store) -> Result<(), StoreError> {
    let path = state.join(COPY);
    remove(&path)?;
    store.backup(path).await
}

/// Restores the copy if the database has a schema that this version cannot read; returns whether it did. Only the newer
/// version's journal entries are lost: until its rollout has ended, a newer lowtide only observes itself, opens no run,
/// accepts no request and sends nothing.
///
/// # Errors
/// `Database`, `File`.
pub fn bring_back(state: &Path, database: &Path) -> Result<bool, StoreError> {
    let copy = state.join(COPY);
    if !copy.exists() || !Store::is_too_new(database)? {
        return Ok(false);
    }
    Store::restore(database, &copy)?;
    Ok(true)
}

fn remove(path: &PathBuf) -> Result<(), StoreError> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(file(path, e)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn file(path: &Path, source: std::io::Error) -> StoreError {
    StoreError::File {
        path: path.display().to_string(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowtide_model::handover::StateOwner;
    use lowtide_model::name::RolloutId;

    fn record(to: StateOwner) -> Handover {
        Handover {
            rollout: RolloutId(ulid::Ulid(9)),
            to,
            deadline: jiff::Timestamp::UNIX_EPOCH,
            overdue: jiff::Timestamp::UNIX_EPOCH,
            old: "o".to_owned(),
            helper: "k".to_owned(),
            new: None,
            tried: None,
        }
    }

    #[test]
    fn a_record_is_replaced_whole_and_cleared() {
        let state = tempfile::tempdir().unwrap();
        assert_eq!(read(state.path()).unwrap(), None);
        for to in [StateOwner::Helper, StateOwner::New] {
            write(state.path(), &record(to)).unwrap();
            assert_eq!(read(state.path()).unwrap(), Some(record(to)));
        }
        clear(state.path()).unwrap();
        clear(state.path()).unwrap();
        assert_eq!(std::fs::read_dir(state.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_database_of_a_newer_version_becomes_the_copy_again() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join("lowtide.db");
        let store = Store::open(&path, true).unwrap();
        store.set_number("before", Some(1)).await.unwrap();
        copy(state.path(), &store).await.unwrap();
        assert!(!bring_back(state.path(), &path).unwrap(), "it can be read as it is");
        store.set_number("after", Some(1)).await.unwrap();
        drop(store);
        let newer = rusqlite::Connection::open(&path).unwrap();
        newer
            .execute_batch("CREATE TABLE later (x); PRAGMA user_version = 1000;")
            .unwrap();
        drop(newer);
        assert!(matches!(Store::open(&path, true), Err(StoreError::TooNew { .. })));
        assert!(bring_back(state.path(), &path).unwrap());
        let store = Store::open(&path, true).unwrap();
        assert_eq!(store.number("before").await.unwrap(), Some(1));
        assert_eq!(store.number("after").await.unwrap(), None);
        assert!(!bring_back(state.path(), &path).unwrap(), "once is enough");
    }
}
