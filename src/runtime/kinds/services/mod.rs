//! Services of Docker Swarm, read and changed as raw JSON, so that fields unknown to any typed binding survive. Read
//! [`preflight`], [`prepull`], [`body`], then the single [`verbs`] and what is seen of them in [`observe`].

pub mod body;
mod effects;
pub mod find;
pub mod logins;
pub mod observe;
mod perform;
pub mod preflight;
pub mod prepull;
pub mod snapshot;
pub mod verbs;
