//! Integration tests: real files, databases, git, registry and mail servers on loopback. No engine.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must panic")]

mod archives;
mod cli;
mod command;
mod config;
mod deploy;
mod dist;
mod evidence;
mod git;
mod github;
mod halt;
mod layers;
mod mail;
mod monitoring;
mod promotion;
mod registry;
mod registry_care;
mod store;
#[path = "../support/mod.rs"]
mod support;
mod web;
mod webhook;
mod year;
