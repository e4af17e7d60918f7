//! Families of package managers: one folder per family with everything about it that is pure. [`family`] is the contract
//! with the shared rules, [`list`] is the list of families. How a family asks its package repositories is in
//! `runtime/families`.

pub mod apk;
pub mod apt;
pub(crate) mod family;
pub(crate) mod list;
pub(crate) mod paths;
pub(crate) mod programs;
