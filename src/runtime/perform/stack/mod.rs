//! The repository's own stack: its compose files, read from a work tree; the images and files of its services.

pub(super) mod copy;
pub(super) mod files;
pub(in crate::runtime) mod images;
pub(super) mod read;
mod tree;
