//! GitHub's REST API, version 2022-11-28: issues, comments, commit statuses. Says what is there and does what it is told.

pub mod commit;
pub mod connect;
pub mod error;
pub mod issue;
