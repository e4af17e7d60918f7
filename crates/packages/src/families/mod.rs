//! Families of package managers: one folder per family with everything about it that is pure. [`family`] is the contract
//! with the shared rules, [`list`] is the list of families. How a family queries its package repositories is in
//! `runtime/families`.

pub mod apk;
pub mod apt;
pub mod family;
pub mod list;
pub mod paths;
pub mod programs;
