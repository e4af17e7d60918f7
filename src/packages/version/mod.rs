//! Orders of versions, one file per family.

pub mod apk;
pub mod debian;
