//! Text becomes a fleet. Pure: the caller reads files and commits; this layer reads text.
//!
//! The way of the text: [`crate::yaml`] reads it with places, [`shape`] compares the tree with the JSON Schema of [`raw`].
//! [`merge`] lays an app over its profile over the defaults, and [`validate`] turns that into a
//! [`Fleet`](crate::fleet::app::Fleet), collecting every problem.

mod age;
mod app;
#[cfg(test)]
mod corpus_tests;
pub mod engine;
pub mod followed;
pub mod form;
mod halt;
mod merge;
mod package_repositories;
mod publish;
pub mod raw;
mod registries;
mod remote;
pub mod repository_file;
mod shape;
mod steps;
mod target;
mod testing;
pub mod unread;
pub mod validate;
pub mod warning;
mod web;
mod window;
