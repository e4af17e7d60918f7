//! Networks (and volumes) of a test's own.

use super::connect::{Engine, TIMEOUT_S};
use super::error::EngineError;
use super::spec::endpoint;
use lowtide_model::policy::TestNetwork;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// The driver's option (docs.docker.com, "Bridge network driver", "Default bridge driver options").
const MTU: &str = "com.docker.network.driver.mtu";

/// A volume of a test's own.
#[derive(Debug, Clone, Copy)]
pub struct NewVolume<'a> {
    pub name: &'a str,
    /// `None`: the engine's own.
    pub driver: Option<&'a str>,
    pub options: &'a BTreeMap<String, String>,
    pub labels: &'a BTreeMap<String, String>,
}

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
        let options: BTreeMap<&str, String> = self.mtu().await.map(|mtu| (MTU, mtu)).into_iter().collect();
        let body = json!({
            "Name": name,
            "CheckDuplicate": true,
            "Driver": "bridge",
            "Internal": network == TestNetwork::None,
            "Labels": labels,
            "Options": options,
        });
        let response = self
            .raw_post("/networks/create", Some(&body), Duration::from_secs(TIMEOUT_S))
            .await?;
        response["Id"]
            .as_str()
            .map(ToOwned::to_owned)
            .ok_or_else(|| EngineError::Unreadable {
                what: "create network".to_owned(),
                source: "no id in the answer".into(),
            })
    }

    /// The MTU of the engine's default network (`dockerd --mtu`). Docker does not give it to other networks. Behind a VPN or an overlay,
    /// whose packets are smaller than 1500 bytes, a test that downloads something would fail, and its image would be blamed.
    async fn mtu(&self) -> Option<String> {
        match self.raw_get("/networks/bridge").await {
            Ok(network) => network["Options"][MTU].as_str().map(ToOwned::to_owned),
            // Podman has another name for it, `dockerd --bridge=none` has none, and a proxy of the engine's API may deny it: the engine's
            // usual MTU will do in most places.
            Err(error) => {
                tracing::debug!(%error, "the MTU of the default network is not known");
                None
            }
        }
    }

    /// Puts a container on one more network, under these names; `links` as in [`super::spec::Attach`].
    ///
    /// # Errors
    /// As the engine refuses.
    pub async fn connect_container(
        &self,
        network: &str,
        container: &str,
        aliases: &[String],
        links: &[String],
    ) -> Result<(), EngineError> {
        let body = json!({"Container": container, "EndpointConfig": endpoint(aliases, links)});
        let path = format!("/networks/{network}/connect");
        self.raw_post_only(&path, Some(&body), Duration::from_secs(TIMEOUT_S))
            .await
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
    pub async fn create_volume(&self, volume: &NewVolume<'_>) -> Result<(), EngineError> {
        let NewVolume {
            name,
            driver,
            options,
            labels,
        } = volume;
        let body = json!({
            "Name": name,
            "Driver": driver.unwrap_or("local"),
            "DriverOpts": options,
            "Labels": labels,
        });
        self.raw_post_only("/volumes/create", Some(&body), Duration::from_secs(TIMEOUT_S))
            .await
    }
}
