//! One file per stage: effect → client calls → outcome.

pub mod adopted;
mod assess;
pub mod bootstrap;
pub mod build;
mod command;
pub(super) mod containers;
pub mod environment;
pub mod hidden;
mod ignore;
pub mod inspect;
mod launch;
pub mod publish;
mod ready;
pub mod resolve;
mod room;
pub mod run;
mod running;
pub mod self_update;
mod services;
mod stage_log;
pub mod step;
pub mod test;
pub mod testing;
mod writes;
