//! Dependencies between containers (shared namespaces, `volumes_from`, links), and what keeps an old and a new
//! container from running side by side. Pure.

use super::json::{flag, id, list, name, object, text};
use super::network;
use lowtide_core::kinds::containers::model::{Dependency, DependencyKind, OnExit};
use lowtide_model::rollout::{Bar, Part};
use serde_json::{Value, json};

const MODES: [&str; 3] = ["NetworkMode", "PidMode", "IpcMode"];

/// A container under the id and name by which others refer to it, and its replacement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Successor {
    /// Id of the old one.
    pub old: String,
    pub name: String,
    /// Id of the new one.
    pub new: String,
}

/// The containers of a rollout in their order, and what of each has to be known.
#[derive(Debug, PartialEq)]
pub(super) struct DependencyOrder {
    pub(super) containers: Vec<Value>,
    pub(super) parts: Vec<Part>,
    pub(super) depends_on: Vec<Vec<Dependency>>,
}

/// `wanted` and every container among `others` that depends on one of them, directly or indirectly. Each container
/// comes before its dependents.
///
/// # Errors
/// Names of containers that depend on each other in a circle.
pub(super) fn dependency_order(wanted: Vec<Value>, others: &[Value]) -> Result<DependencyOrder, Vec<String>> {
    let count = wanted.len();
    let mut all = wanted;
    let mut next = 0;
    while next < all.len() {
        let needed = all[next].clone();
        for other in others {
            let is_new = all.iter().all(|c| id(c) != id(other));
            if is_new && dependency_of(other, &needed).is_some() {
                all.push(other.clone());
            }
        }
        next += 1;
    }
    let mut order: Vec<usize> = Vec::new();
    // A container comes right after what it depends on, so that it is down for as short as can be.
    while order.len() < all.len() {
        let ready = |n: &usize| {
            let mut needed = (0..all.len()).filter(|m| m != n && dependency_of(&all[*n], &all[*m]).is_some());
            !order.contains(n) && needed.all(|m| order.contains(&m))
        };
        let dependent = (count..all.len()).find(ready);
        match dependent.or_else(|| (0..count).find(ready)) {
            Some(n) => order.push(n),
            None => {
                let left = (0..all.len()).filter(|n| !order.contains(n));
                return Err(left.map(|n| name(&all[n]).to_owned()).collect());
            }
        }
    }
    let depends_on = order.iter().enumerate().map(|(here, n)| {
        let before = order.iter().take(here).enumerate();
        before
            .filter_map(|(unit, m)| {
                Some(Dependency {
                    unit,
                    by: dependency_of(&all[*n], &all[*m])?,
                })
            })
            .collect()
    });
    Ok(DependencyOrder {
        depends_on: depends_on.collect(),
        parts: order
            .iter()
            .map(|n| if *n < count { Part::Release } else { Part::Dependent })
            .collect(),
        containers: order.iter().map(|n| all[*n].clone()).collect(),
    })
}

/// How does `dependent` depend on `needed`?
fn dependency_of(dependent: &Value, needed: &Value) -> Option<DependencyKind> {
    let means = |other: &str| means(other, id(needed), name(needed));
    let lives = MODES.iter().any(|field| {
        let mode = text(dependent, &format!("/HostConfig/{field}"));
        mode.strip_prefix("container:").is_some_and(means)
    });
    if lives {
        return Some(DependencyKind::Namespace);
    }
    let volumes = list(dependent, "/HostConfig/VolumesFrom")
        .iter()
        .filter_map(Value::as_str);
    let mut named = volumes
        .map(|from| from.split(':').next().unwrap_or_default())
        .chain(links(dependent).filter_map(|link| Some(link.as_str()?.split(':').next()?.trim_start_matches('/'))));
    named.any(means).then_some(DependencyKind::Name)
}

fn links(container: &Value) -> impl Iterator<Item = &Value> {
    let endpoints = object(container, "/NetworkSettings/Networks").into_iter().flatten();
    list(container, "/HostConfig/Links")
        .iter()
        .chain(endpoints.flat_map(|(_, endpoint)| list(endpoint, "/Links")))
}

