//! Programs beside lowtide: what no engine of ours runs.

mod effects;
pub mod lock;
mod perform;
pub mod probe;
pub mod process;
