//! lowtide keeps a fleet of container images fresh: *Rebuild at night. Test what you ship. Roll out at low tide.*
//!
//! Read the modules in this order: [`model`] (the nouns), [`yaml`] (configuration with places), [`kinds`] (what a target can be), [`channels`] (where messages go),
//! [`fleet`] (what is configured,
//! and what happens to it), [`config`] (text becomes a fleet), [`packages`] (bytes become an
//! inventory), [`decide`] (every decision, pure), [`report`] (all wording), [`store`] (the journal and what else is
//! kept), [`clients`] (one file per outside system), [`runtime`] (where they meet), then the doors: web and cli.

pub mod model;

pub mod yaml;

pub mod kinds;

pub mod channels;

pub mod fleet;

pub mod config;

pub mod packages;

pub mod decide;

pub mod report;

pub mod store;

pub mod clients;

pub mod runtime;

pub mod web;

pub mod cli;
