//! What runs releases: targets behind one set of verbs.

pub mod command;
pub mod docker;
pub mod swarm;
