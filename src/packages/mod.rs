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
pub mod image;
pub mod junit;
pub mod layer;
mod noise;
pub mod openpgp;
mod origin;
pub mod os_release;
pub mod own_noise;
mod owned;
pub mod planned;
pub mod tree;
pub mod version;