/// By its name, its id, or the beginning of its id as people see it.
fn means(text: &str, id: &str, name: &str) -> bool {
    text == name || (text.len() >= 12 && id.starts_with(text))
}

/// Makes the old container's body refer to the successors: namespaces and volumes by the new id. Links are left alone,
/// because they go by name and the successors have those names by then.
pub(super) fn point_at(container: &mut Value, successors: &[Successor]) {
    let find = |text: &str| successors.iter().find(|s| means(text, &s.old, &s.name));
    for field in MODES {
        let mode = text(container, &format!("/HostConfig/{field}")).to_owned();
        if let Some(successor) = mode.strip_prefix("container:").and_then(find) {
            container["HostConfig"][field] = json!(format!("container:{}", successor.new));
        }
    }
    let froms = container
        .pointer_mut("/HostConfig/VolumesFrom")
        .and_then(Value::as_array_mut);
    for from in froms.into_iter().flatten() {
        let text = from.as_str().unwrap_or_default();
        let (other, mode) = text
            .split_once(':')
            .map_or((text, None), |(other, mode)| (other, Some(mode)));
        if let Some(successor) = find(other) {
            *from = json!(mode.map_or_else(|| successor.new.clone(), |mode| format!("{}:{mode}", successor.new)));
        }
    }
}

/// Inspect shows `/other:/me/alias`; a create wants `other:alias`.
pub(super) fn link_for_create(link: &str) -> String {
    match link.split_once(':') {
        Some((other, alias)) => {
            let alias = alias.rsplit('/').next().unwrap_or(alias);
            format!("{}:{alias}", other.trim_start_matches('/'))
        }
        None => link.to_owned(),
    }
}

pub(super) fn on_exit(container: &Value) -> OnExit {
    if flag(container, "/HostConfig/AutoRemove") {
        OnExit::Removed
    } else {
        OnExit::Stays
    }
}

