//! What the user set of a container's networks: its endpoints without what the engine assigned.

use super::json::{id, object, short_id, text};
use super::snapshot::Snapshot;
use crate::clients::engine::connect::Engine;
use crate::clients::engine::error::EngineError;
use crate::clients::engine::raw::encode;
use serde_json::{Map, Value, json};

/// What the engine assigns when a container starts, or derives (`DNSNames`, since API 1.44).
const ASSIGNED: &[&str] = &[
    "NetworkID",
    "EndpointID",
    "Gateway",
    "IPAddress",
    "IPPrefixLen",
    "IPv6Gateway",
    "GlobalIPv6Address",
    "GlobalIPv6PrefixLen",
    "MacAddress",
    "DNSNames",
];

/// From this minor API version on a create takes all networks, and each may have a MAC address of the user's. A connect
/// takes one too, shows it, and forgets it at the start (26.1.5).
pub(super) const ALL_AT_CREATE: u32 = 44;

/// From this one on (Docker 28) generated MAC addresses are random; before, they were `02:42` and the IPv4 address.
const RANDOM_MAC: u32 = 48;

/// Networks of a container, by name, with what was set of them. The first is the one of `HostConfig.NetworkMode`. Empty for
/// modes without endpoints of their own (host, none, another container's). `api`: minor API version of the engine.
pub(super) fn endpoints(container: &Value, api: u32) -> Vec<(String, Value)> {
    let mode = text(container, "/HostConfig/NetworkMode");
    if matches!(mode, "host" | "none") || mode.starts_with("container:") {
        return Vec::new();
    }
    let mode = if mode == "default" { "bridge" } else { mode };
    let mut endpoints: Vec<(String, Value)> = object(container, "/NetworkSettings/Networks")
        .into_iter()
        .flatten()
        .map(|(name, endpoint)| (name.clone(), set(endpoint, short_id(container), api)))
        .collect();
    let by_id = named_by_id(container);
    let is_first = |name: &str| name == mode || by_id == Some(name);
    endpoints.sort_by_key(|(name, _)| !is_first(name));
    // Where the engine shows a user's for the first network, at every version.
    let mac = text(container, "/Config/MacAddress");
    if let (Some((_, first)), false) = (endpoints.first_mut(), mac.is_empty()) {
        first["MacAddress"] = json!(mac);
    }
    endpoints
}

/// A network that was deleted and made again has another id: where `NetworkMode` says the old one, it says the name
/// hereafter. Such a container cannot start any more, and its like could not either.
///
/// # Errors
/// As the engine fails.
pub(super) async fn find_again(engine: &Engine, snapshot: &mut Snapshot) -> Result<(), EngineError> {
    let Some(name) = named_by_id(&snapshot.container).map(ToOwned::to_owned) else {
        return Ok(());
    };
    let network = text(&snapshot.container, "/HostConfig/NetworkMode");
    match engine.raw_get(&format!("/networks/{}", encode(network))).await {
        Ok(found) if id(&found).starts_with(network) => Ok(()),
        Ok(_) | Err(EngineError::NotFound { .. }) => {
            snapshot.container["HostConfig"]["NetworkMode"] = json!(name);
            Ok(())
        }
        Err(e) => Err(e),
    }
}

/// Name of the network that `NetworkMode` means by its id.
fn named_by_id(container: &Value) -> Option<&str> {
    let mode = text(container, "/HostConfig/NetworkMode");
    let mut networks = object(container, "/NetworkSettings/Networks").into_iter().flatten();
    let is_meant = |endpoint: &Value| mode.len() >= 12 && text(endpoint, "/NetworkID").starts_with(mode);
    networks
        .find(|(name, endpoint)| *name != mode && is_meant(endpoint))
        .map(|(name, _)| name.as_str())
}

/// Did the user set this endpoint's MAC address? Only a running container shows it. One that the engine generates is
/// locally administered (IEEE 802, second lowest bit of the first octet) and, before [`RANDOM_MAC`], begins with `02:42`.
fn is_given(mac: &str, api: u32) -> bool {
    let first = mac
        .split(':')
        .next()
        .and_then(|octet| u8::from_str_radix(octet, 16).ok());
    let Some(first) = first.filter(|_| api >= ALL_AT_CREATE) else {
        return false;
    };
    first & 2 == 0 || (api < RANDOM_MAC && !mac.to_ascii_lowercase().starts_with("02:42:"))
}

fn set(endpoint: &Value, short_id: &str, api: u32) -> Value {
    let mut out = Map::new();
    for (key, value) in endpoint.as_object().into_iter().flatten() {
        let is_given = key == "MacAddress" && value.as_str().is_some_and(|mac| is_given(mac, api));
        if (ASSIGNED.contains(&key.as_str()) && !is_given) || value.is_null() {
            continue;
        }
        if key == "Aliases" {
            let given: Vec<&Value> = value
                .as_array()
                .into_iter()
                .flatten()
                .filter(|a| a.as_str() != Some(short_id))
                .collect();
            if !given.is_empty() {
                out.insert(key.clone(), json!(given));
            }
            continue;
        }
        out.insert(key.clone(), value.clone());
    }
    Value::Object(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_mac_address_is_reported_from_a_generated_one() {
        for (mac, api, given) in [
            ("02:42:0a:63:01:02", 45, false),
            ("02:aa:bb:cc:dd:ee", 45, true),
            ("00:16:3e:00:00:01", 45, true),
            // Before per-network addresses nothing preserves one.
            ("02:aa:bb:cc:dd:ee", 41, false),
            // Random since Docker 28: it cannot be told apart.
            ("fe:aa:bb:cc:dd:ee", 51, false),
            ("00:16:3e:00:00:01", 51, true),
            ("", 45, false),
        ] {
            assert_eq!(is_given(mac, api), given, "{mac} {api}");
        }
    }
}
