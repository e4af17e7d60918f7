//! The HTML pages. They load nothing from anywhere, and need no script.

pub(super) mod app;
mod app_parts;
mod blocks;
pub(super) mod fleet;
mod layout;
pub(super) mod missing;
mod moves;
mod plot;
pub(super) mod rollout;
pub(super) mod run;
mod style;
