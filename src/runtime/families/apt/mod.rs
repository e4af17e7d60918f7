//! apt's archives, and images of dpkg.

mod index;
pub mod known;
mod release;
pub mod suites;
mod survey;
