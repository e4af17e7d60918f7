//! What a target can be: one folder per kind with everything about it that is pure. [`kind`] is the contract
//! with the shared rollout rules, [`list`] is the list of kinds. What a kind does to the world is in `runtime/kinds`.

pub(crate) mod chosen;
pub mod command;
pub mod containers;
pub mod kind;
pub mod list;
pub mod raw;
pub mod self_update;
pub mod services;
pub mod track;
