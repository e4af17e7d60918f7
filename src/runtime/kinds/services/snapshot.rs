//! A service as it was before anything was touched.

use crate::runtime::kinds::containers::json::text;
use crate::runtime::kinds::containers::snapshot::Snapshot;
use lowtide_model::secret::Secret;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The raw body, as the manager wrote it. It holds the tasks' environment, so it is sealed wherever it is stored.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceSnapshot {
    pub service: Value,
}

impl ServiceSnapshot {
    /// # Errors
    /// Never for a value that came from JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// # Errors
    /// Bytes that [`ServiceSnapshot::to_bytes`] did not write.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// Values in the environment that no log must carry further, by the rule for containers.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        let env = self.service.pointer("/Spec/TaskTemplate/ContainerSpec/Env");
        let container = json!({"Config": {"Env": env.cloned().unwrap_or(Value::Null)}});
        Snapshot {
            container,
            image_config: Value::Null,
            files: Vec::new(),
            tag: None,
            api: 0,
            fixed_restart: false,
        }
        .secrets()
    }
}

impl std::fmt::Debug for ServiceSnapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ServiceSnapshot(…{})", text(&self.service, "/Spec/Name"))
    }
}
