//! What each kind of target does to the world: one folder per kind. [`effects`] is the contract with the driver.

pub mod adopted;
pub mod command;
pub mod containers;
pub(crate) mod effects;
pub mod self_update;
pub mod services;
