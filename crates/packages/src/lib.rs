//! Bytes become inventories and facts. Pure parsers, one file per format.

// What is unreadable in a database, and what an upgrade would do, has one form for all families.
pub use lowtide_apt::{error, planned};

pub mod compare;
pub mod diff;
pub mod dockerfile;
pub mod dockerignore;
pub mod families;
pub mod hash;
pub mod ignore_paths;
mod ignored;
pub mod image;
pub mod junit;
pub mod layer;
pub mod openpgp;
mod origin;
pub mod os_release;
mod owned;
pub mod stale_index;
pub mod tree;
