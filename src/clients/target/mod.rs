//! What runs releases: targets behind one set of verbs.

pub mod docker;
pub mod swarm;
