//! One file per stage: effect → client calls → outcome.

pub mod bootstrap;
pub mod test;
