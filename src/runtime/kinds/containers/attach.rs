//! Giving a container that serves the names under which others reach the service.

use super::fidelity::lost_networks;
use super::find::inspect;
use super::json::{id, list, name, object, text};
use super::network;
use super::snapshot::Snapshot;
use crate::clients::engine::connect::Engine;
use crate::clients::engine::raw::encode;
use lowtide_model::failure::{Failure, FailureKind};
use serde_json::{Value, json};
use std::time::Duration;

const NETWORKS: &str = "/NetworkSettings/Networks";

const PATIENCE: Duration = Duration::from_secs(60);

/// Networks that the service shares with the router: there, requests reach the service through the router.
///
/// # Errors
/// As the engine fails.
pub async fn shared(engine: &Engine, snapshot: &[u8], router: &str) -> Result<Vec<String>, Failure> {
    let snapshot = Snapshot::read(snapshot)?;
    let router = inspect(engine, router).await.map_err(|e| e.failure())?;
    let routers = router.as_ref().and_then(|r| object(r, NETWORKS));
    let endpoints = network::endpoints(&snapshot.container, snapshot.api);
    Ok(endpoints
        .into_iter()
        .map(|(network, _)| network)
        .filter(|network| routers.is_some_and(|r| r.contains_key(network)))
        .collect())
}

/// Removes the service's names in these networks from the body. A network other than the one of `NetworkMode` is left
/// out and joined later, which keeps connections through other networks open.
pub(super) fn withhold(container: &mut Value, networks: &[String]) {
    let mode = text(container, "/HostConfig/NetworkMode").to_owned();
    let Some(endpoints) = container.pointer_mut(NETWORKS).and_then(Value::as_object_mut) else {
        return;
    };
    for network in networks {
        let first = endpoints
            .get(network)
            .is_some_and(|e| *network == mode || text(e, "/NetworkID") == mode);
        if !first {
            endpoints.shift_remove(network);
        } else if let Some(endpoint) = endpoints.get_mut(network) {
            endpoint["Aliases"] = Value::Null;
        }
    }
}

/// Connects the container to the old one's networks. A connection with all aliases stays untouched, because the engine
/// can change the aliases of an endpoint only by disconnecting it. Returns whether anything changed.
///
/// # Errors
/// `Diverged` when the container is gone; as the engine refuses.
pub async fn attach(engine: &Engine, snapshot: &[u8], container: &str) -> Result<bool, Failure> {
    let snapshot = Snapshot::read(snapshot)?;
    let gone = || Failure::new(FailureKind::Diverged, "the container to connect is gone");
    let found = inspect(engine, container).await.map_err(|e| e.failure())?;
    let now = found.ok_or_else(gone)?;
    let mut changed = false;
    for (network, endpoint) in network::endpoints(&snapshot.container, snapshot.api) {
        let failed = |e: crate::clients::engine::error::EngineError| {
            Failure::new(e.failure().kind, format!("network {network}: {e}"))
        };
        let connected = object(&now, NETWORKS).and_then(|n| n.get(&network));
        let has_all = |current: &Value| {
            let names = list(current, "/Aliases");
            list(&endpoint, "/Aliases").iter().all(|alias| names.contains(alias))
        };
        if connected.is_some_and(has_all) {
            continue;
        }
        changed = true;
        let path = |verb: &str| format!("/networks/{}/{verb}", encode(&network));
        if connected.is_some() {
            let body = json!({"Container": id(&now), "Force": false});
            engine
                .raw_post_only(&path("disconnect"), Some(&body), PATIENCE)
                .await
                .map_err(failed)?;
        }
        let body = json!({"Container": id(&now), "EndpointConfig": endpoint});
        engine
            .raw_post_only(&path("connect"), Some(&body), PATIENCE)
            .await
            .map_err(failed)?;
    }
    if changed {
        check_fidelity(engine, &snapshot, container).await?;
    }
    Ok(changed)
}

/// What was withheld at the create could not be compared then.
async fn check_fidelity(engine: &Engine, snapshot: &Snapshot, container: &str) -> Result<(), Failure> {
    let now = inspect(engine, container).await.map_err(|e| e.failure())?;
    let now = now.ok_or_else(|| Failure::new(FailureKind::Diverged, "the connected container is gone"))?;
    let lost = lost_networks(snapshot, &now);
    if lost.is_empty() {
        return Ok(());
    }
    let detail = format!("{}: the engine did not keep {}", name(&now), lost.join(", "));
    Err(Failure::new(FailureKind::PreflightRefused, detail))
}
