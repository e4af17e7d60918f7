//! The state is its owner's alone: the journal names everything that runs, sealed files and their key lie beside it.
//! No umask does this: it would go on to every program that lowtide starts.

use super::error::StoreError;
use std::fs::{Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use tracing::warn;

/// Rights of anyone else.
const OTHERS: u32 = 0o077;

/// In every sticky directory others may make files: it is no state directory of ours, whatever was said.
const STICKY: u32 = 0o1000;

/// What lies in the state directory itself and is older than the mending of rights, or was put there by hand.
const FILES: [&str; 10] = [
    "lowtide.db",
    "lowtide.db-wal",
    "lowtide.db-shm",
    "handover.db",
    "handover.json",
    "seal.key",
    "instance",
    "lock",
    "paused",
    "control.sock",
];

/// Removes the permissions of group and others from a state directory and the files in it, and logs each change. A
/// failure is only logged: the directory may belong to another user who lets us use it.
pub(super) fn mend(state: &Path) {
    for path in std::iter::once(state.to_owned()).chain(FILES.map(|name| state.join(name))) {
        let Ok(found) = path.symlink_metadata() else { continue };
        if let Err(error) = close(&path, &found) {
            warn!(path = %path.display(), %error, "others can read this, and its rights cannot be changed");
        }
    }
}

fn close(path: &Path, found: &Metadata) -> io::Result<()> {
    let mode = found.mode() & 0o7777;
    if mode & OTHERS == 0 || found.is_symlink() {
        return Ok(());
    }
    if mode & STICKY != 0 {
        return Err(io::Error::other("it is a directory for everybody"));
    }
    std::fs::set_permissions(path, Permissions::from_mode(mode & !OTHERS))?;
    warn!(path = %path.display(), was = format!("{mode:o}"), "others could read this; now only its owner can");
    Ok(())
}

/// Makes an empty file that only its owner reads, where there is none. What SQLite makes beside it has the same rights.
///
/// # Errors
/// `File`.
pub(super) fn file(path: &Path) -> Result<(), StoreError> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        Err(source) if source.kind() != ErrorKind::AlreadyExists => Err(StoreError::File {
            path: path.display().to_string(),
            source,
        }),
        Ok(_) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::database::Store;
    use crate::store::lock;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().mode() & 0o7777
    }

    #[tokio::test]
    async fn a_state_in_a_directory_of_others_is_closed() {
        let state = tempfile::tempdir().unwrap();
        std::fs::set_permissions(state.path(), Permissions::from_mode(0o755)).unwrap();
        let path = state.path().join("lowtide.db");
        drop(rusqlite::Connection::open(&path).unwrap());
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let _lock = lock::acquire(state.path()).unwrap().unwrap();
        let store = Store::open(&path, true).unwrap();
        store.set_number("x", Some(1)).await.unwrap();
        assert_eq!(mode(state.path()), 0o700);
        for name in ["lowtide.db", "lowtide.db-wal", "lowtide.db-shm", "lock"] {
            assert_eq!(mode(&state.path().join(name)), 0o600, "{name}");
        }
    }

    #[tokio::test]
    async fn a_new_database_and_its_copies_are_private_from_the_first_byte() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join("lowtide.db");
        let store = Store::open(&path, true).unwrap();
        let copy = state.path().join("copy.db");
        store.backup(copy.clone()).await.unwrap();
        for path in [path, copy] {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
    }

    #[test]
    fn a_directory_for_everybody_stays_one() {
        let shared = tempfile::tempdir().unwrap();
        std::fs::set_permissions(shared.path(), Permissions::from_mode(0o1777)).unwrap();
        mend(shared.path());
        assert_eq!(mode(shared.path()), 0o1777);
    }
}
