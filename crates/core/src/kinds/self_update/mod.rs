//! lowtide's own container. Its steps are those of any container ([`super::containers`]); [`owner`] decides which process
//! may take the planned step, because no process can start its successor after its own stop.

mod config;
pub(crate) mod keys;
pub mod model;
pub mod owner;
pub mod policy;
mod rules;
mod simulation;
pub mod state;
pub mod step;
#[cfg(test)]
mod tests;
