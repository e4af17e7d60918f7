//! What a project means without saying it: default network, names, published ports, the values of environment files, and the order
//! that links bring.

use crate::load::LoadError;
use crate::value::{Map, Node, Place, Value};
use std::collections::BTreeMap;

type Variables = Vec<(String, String)>;

/// Reads an environment file of a service, with these variables known, that is required or not: its own variables, in order; `None`: it
/// is not there.
pub(crate) type EnvFile<'a> =
    &'a mut dyn FnMut(&str, &BTreeMap<String, String>, bool) -> Result<Option<Variables>, LoadError>;

/// Completes a project called `project`.
///
/// # Errors
/// A port that cannot be read, an environment file that is required and missing.
pub(crate) fn complete(
    root: &mut Node,
    project: &str,
    env: &BTreeMap<String, String>,
    env_file: EnvFile<'_>,
) -> Result<(), LoadError> {
    let place = root.place.clone();
    let Value::Map(top) = &mut root.value else {
        return Ok(());
    };
    let mut uses_default = false;
    if let Some(Value::Map(services)) = top.get_mut("services").map(|node| &mut node.value) {
        for (name, node) in &mut services.0 {
            let place = node.place.clone();
            let Value::Map(service) = &mut node.value else { continue };
            uses_default |= default_network(service, &place);
            environment(service, &place, env, env_file)?;
            build_arguments(service, env);
            ports(service, name)?;
            targets(service);
            implied_dependencies(service, &place);
        }
    }
    if uses_default {
        in_section(top, "networks", &place, |networks| {
            if networks.get("default").is_none() {
                networks.set("default", Node::new(place.clone(), Value::Null));
            }
        });
    }
    for key in ["networks", "volumes", "secrets", "configs"] {
        let Some(Value::Map(map)) = top.get_mut(key).map(|node| &mut node.value) else {
            continue;
        };
        for (name, node) in &mut map.0 {
            if node.value == Value::Null {
                node.value = Value::Map(Map::default());
            }
            let place = node.place.clone();
            let Value::Map(resource) = &mut node.value else {
                continue;
            };
            let is_external = resource.get("external").is_some_and(|it| it.value == Value::Bool(true));
            if resource.get("name").is_none() {
                let full = if is_external {
                    name.clone()
                } else {
                    format!("{project}_{name}")
                };
                resource.set("name", Node::new(place, Value::Text(full)));
            }
        }
    }
    Ok(())
}

/// Changes the map of a key, which is made if it is not there.
fn in_section(top: &mut Map, key: &str, place: &Place, change: impl FnOnce(&mut Map)) {
    let mut map = match top.get_mut(key).map(|node| &mut node.value) {
        Some(Value::Map(map)) => std::mem::take(map),
        Some(_) | None => Map::default(),
    };
    change(&mut map);
    top.set(key, Node::new(place.clone(), Value::Map(map)));
}

/// A service that names no network is on the project's own one. `true`: it is on that.
fn default_network(service: &mut Map, place: &Place) -> bool {
    if service.get("network_mode").is_some() {
        return false;
    }
    let named = service.get("networks").and_then(Node::as_map);
    if named.is_none_or(|map| map.0.is_empty()) {
        let default = Map(vec![("default".to_owned(), Node::new(place.clone(), Value::Null))]);
        service.set("networks", Node::new(place.clone(), Value::Map(default)));
    }
    let networks = service.get("networks").and_then(Node::as_map);
    networks.is_some_and(|map| map.get("default").is_some())
}

/// The files first, then what the service says itself. A name alone takes the value it has outside.
fn environment(
    service: &mut Map,
    place: &Place,
    env: &BTreeMap<String, String>,
    env_file: EnvFile<'_>,
) -> Result<(), LoadError> {
    let files = service.take("env_file");
    let own = service.take("environment");
    let mut out = Map::default();
    let mut known = env.clone();
    for file in files.as_ref().and_then(Node::as_list).unwrap_or_default() {
        let part = |key: &str| file.as_map().and_then(|map| map.get(key));
        let Some(path) = part("path") else { continue };
        let optional = part("required").is_some_and(|it| it.value == Value::Bool(false));
        let outside = || LoadError::Outside {
            path: path.scalar().unwrap_or_default(),
        };
        let found = env_file(path.as_path().ok_or_else(outside)?, &known, !optional)?;
        let Some(found) = found else {
            if optional {
                continue;
            }
            return Err(LoadError::Missing(format!(
                "{}: {}",
                file.place,
                path.scalar().unwrap_or_default()
            )));
        };
        for (name, value) in found {
            known.entry(name.clone()).or_insert_with(|| value.clone());
            out.set(&name, Node::new(file.place.clone(), Value::Text(value)));
        }
    }
    if let Some(Value::Map(map)) = own.map(|node| node.value) {
        for (name, mut node) in map.0 {
            if node.value == Value::Null
                && let Some(value) = env.get(&name)
            {
                node.value = Value::Text(value.clone());
            }
            out.set(&name, node);
        }
    }
    if !out.0.is_empty() {
        service.set("environment", Node::new(place.clone(), Value::Map(out)));
    }
    Ok(())
}

/// A build argument that is a name alone has the value of the variable.
fn build_arguments(service: &mut Map, env: &BTreeMap<String, String>) {
    let build = service.get_mut("build").map(|node| &mut node.value);
    let Some(Value::Map(build)) = build else { return };
    let Some(Value::Map(arguments)) = build.get_mut("args").map(|node| &mut node.value) else {
        return;
    };
    for (name, node) in &mut arguments.0 {
        if let (Value::Null, Some(value)) = (&node.value, env.get(name)) {
            node.value = Value::Text(value.clone());
        }
    }
}

