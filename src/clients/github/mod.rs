//! GitHub's REST API, version 2022-11-28: issues, comments, commit statuses. Reads and writes what its callers request.

pub mod commit;
pub mod connect;
pub mod error;
pub mod issue;
