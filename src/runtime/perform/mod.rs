//! One file per stage: effect → client calls → outcome.

pub mod bench;
pub mod bootstrap;
mod launch;
mod ready;
pub mod test;
mod trail;
