//! Each stage's effect (all its parameters, pinned when it is planned) with its own outcome.

pub mod bootstrap;
pub mod build;
pub mod inspect;
pub mod publish;
pub mod pull;
pub mod resolve;
pub mod test;
