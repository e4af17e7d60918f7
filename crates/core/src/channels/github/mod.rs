//! GitHub: a status per commit, an issue per incident, a comment on the pull request that is to blame.

pub mod config;
pub mod keys;
pub mod policy;
pub mod route;
