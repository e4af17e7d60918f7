//! Programs beside lowtide: what no engine of ours runs.

pub mod probe;
pub mod process;
pub mod turn;
