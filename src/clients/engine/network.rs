//! Networks (and volumes) of a test's own.

use super::connect::{Engine, TIMEOUT_S};
use super::error::EngineError;
use crate::model::fleet::TestNetwork;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

impl Engine {
    /// Creates a bridge network; its id. `TestNetwork::None` has no way out, but its members reach each other.
    ///
    /// # Errors
    /// As the engine refuses, for example when its address pools are used up.
    pub async fn create_network(
        &self,
        name: &str,
        network: TestNetwork,
        labels: &BTreeMap<String, String>,
    ) -> Result<String, EngineError> {
        let body = json!({
            "Name": name,
            "CheckDuplicate": true,
            "Driver": "bridge",
            "Internal": network == TestNetwork::None,
            "Labels": labels,
        });
        let answer = self
            .raw_post("/networks/create", Some(&body), Duration::from_secs(TIMEOUT_S))
            .await?;
        answer["Id"]
            .as_str()
            .map(ToOwned::to_owned)
            .ok_or_else(|| EngineError::Unreadable {
                what: "create network".to_owned(),
                source: "no id in the answer".into(),
            })
    }

    /// Removes a network of ours. One that is gone is fine.
    ///
    /// # Errors
    /// `Refused` while containers are connected to it.
    pub async fn remove_network(&self, id: &str) -> Result<(), EngineError> {
        match self.raw_delete(&format!("/networks/{id}")).await {
            Ok(()) | Err(EngineError::NotFound { .. }) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Creates a named volume for one test.
    ///
    /// # Errors
    /// As the engine refuses.
    pub async fn create_volume(&self, name: &str, labels: &BTreeMap<String, String>) -> Result<(), EngineError> {
        let body = json!({"Name": name, "Labels": labels});
        self.raw_tell("/volumes/create", Some(&body), Duration::from_secs(TIMEOUT_S))
            .await
    }
}
