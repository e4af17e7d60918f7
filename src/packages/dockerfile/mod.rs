//! Dockerfiles: stages, bases, and pinning the bases to digests. Only what decides about bases is understood; the
//! builder judges the rest. Rules: the Dockerfile reference, and BuildKit's parser where it is silent.

mod bases;
mod error;
mod expand;
mod lines;
mod parse;
mod pin;

pub use bases::{BaseUse, Via};
pub use error::{DockerfileError, Problem};
pub use parse::{Dockerfile, parse};
