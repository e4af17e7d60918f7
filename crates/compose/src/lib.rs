//! Compose files as `docker compose` reads them (Compose Specification), with the place of every value.
//!
//! What is read is what `docker compose config` shows: several files and their overrides, `include`, `extends`, anchors and
//! interpolation. Reading opens no file by itself: the caller hands in what a path holds, so nothing outside a commit can be read.

mod canonical;
pub mod dotenv;
mod extend;
pub mod load;
pub mod merge;
pub mod mounts;
mod normal;
mod paths;
pub mod quantity;
pub mod refusal;
pub mod rights;
pub mod service;
mod settings;
pub mod stack;
pub mod template;
pub mod value;
pub mod yaml;
