//! What we say an upgrade would do, beside what apt itself says: in images with histories, and in random archives.
//!
//! `LOWTIDE_TEST_ROOTS` names the folder that `scripts/lib/apt-roots` filled; `scripts/test truth` does both.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on must panic; the table is for people"
)]

mod archive;
#[path = "../beside/mod.rs"]
mod beside;
mod images;
mod random;
mod versions;
