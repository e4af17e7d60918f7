//! Tests on a real Docker engine: the private one that `scripts/test` starts and names in `LOWTIDE_TEST_ENGINE`
//! (path of its socket).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must panic")]

mod build;
mod engine;
mod followed;
mod freshness;
mod image;
mod inventory;
mod outdated;
mod plain;
mod proxy;
mod remote;
mod repository_file;
mod roll;
mod self_update;
#[path = "../support/mod.rs"]
mod support;
mod swarm;
mod testing;
