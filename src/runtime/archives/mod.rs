//! Package archives for the whole fleet: each is asked once, verified by each image's own keys, and kept between runs.

pub mod apk;
mod index;
pub mod known;
mod record;
mod release;
pub mod suites;
