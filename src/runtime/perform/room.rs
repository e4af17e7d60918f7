//! Checks of free disk space, for the state directory and for engines.

use super::build::local_file;
use crate::clients::engine::connect::Engine;
use crate::clients::engine::probe::ProbePath;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::name::HostName;
use std::io;
use std::path::Path;

/// Free bytes required for the journal, the snapshots and the mails of one rollout; one of a hundred containers writes
/// a tenth of that. If the disk filled up after the stop of an old container, nothing could start the new one.
pub(in crate::runtime) const ROLLOUT: u64 = 64 << 20;

/// Free bytes required for a pull; with less, the disk counts as full.
const PULL: u64 = 512 << 20;

/// With fewer free bytes than this, the next write is likely to fail.
pub(in crate::runtime) const LAST: u64 = 64 << 20;

/// Checks that `needed` bytes are free where the engine keeps its images; passes where that cannot be determined.
///
/// # Errors
/// `DiskFull`, or when the engine does not respond.
pub(in crate::runtime) async fn enough_on(
    engine: &Engine,
    host: &HostName,
    via: &ProbePath,
    needed: u64,
) -> Result<(), Failure> {
    let free = engine.free_space(via).await.map_err(|e| e.failure())?;
    match free.filter(|free| *free < needed) {
        Some(free) => {
            let detail = format!(
                "{free} bytes are free where the engine of host {host} stores its images; {needed} are required"
            );
            Err(Failure::new(FailureKind::DiskFull, detail))
        }
        None => Ok(()),
    }
}

/// Free bytes required for a pull. `limits.min_free_disk` is meant for builds, and only lowers this.
pub(in crate::runtime) fn for_a_pull(min_free_disk: u64) -> u64 {
    PULL.min(min_free_disk)
}

/// Checks that `needed` bytes are free in `state`.
///
/// # Errors
/// `DiskFull`.
pub(in crate::runtime) fn enough(state: &Path, needed: u64) -> Result<(), Failure> {
    suffices(free(state).map_err(|e| local_file(state, &e))?, needed)
}

/// Bytes that are free in `state` for whom lowtide runs as.
///
/// # Errors
/// When the file system does not say.
pub(in crate::runtime) fn free(state: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(state)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

fn suffices(free: u64, needed: u64) -> Result<(), Failure> {
    if free < needed {
        let detail = format!("{free} bytes are free on the disk of lowtide's state; {needed} are required");
        return Err(Failure::new(FailureKind::DiskFull, detail));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_rollout_begins_without_room_for_its_journal() {
        assert_eq!(suffices(ROLLOUT, ROLLOUT), Ok(()));
        let failure = suffices(ROLLOUT - 1, ROLLOUT).unwrap_err();
        insta::assert_snapshot!(failure, @"there is not enough disk space: 67108863 bytes are free on the disk of lowtide's state; 67108864 are required");
        // This very machine, and a disk that nobody has.
        assert_eq!(enough(Path::new("/"), 0), Ok(()));
        assert_eq!(
            enough(Path::new("/"), u64::MAX).unwrap_err().kind,
            FailureKind::DiskFull
        );
    }
}
