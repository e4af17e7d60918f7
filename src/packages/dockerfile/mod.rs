//! Dockerfiles: stages, bases, and pinning the bases to digests. Only what decides about bases is understood; the
//! builder judges the rest. Rules: the Dockerfile reference, and BuildKit's parser where it is silent.

pub mod bases;
pub mod error;
mod expand;
mod lines;
pub mod parse;
mod pin;
pub mod refresh;
mod shell;
pub mod upgrade;