/// What is needed because it is used: links, shared volumes, another service's namespace.
fn implied_dependencies(service: &mut Map, place: &Place) {
    /// Is the service started again with what it needs? What shares volumes alone need not be.
    struct Needed {
        name: String,
        restart: bool,
    }
    let first = |text: String| text.split(':').next().map(str::to_owned);
    let mut needed: Vec<Needed> = Vec::new();
    let mut need = |name: Option<String>, restart| needed.extend(name.map(|name| Needed { name, restart }));
    for link in service.get("links").and_then(Node::as_list).unwrap_or_default() {
        need(link.scalar().and_then(first), true);
    }
    for key in ["network_mode", "ipc", "pid"] {
        let mode = service.get(key).and_then(Node::scalar);
        need(
            mode.and_then(|mode| mode.strip_prefix("service:").map(str::to_owned)),
            true,
        );
    }
    for from in service.get("volumes_from").and_then(Node::as_list).unwrap_or_default() {
        let from = from.scalar().filter(|from| !from.starts_with("container:"));
        need(from.and_then(first), false);
    }
    for Needed { name, restart } in needed {
        in_section(service, "depends_on", place, |dependencies| {
            if dependencies.get(&name).is_none() {
                let node = |value| Node::new(place.clone(), value);
                let mut map = Map(vec![
                    ("condition".to_owned(), node(Value::Text("service_started".to_owned()))),
                    ("required".to_owned(), node(Value::Bool(true))),
                ]);
                if restart {
                    map.set("restart", node(Value::Bool(true)));
                }
                dependencies.set(&name, node(Value::Map(map)));
            }
        });
    }
}

fn targets(service: &mut Map) {
    if let Some(Value::List(items)) = service.get_mut("secrets").map(|node| &mut node.value) {
        for item in items {
            let place = item.place.clone();
            if let Value::Map(map) = &mut item.value
                && map.get("target").is_none()
                && let Some(source) = map.get("source").and_then(Node::scalar)
            {
                let target = Value::Text(format!("/run/secrets/{source}"));
                map.set("target", Node::new(place, target));
            }
        }
    }
}

fn ports(service: &mut Map, name: &str) -> Result<(), LoadError> {
    let Some(Value::List(items)) = service.get_mut("ports").map(|node| &mut node.value) else {
        return Ok(());
    };
    let mut out = Vec::new();
    for item in std::mem::take(items) {
        let mut item = item;
        if let Value::Map(map) = &mut item.value {
            for (key, default) in [("mode", "ingress"), ("protocol", "tcp")] {
                if map.get(key).is_none() {
                    map.set(key, Node::new(item.place.clone(), Value::Text(default.to_owned())));
                }
            }
        }
        let Some(text) = item.scalar() else {
            out.push(item);
            continue;
        };
        let place = item.place;
        let found = short_port(&text).ok_or_else(|| LoadError::Canonical {
            place: place.clone(),
            path: format!("services.{name}.ports"),
            problem: format!("`{text}` is not a port"),
        })?;
        for port in found {
            let node = |value| Node::new(place.clone(), value);
            let mut map = Map(vec![("mode".to_owned(), node(Value::Text("ingress".to_owned())))]);
            if let Some(ip) = port.ip {
                map.set("host_ip", node(Value::Text(ip)));
            }
            map.set("target", node(Value::Int(port.target.into())));
            if let Some(published) = port.published {
                map.set("published", node(Value::Text(published)));
            }
            map.set("protocol", node(Value::Text(port.protocol)));
            out.push(node(Value::Map(map)));
        }
    }
    *items = out;
    Ok(())
}

struct Port {
    ip: Option<String>,
    target: u16,
    published: Option<String>,
    protocol: String,
}

/// `[[IP:]PUBLISHED:]TARGET[/PROTOCOL]`, where both may be ranges.
fn short_port(text: &str) -> Option<Vec<Port>> {
    let (text, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (before, target) = match text.rsplit_once(':') {
        Some((before, target)) => (Some(before), target),
        None => (None, text),
    };
    let (ip, published) = match before.map(|before| before.rsplit_once(':').unwrap_or(("", before))) {
        Some((ip, published)) => (
            Some(ip.trim_matches(['[', ']'])).filter(|ip| !ip.is_empty()),
            Some(published).filter(|it| !it.is_empty()),
        ),
        None => (None, None),
    };
    let targets = range(target)?;
    let count = targets.len();
    let published: Vec<Option<String>> = match published {
        None => vec![None; count],
        Some(text) => match range(text)? {
            ports if ports.len() == count => ports.iter().map(|port| Some(port.to_string())).collect(),
            // One port out of a range: which, the engine says.
            _ if count == 1 => vec![Some(text.to_owned())],
            _ => return None,
        },
    };
    let ports = targets.into_iter().zip(published).map(|(target, published)| Port {
        ip: ip.map(str::to_owned),
        target,
        published,
        protocol: protocol.to_ascii_lowercase(),
    });
    Some(ports.collect())
}

fn range(text: &str) -> Option<Vec<u16>> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let (from, to) = (from.parse::<u16>().ok()?, to.parse::<u16>().ok()?);
    (from <= to).then(|| (from..=to).collect())
}
