//! How each family of package managers asks its package repositories, and surveys images with what they say: one folder
//! per family. [`effects`] is the contract with the survey.

pub mod apk;
pub mod apt;
pub(crate) mod effects;
