//! What the user set of a container's networks: its endpoints without what the engine assigned.

use super::json::{object, short_id, text};
use serde_json::{Map, Value, json};

/// What the engine assigns when a container starts, or derives (`DNSNames`, since API 1.44). A MAC address is assigned unless
/// `Config.MacAddress` says otherwise: that is where the engine shows a user's.
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

/// Networks of a container, by name, with what was set of them. The first is the one of `HostConfig.NetworkMode`; it is
/// sent with the create, the others are connected before the start, which every API version allows. Empty for modes
/// without endpoints of their own (host, none, another container's).
pub(super) fn endpoints(container: &Value) -> Vec<(String, Value)> {
    let mode = text(container, "/HostConfig/NetworkMode");
    if matches!(mode, "host" | "none") || mode.starts_with("container:") {
        return Vec::new();
    }
    let mode = if mode == "default" { "bridge" } else { mode };
    let mut endpoints: Vec<(String, Value)> = object(container, "/NetworkSettings/Networks")
        .into_iter()
        .flatten()
        .map(|(name, endpoint)| (name.clone(), set(endpoint, short_id(container))))
        .collect();
    let is_first = |name: &str| {
        let id = object(container, "/NetworkSettings/Networks")
            .and_then(|n| n.get(name))
            .map_or("", |e| text(e, "/NetworkID"));
        name == mode || (mode.len() >= 12 && id.starts_with(mode))
    };
    endpoints.sort_by_key(|(name, _)| !is_first(name));
    let mac = text(container, "/Config/MacAddress");
    if let (Some((_, first)), false) = (endpoints.first_mut(), mac.is_empty()) {
        first["MacAddress"] = json!(mac);
    }
    endpoints
}

fn set(endpoint: &Value, short_id: &str) -> Value {
    let mut out = Map::new();
    for (key, value) in endpoint.as_object().into_iter().flatten() {
        if ASSIGNED.contains(&key.as_str()) || value.is_null() {
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
