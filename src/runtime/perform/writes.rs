//! What a test writes into its container's layer lies on the build host's disk, which all apps share.

use super::bench::Bench;
use super::room;
use crate::model::failure::{Failure, FailureKind};
use std::time::Duration;
use tokio::time::sleep;

/// Between two looks. The engine walks the container's layer for each.
const PAUSE: Duration = Duration::from_secs(5);

/// Ends when the container has written more than it may, or when its engine's disk runs full, and never otherwise. The
/// container still runs then.
pub(super) async fn too_much(bench: &Bench<'_>, container: &str) -> Failure {
    let limit = bench.limits().disk;
    loop {
        sleep(PAUSE).await;
        // A look that fails says nothing; the next one may.
        let written = bench.engine.written(container).await.ok().flatten();
        let free = bench.engine.free_space(bench.via).await.ok().flatten();
        if let Some(failure) = judged(written, limit, free) {
            return failure;
        }
    }
}

/// The limit is the test's own; the disk is everybody's.
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
