//! GitHub's statuses, issues and comments.

pub mod courier;
mod markdown;
pub mod post;
