//! One file per stage: effect → client calls → outcome.

pub mod adopted;
pub mod bench;
pub mod bootstrap;
pub mod build;
mod command;
pub(super) mod containers;
pub mod hidden;
mod ignore;
pub mod inspect;
pub mod itself;
mod launch;
mod outlook;
pub mod publish;
mod ready;
pub mod resolve;
mod room;
pub mod run;
mod running;
mod services;
pub mod step;
pub mod test;
pub mod testing;
mod trail;
mod writes;
