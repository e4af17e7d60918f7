//! Watches what a test writes into its container's layer: the build host's disk is shared by all apps.

use super::environment::TestEnvironment;
use super::room;
use lowtide_model::failure::{Failure, FailureKind};
use std::time::Duration;
use tokio::time::sleep;

/// Pause between two measurements. For each, the engine walks the container's layer.
const PAUSE: Duration = Duration::from_secs(5);

/// Returns when the container has written more than its limit, or when its engine's disk is full, and never otherwise.
/// Does not stop the container.
pub(super) async fn too_much(environment: &TestEnvironment<'_>, container: &str) -> Failure {
    let limit = environment.limits().disk;
    loop {
        sleep(PAUSE).await;
        // A failed measurement is skipped: the next one may succeed.
        let written = environment.engine.written(container).await.ok().flatten();
        let free = environment.engine.free_space(environment.via).await.ok().flatten();
        if let Some(failure) = judged(written, limit, free) {
            return failure;
        }
    }
}

/// Exceeding the limit is the test's own failure; a full disk is the host's, which all apps share.
fn judged(written: Option<u64>, limit: u64, free: Option<u64>) -> Option<Failure> {
    if let Some(written) = written.filter(|written| *written > limit) {
        let detail = format!("the container wrote {written} bytes to its disk, {limit} are allowed");
        return Some(Failure::new(FailureKind::TestDiskFlood, detail));
    }
    let detail = "the disk of the build host ran full during the tests";
    free.filter(|free| *free < room::LAST)
        .map(|free| Failure::new(FailureKind::DiskFull, format!("{detail}: {free} bytes are left")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_the_tests_fault_and_a_full_disk_nobodys() {
        let kind = |written, free| judged(written, 1000, free).map(|failure| failure.kind);
        assert_eq!(kind(Some(1000), Some(u64::MAX)), None);
        assert_eq!(kind(Some(1001), Some(u64::MAX)), Some(FailureKind::TestDiskFlood));
        assert_eq!(kind(Some(1001), Some(0)), Some(FailureKind::TestDiskFlood));
        assert_eq!(kind(Some(10), Some(room::LAST - 1)), Some(FailureKind::DiskFull));
        assert_eq!(kind(None, Some(room::LAST)), None);
        assert_eq!(kind(None, None), None, "an engine that tells neither");
    }
}
