//! Notifies a router of a change, by a command inside its container.

use super::find::inspect;
use super::hook::{HookResult, run_with};
use super::json::{name, object, text};
use crate::clients::engine::connect::Engine;
use lowtide_core::kinds::containers::policy::Router;
use lowtide_core::kinds::containers::step::RouteChange;
use lowtide_model::failure::{Failure, FailureKind};
use serde_json::Value;

/// Notifies the router of the change. If no command is configured for it, the router learns of the change by other
/// means.
///
/// # Errors
/// `RouterFailed` in the command's own words, or when the router does not run; as the engine fails.
pub async fn route(engine: &Engine, router: &Router, container: &str, change: RouteChange) -> Result<(), Failure> {
    let command = match change {
        RouteChange::Join => &router.join,
        RouteChange::Leave => &router.leave,
        RouteChange::Pause => &router.pause,
        RouteChange::Resume => &router.resume,
    };
    if command.is_empty() {
        return Ok(());
    }
    let gone = |what: &str| Failure::new(FailureKind::RouterFailed, format!("the container {what} is gone"));
    let look = async |id: &str| inspect(engine, id).await.map_err(|e| e.failure());
    let at = look(&router.container).await?.ok_or_else(|| gone(&router.container))?;
    let inspected = look(container).await?.ok_or_else(|| gone(container))?;
    let env = [
        format!("LOWTIDE_CONTAINER={}", name(&inspected)),
        format!("LOWTIDE_ADDRESS={}", address(&at, &inspected).unwrap_or_default()),
    ];
    let timeout = router.timeout.unsigned_abs();
    let ended = run_with(engine, &router.container, command, &env, timeout)
        .await
        .map_err(|e| e.failure())?;
    let failed = |how: String, output| {
        let detail = format!("`{}` in {} {how}", command.join(" "), router.container);
        Err(Failure::new(FailureKind::RouterFailed, detail).with_excerpt::<String>(output))
    };
    match ended {
        HookResult::Passed => Ok(()),
        HookResult::Busy => failed("exited with code 75".to_owned(), Vec::new()),
        HookResult::Failed { code, output } => failed(format!("exited with code {code}"), output),
        HookResult::TimedOut { output } => failed(format!("did not end within {} s", timeout.as_secs()), output),
    }
}

/// Where the router reaches the container: its address in the first network they share; else, for a router in the host's
/// own network, any.
fn address<'a>(router: &Value, container: &'a Value) -> Option<&'a str> {
    const NETWORKS: &str = "/NetworkSettings/Networks";
    let shared = object(router, NETWORKS);
    let host = text(router, "/HostConfig/NetworkMode") == "host";
    let mut own = object(container, NETWORKS)?.iter();
    own.find_map(|(network, endpoint)| {
        let reachable = host || shared.is_some_and(|networks| networks.contains_key(network));
        let v4 = text(endpoint, "/IPAddress");
        let v6 = text(endpoint, "/GlobalIPv6Address");
        let address = if v4.is_empty() { v6 } else { v4 };
        (reachable && !address.is_empty()).then_some(address)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_address_is_one_the_router_can_reach() {
        let container = json!({"NetworkSettings": {"Networks": {
            "back": {"IPAddress": "10.0.0.2"}, "edge": {"IPAddress": "10.1.0.2"}, "six": {"IPAddress": "", "GlobalIPv6Address": "fd00::2"},
        }}});
        let router = |mode: &str, networks: &[&str]| {
            let networks: serde_json::Map<String, Value> =
                networks.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
            json!({"HostConfig": {"NetworkMode": mode}, "NetworkSettings": {"Networks": networks}})
        };
        for (mode, networks, found) in [
            ("edge", vec!["edge"], Some("10.1.0.2")),
            ("six", vec!["six"], Some("fd00::2")),
            ("host", vec!["host"], Some("10.0.0.2")),
            ("other", vec!["other"], None),
        ] {
            assert_eq!(address(&router(mode, &networks), &container), found, "{mode}");
        }
    }
}
