//! Bytes become inventories and facts. Pure parsers, one file per format.

pub mod apk;
pub mod compare;
pub mod compose;
pub mod diff;
pub mod dockerfile;
pub mod dockerignore;
pub mod dpkg;
pub mod error;
mod hash;
pub mod image;
pub mod junit;
pub mod layer;
mod noise;
mod origin;
pub mod os_release;
mod owned;
pub mod tree;
