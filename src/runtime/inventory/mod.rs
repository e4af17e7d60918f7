//! What is inside an image, read from an engine or from a registry. No container is made, and nothing is put on disk but
//! the tables of layers.

pub mod compare;
pub mod engine;
pub mod error;
mod pipe;
pub mod registry;
pub mod seen;
pub mod tables;
