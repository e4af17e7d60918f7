//! YAML with places: what every reader of configuration shares. [`limits`] refuses what must not be parsed, [`tree`] reads
//! it with places, [`from_tree`] turns the tree into the structs of [`raw`], [`second`] reads the text itself into the same
//! structs; [`check`] collects every problem with its place, and where each setting came from.

pub mod age;
pub(crate) mod check;
pub mod diagnostic;
pub(crate) mod from_tree;
pub(crate) mod limits;
pub(crate) mod mask;
pub mod quantity;
pub mod raw;
pub(crate) mod ready;
pub mod scope;
pub mod second;
pub(crate) mod secret;
pub(crate) mod tree;
pub(crate) mod url;
pub(crate) mod words;
