//! Package archives: fetching what they publish, within limits, and unpacking it. What it means is decided elsewhere.

pub mod address;
pub mod error;
pub mod fetch;
mod receive;
pub mod unpack;
