//! Real servers, and the one fake, that several test binaries talk to.

#![allow(dead_code, reason = "no binary uses all of it")]

pub(crate) mod changes;
pub(crate) mod engine;
pub(crate) mod git_http;
pub(crate) mod github;
pub(crate) mod mail;
pub(crate) mod opened;
pub(crate) mod serving;
pub(crate) mod ssh;
pub(crate) mod token_registry;
