//! What `apt-get dist-upgrade` would do, from an image's small files and the repositories' indexes, without running apt. Sources of
//! the rules: Debian Policy, apt-get(8), sources.list(5), apt_preferences(5), apt.conf(5), and apt itself, which the tests compare
//! with.
//!
//! [`state::AptState`] is what an image has, [`release::Release`] and [`index::read::Index`] are what a repository offers, and
//! [`pending::pending`] is what an upgrade of everything would do. No I/O: who reads the files and checks the signatures is up to the
//! caller.

pub mod available;
mod conf;
pub mod deb822;
pub mod error;
pub mod index;
mod pattern;
pub mod pending;
pub mod planned;
mod preferences;
mod relation;
pub mod release;
pub mod settings;
mod solve;
pub mod sources;
pub mod state;
pub mod version;
