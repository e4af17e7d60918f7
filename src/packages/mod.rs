//! Bytes become inventories and facts. Pure parsers, one file per format.

pub mod apk;
pub mod apk_signature;
pub mod apt;
pub mod compare;
pub mod compose;
mod deb822;
pub mod diff;
pub mod dockerfile;
pub mod dockerignore;
pub mod dpkg;
pub mod error;
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
pub mod planned;
pub mod tree;
pub mod version;
