//! Giving a container that serves the names under which others reach the service.

use super::find::inspect;
use super::json::{id, list, object};
use super::network;
use super::snapshot::Snapshot;
use crate::clients::engine::connect::Engine;
use crate::clients::engine::raw::encode;
use crate::model::failure::{Failure, FailureKind};
use serde_json::{Value, json};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// Connects it as the old container is connected. What is so already stays untouched: to change the aliases of a connected
/// endpoint, the engine has to disconnect it. Whether anything was changed.
///
/// # Errors
/// `Diverged` when the container is gone; as the engine refuses.
pub async fn attach(engine: &Engine, snapshot: &[u8], container: &str) -> Result<bool, Failure> {
    let snapshot = Snapshot::from_bytes(snapshot)
        .map_err(|_| Failure::new(FailureKind::Invariant, "the snapshot cannot be read"))?;
    let gone = || Failure::new(FailureKind::Diverged, "the container to connect is gone");
    let found = inspect(engine, container).await.map_err(|e| e.failure())?;
    let now = found.ok_or_else(gone)?;
    let mut changed = false;
    for (name, endpoint) in network::endpoints(&snapshot.container, snapshot.api) {
        let told = |e: crate::clients::engine::error::EngineError| {
            Failure::new(e.failure().kind, format!("network {name}: {e}"))
        };
        let connected = object(&now, "/NetworkSettings/Networks").and_then(|n| n.get(&name));
        let has_all = |current: &Value| {
            let names = list(current, "/Aliases");
            list(&endpoint, "/Aliases").iter().all(|alias| names.contains(alias))
        };
        if connected.is_some_and(has_all) {
            continue;
        }
        changed = true;
        let path = |verb: &str| format!("/networks/{}/{verb}", encode(&name));
        if connected.is_some() {
            let body = json!({"Container": id(&now), "Force": false});
            engine
                .raw_post(&path("disconnect"), Some(&body), PATIENCE)
                .await
                .map_err(told)?;
        }
        let body = json!({"Container": id(&now), "EndpointConfig": endpoint});
        engine
            .raw_post(&path("connect"), Some(&body), PATIENCE)
            .await
            .map_err(told)?;
    }
    Ok(changed)
}
