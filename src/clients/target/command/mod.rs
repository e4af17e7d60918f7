//! Programs beside lowtide: what no engine of ours runs.

pub mod lock;
pub mod probe;
pub mod process;
