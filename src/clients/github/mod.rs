//! GitHub's REST API, version 2022-11-28: issues, comments, commit statuses, check runs, deployments. Reads and writes what its
//! callers request.

pub mod check;
pub mod commit;
pub mod connect;
pub mod deployment;
pub mod error;
pub mod issue;
