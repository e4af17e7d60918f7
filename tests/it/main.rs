//! Integration tests: real files, databases, git, registry and mail servers on loopback. No engine.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must panic")]

mod apt;
mod archives;
#[path = "../support/apt/mod.rs"]
mod beside;
mod cli;
mod command;
mod config;
mod deploy;
mod evidence;
mod git;
mod github;
mod halt;
mod layers;
mod mail;
mod monitoring;
mod promotion;
mod registry;
mod store;
#[path = "../support/mod.rs"]
mod support;
mod web;
mod webhook;
mod year;
