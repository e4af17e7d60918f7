//! GitHub cannot be had, so it is faked: at the wire, with a memory, and kept to its published description.

pub(crate) mod app;
pub(crate) mod description;
pub(crate) mod fake;
