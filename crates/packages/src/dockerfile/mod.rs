//! Dockerfiles: stages, bases, and pinning the bases to digests. Only what decides about bases is understood; the
//! builder judges the rest. Rules: the Dockerfile reference, and BuildKit's parser where it is silent.

pub mod bases;
mod directives;
pub mod error;
mod expand;
mod instruction;
mod lines;
pub mod parse;
mod pattern;
pub mod pin;
pub mod platform;
pub mod refresh;
mod scope;
mod shell;
pub mod upgrade;
