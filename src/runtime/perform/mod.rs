//! One file per stage: effect → client calls → outcome.

pub mod bootstrap;
pub mod build;
pub mod inspect;
pub mod publish;
pub mod resolve;
pub mod run;
pub mod step;
pub mod test;
pub mod testing;
