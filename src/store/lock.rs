//! One bot, one state directory. The kernel frees the lock when its owner dies: no lease to wait for.

use super::error::StoreError;
use super::{backup, private};
use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::path::Path;

/// Held for as long as it lives.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

/// Takes the lock of a state directory, creating the directory (0700) if it is missing. `None`: another process holds it.
///
/// # Errors
/// `File` when the directory cannot be used, `HalfRestored`.
pub fn acquire(state: &Path) -> Result<Option<StateLock>, StoreError> {
    let lock = acquire_unfinished(state)?;
    if lock.is_some() && backup::is_partial(state) {
        let path = state.display().to_string();
        return Err(StoreError::HalfRestored { path });
    }
    Ok(lock)
}

/// As [`acquire`], also of a state that is half restored.
pub(super) fn acquire_unfinished(state: &Path) -> Result<Option<StateLock>, StoreError> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    let file_error = |path: &Path| {
        let path = path.display().to_string();
        move |source| StoreError::File { path, source }
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state)
        .map_err(file_error(state))?;
    let path = state.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(file_error(&path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {
            private::mend(state);
            Ok(Some(StateLock { _file: file }))
        }
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(file_error(&path)(errno.into())),
    }
}
