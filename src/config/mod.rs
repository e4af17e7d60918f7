//! Text becomes a fleet. Pure: the caller reads files and commits; this layer reads text.
//!
//! The way of the text: [`limits`] refuses what must not be parsed, [`tree`] reads it with places, [`shape`] compares the
//! tree with the JSON Schema of [`raw`], [`from_tree`] turns the tree into structs, and `raw` reads the text itself into the same
//! structs. [`merge`] lays an app over its profile over the defaults, and [`validate`] turns that into a [`Fleet`](crate::fleet::app::Fleet), collecting every [`diagnostic`].

mod app;
mod check;
pub mod defaults;
pub mod diagnostic;
pub mod engine;
pub mod form;
mod from_tree;
mod halt;
mod kinds;
mod limits;
mod mask;
mod merge;
mod package_repositories;
mod publish;
mod quantity;
pub mod raw;
mod remote;
mod scope;
mod shape;
mod target;
mod testing;
mod tree;
pub mod unread;
pub mod validate;
pub mod warning;
mod web;
mod window;
