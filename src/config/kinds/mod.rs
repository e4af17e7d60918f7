//! How each kind of target is written down.

mod command;
mod containers;
pub(super) mod list;
mod self_update;
mod services;
