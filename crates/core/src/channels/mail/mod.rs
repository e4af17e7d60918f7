//! Mail: one notice per recipient.

pub mod config;
pub mod keys;
pub mod policy;
pub mod route;
