//! Whole nights of the real binary with everything configured: git with a token, a registry with a password, mail over TLS,
//! GitHub, a real engine. `LOWTIDE_TEST_ENGINE`, `LOWTIDE_TEST_REGISTRY`, `LOWTIDE_TEST_REGISTRY_AUTH`,
//! `LOWTIDE_TEST_PYTHON` and `LOWTIDE_TEST_GITHUB_DESCRIPTION` name them; `scripts/test night` starts them all.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on must panic"
)]

mod back;
mod canaries;
mod connect;
mod house;
mod housekeeping;
mod search;
#[path = "../support/mod.rs"]
mod support;
