//! A command as a target, for whatever no engine of ours runs. Such a target cannot be inspected, so the app's own record
//! says what runs there. The command must be idempotent, because after a kill lowtide cannot know whether it completed.

mod config;
pub(crate) mod keys;
pub mod model;
pub mod plan;
pub mod policy;
mod rules;
mod simulation;
pub mod state;
pub mod step;
#[cfg(test)]
mod tests;
