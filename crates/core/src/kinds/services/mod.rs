//! Services of Docker Swarm. Swarm replaces the tasks; lowtide decides when to start, whether the update succeeded, the
//! deadline, and the rollback. The verdict comes from the tasks' own images and states, never from Swarm's update status
//! alone: `completed` can mean that every task failed, and after a failover failures before it are forgotten.

mod back;
mod config;
mod forward;
pub(crate) mod keys;
pub mod model;
mod plan;
pub mod policy;
mod rules;
mod simulation;
pub mod state;
pub mod step;
#[cfg(test)]
mod tests;
mod verdict;
