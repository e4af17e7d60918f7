//! Containers of a plain engine: by name, by label, or those of a compose project.
//!
//! The order of steps makes sure that at every instant the old or the new container can serve, and that at most one of
//! them ever starts by itself.

mod back;
pub(in crate::kinds) mod config;
mod forward;
pub(crate) mod keys;
mod look;
pub mod model;
mod names;
pub mod order;
pub mod policy;
mod rules;
mod simulation;
pub mod state;
pub mod step;
#[cfg(test)]
pub(crate) mod tests;
