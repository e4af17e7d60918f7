//! Orders of versions, one file per family.

pub mod debian;
