//! A container as it was before anything was touched: what a new one is made from, and what a revert goes back to.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Raw bodies, as the engine wrote them. They hold the container's environment, so they are sealed wherever they are kept.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Inspect body of the container.
    pub container: Value,
    /// `Config` of the image it was made from: without it nobody can tell what the user set from what the image brought.
    pub image_config: Value,
}

impl Snapshot {
    /// # Errors
    /// Never for a value that came from JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// # Errors
    /// Bytes that [`Snapshot::to_bytes`] did not write.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Snapshot(…{})", super::json::name(&self.container))
    }
}