/// Why the container cannot run beside its successor. `needed`: other containers depend on it.
pub(super) fn bars(container: &Value, api: u32, needed: bool) -> Vec<Bar> {
    let mut bars = Vec::new();
    let ports = object(container, "/HostConfig/PortBindings").into_iter().flatten();
    for (port, bindings) in ports {
        let fixed = |b: &Value| !matches!(text(b, "/HostPort"), "" | "0");
        let of = bindings.as_array().into_iter().flatten().find(|b| fixed(b));
        bars.extend(of.map(|b| Bar::PublishedPort {
            port: format!("{} ({port})", text(b, "/HostPort")),
        }));
    }
    let mode = text(container, "/HostConfig/NetworkMode");
    if mode == "host" || mode.starts_with("container:") {
        bars.push(Bar::SharedNetwork);
    }
    for (network, endpoint) in network::endpoints(container, api) {
        let address = |key: &str| !text(&endpoint, &format!("/IPAMConfig/{key}")).is_empty();
        if address("IPv4Address") || address("IPv6Address") {
            bars.push(Bar::StaticAddress { network });
        }
        if endpoint.get("MacAddress").is_some() && !bars.contains(&Bar::FixedMac) {
            bars.push(Bar::FixedMac);
        }
    }
    let any = |pointer: &str| !list(container, pointer).is_empty();
    if any("/HostConfig/Devices") || any("/HostConfig/DeviceRequests") {
        bars.push(Bar::Device);
    }
    if needed {
        bars.push(Bar::Held);
    }
    if on_exit(container) == OnExit::Removed {
        bars.push(Bar::AutoRemove);
    }
    let written = list(container, "/Mounts")
        .iter()
        .filter(|m| m.get("RW") == Some(&Value::Bool(true)));
    bars.extend(
        written
            .filter(|m| text(m, "/Type") != "tmpfs")
            .map(|m| Bar::WritableVolume {
                path: text(m, "/Destination").to_owned(),
            }),
    );
    bars
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(letter: &str) -> String {
        letter.repeat(64)
    }

    fn container(letter: &str, host: Value) -> Value {
        json!({"Id": long(letter), "Name": format!("/{letter}"), "HostConfig": host})
    }

    fn rendered(order: &DependencyOrder) -> String {
        let rows = order.containers.iter().zip(&order.parts).zip(&order.depends_on);
        rows.map(|((c, part), holds)| format!("{} {part:?} {holds:?}\n", name(c)))
            .collect()
    }

    #[test]
    fn who_holds_on_to_what_moves_comes_along_however_far() {
        let others = [
            container("d", json!({"NetworkMode": "bridge"})),
            container("c", json!({"PidMode": "container:b"})),
            container("b", json!({"NetworkMode": format!("container:{}", long("a"))})),
            container("v", json!({"VolumesFrom": [format!("{}:ro", &long("a")[..12])]})),
            container("l", json!({"Links": ["/x:/l/db"]})),
        ];
        let wanted = vec![container("a", json!({})), container("x", json!({}))];
        insta::assert_snapshot!(rendered(&dependency_order(wanted, &others).unwrap()), @"
        a Release []
        b Dependent [Dependency { unit: 0, by: Namespace }]
        v Dependent [Dependency { unit: 0, by: Name }]
        c Dependent [Dependency { unit: 1, by: Namespace }]
        x Release []
        l Dependent [Dependency { unit: 4, by: Name }]
        ");
    }

    #[test]
    fn a_circle_is_reported() {
        let others = [
            container("b", json!({"NetworkMode": "container:a", "VolumesFrom": ["c"]})),
            container("c", json!({"PidMode": "container:b"})),
        ];
        let wanted = vec![container("a", json!({}))];
        assert_eq!(
            dependency_order(wanted, &others),
            Err(vec!["b".to_owned(), "c".to_owned()])
        );
    }

    #[test]
    fn a_dependent_refers_to_the_successor() {
        let mut dependent = container(
            "h",
            json!({
                "NetworkMode": "container:a", "PidMode": format!("container:{}", long("z")), "IpcMode": "private",
                "VolumesFrom": ["a:ro", "a", "other"], "Links": ["/a:/h/db"],
            }),
        );
        let successor = Successor {
            old: long("a"),
            name: "a".to_owned(),
            new: long("n"),
        };
        point_at(&mut dependent, &[successor]);
        let new = long("n");
        assert_eq!(
            dependent["HostConfig"],
            json!({
                "NetworkMode": format!("container:{new}"), "PidMode": format!("container:{}", long("z")), "IpcMode": "private",
                "VolumesFrom": [format!("{new}:ro"), new, "other"], "Links": ["/a:/h/db"],
            })
        );
        assert_eq!(link_for_create("/a:/h/db"), "a:db");
        assert_eq!(link_for_create("a:db"), "a:db");
    }

    #[test]
    fn everything_that_bars_a_start_first_is_named() {
        let barred = json!({
            "Id": long("a"), "Name": "/a", "Config": {"MacAddress": "02:11:22:33:44:55"},
            "HostConfig": {
                "NetworkMode": "front", "AutoRemove": true, "Devices": [{"PathOnHost": "/dev/a"}],
                "PortBindings": {"80/tcp": [{"HostPort": "8080"}], "81/tcp": [{"HostPort": ""}], "82/tcp": null},
            },
            "Mounts": [
                {"Type": "volume", "Destination": "/data", "RW": true}, {"Type": "bind", "Destination": "/etc/app", "RW": false},
            ],
            "NetworkSettings": {"Networks": {"front": {"IPAMConfig": {"IPv4Address": "10.0.0.9"}}}},
        });
        let rendered = |c: &Value, needed| {
            let words: Vec<String> = bars(c, 41, needed).iter().map(ToString::to_string).collect();
            words.join("\n")
        };
        insta::assert_snapshot!(rendered(&barred, true), @"
        port 8080 (80/tcp) of the host is published
        it has a fixed address in front
        it has a fixed MAC address
        it uses a device
        other containers hold on to it
        its end deletes it
        it writes to the volume at /data
        ");
        assert_eq!(
            rendered(&container("a", json!({"NetworkMode": "host"})), false),
            "it has no network of its own"
        );
        assert_eq!(rendered(&container("a", json!({"NetworkMode": "front"})), false), "");
    }
}
