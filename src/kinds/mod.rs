//! What a target can be: one folder per kind with everything about it that is pure. [`kind`] is what the rules of all
//! rollouts ask of a kind, [`list`] is the list of kinds. What a kind does to the world is in `runtime/kinds`.

pub(crate) mod chosen;
pub mod command;
pub mod containers;
pub mod kind;
pub mod list;
pub mod raw;
pub mod self_update;
pub mod services;
pub mod track;
