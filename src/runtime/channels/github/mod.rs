//! GitHub's check runs, statuses, deployments, issues and comments.

mod check;
pub mod courier;
mod deployment;
mod markdown;
pub mod post;
mod rights;
