//! Text becomes a fleet. Pure: the caller reads files and commits; this layer reads text.

pub mod diagnostic;
pub mod raw;
pub mod validate;
