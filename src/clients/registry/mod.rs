//! Container registries, over the OCI distribution API (distribution-spec 1.1). oci-client's types stay in this folder.

mod connect;
mod copy;
mod error;
mod login;
mod manifest;
mod read;

pub use connect::{Registry, Timeouts};
pub use copy::TagRule;
pub use error::RegistryError;
