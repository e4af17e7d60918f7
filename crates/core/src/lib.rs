//! What lowtide decides and says: no I/O, no async, no clock. Time and observations are parameters.
//!
//! Read the modules in this order: [`yaml`] (configuration with places), [`kinds`] (what a target can be), [`channels`] (where
//! messages go), [`fleet`] (what is configured, and what happens to it), [`config`] (text becomes a fleet), [`decide`] (every
//! decision), [`report`] (all wording).

pub mod yaml;

pub mod kinds;

pub mod channels;

pub mod fleet;

pub mod config;

pub mod decide;

pub mod report;
