//! A signed webhook: every message, as JSON.

pub mod config;
pub mod keys;
pub mod policy;
pub mod route;
