//! Families of package managers: one folder per family with everything about it that is pure.

pub mod apk;
pub mod apt;
