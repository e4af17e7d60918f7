//! How images of apt are read: dpkg's database, the calls of apt in a Dockerfile, and which signed files of a repository are believed.
//! What an upgrade would do is decided in `lowtide_apt`.

pub mod believe;
mod calls;
pub mod condensed;
pub mod family;
mod owned;
mod paths;
mod programs;
pub mod status;
pub mod trust;
