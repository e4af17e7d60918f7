//! Services of Docker Swarm, read and changed as raw JSON, so that fields unknown to any typed binding survive. Read
//! [`preflight`], [`prepull`], [`body`], then the single [`verbs`] and what is seen of them in [`observe`].

pub mod body;
pub mod find;
pub mod observe;
pub mod preflight;
pub mod prepull;
pub mod snapshot;
pub mod verbs;
