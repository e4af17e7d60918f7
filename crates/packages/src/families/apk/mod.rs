//! What apk would say, from an image's small files and verified indexes. Sources of the rules: apk-package(5), apk-world(5),
//! apk-repositories(5), apk-keys(5), and apk itself (2.14.10 and 3.0.6), which `tests/truth_apk` compares with.

mod calls;
mod entry;
pub mod family;
pub mod index;
pub mod installed;
mod owned;
mod paths;
pub mod pending;
mod programs;
mod relation;
pub mod repositories;
pub mod signature;
mod solve;
pub mod state;
pub mod version;
