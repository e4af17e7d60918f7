//! lowtide keeps a fleet of container images fresh: *Rebuild at night. Test what you ship. Roll out at low tide.*
//!
//! The crates below know no outside world: `lowtide_model` (the nouns), `lowtide_packages` (bytes become an inventory) and
//! `lowtide_core` (every decision and all wording). Here is what meets the world: [`store`] (the journal and what else is kept),
//! [`clients`] (one file per outside system), [`runtime`] (where they meet), then the doors: web and cli.

pub use lowtide_core::{channels, config, decide, fleet, kinds, report, yaml};
pub use lowtide_model as model;
pub use lowtide_packages as packages;

pub mod store;

pub mod clients;

pub mod runtime;

pub mod web;

pub mod cli;
