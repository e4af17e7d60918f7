//! Container registries, over the OCI distribution API (distribution-spec 1.1). oci-client's types stay in this folder.

pub mod connect;
pub mod copy;
pub mod error;
pub mod layers;
mod login;
mod manifest;
mod quota;
pub mod quotas;
mod read;
pub mod remove;
mod request;
pub mod tags;
