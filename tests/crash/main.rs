//! kill -9 at every boundary, then recovery: a real lowtide on a real engine (`LOWTIDE_TEST_ENGINE`, path of its socket), a
//! real registry (`LOWTIDE_TEST_REGISTRY`, host:port) and a real mail server.
//!
//! Each trial is a small world of its own. A proxy between lowtide and the engine kills it at one call; it is started
//! again and left alone until nothing more happens; then everything is looked at. The matrix is printed, a line per kill
//! point (`LOWTIDE_TEST_ARGS=--nocapture` shows it).
//!
//! - `LOWTIDE_CRASH=all`: kills before, during and after *every* call of a cycle, polls included; about an hour.
//! - `LOWTIDE_CRASH_ONLY=TEXT`: only points whose name contains the text; several with commas between.
//! - `LOWTIDE_CRASH_JOBS=N`: trials at a time, 4 if not given.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on must panic; the matrix is printed"
)]

mod bot;
mod journal;
mod lost;
mod mail;
mod matrix;
mod point;
mod prefixes;
mod proxy;
#[path = "../support/mod.rs"]
mod support;
mod trial;
mod verdict;
mod watch;
mod world;

/// One test, because the points share two cores, and their count is its result.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kill_point_converges() {
    matrix::run().await;
}
