//! One file per stage: effect → client calls → outcome.

mod assess;
pub mod bootstrap;
pub mod build;
pub mod environment;
mod findings;
mod follow;
pub mod hidden;
mod ignore;
pub mod inspect;
mod launch;
pub mod publish;
pub mod pull;
mod ready;
pub mod reports;
pub mod resolve;
pub(in crate::runtime) mod room;
pub mod run;
mod running;
pub(in crate::runtime) mod stack;
mod stage_log;
mod steps;
pub mod test;
pub mod testing;
mod writes;
