//! How a later file changes what earlier ones said (Compose Specification, *Merge*): maps are merged, lists are joined, and what has
//! a key of its own inside a list is there once.

use crate::value::{Map, Mark, Node, Place, Value};

/// Two values that cannot be merged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {path} is {later}, and {earlier} in {before}")]
pub struct MergeError {
    pub place: Place,
    pub before: Place,
    pub path: String,
    pub earlier: &'static str,
    pub later: &'static str,
}

/// `later` over `earlier`: two whole files.
///
/// # Errors
/// A map over a list, or the like.
pub fn files(earlier: Node, later: Node) -> Result<Node, MergeError> {
    let mut merged = over(earlier, later, &mut Vec::new())?;
    unique(&mut merged, &mut Vec::new());
    Ok(merged)
}

/// One service over another, as `extends` and `include` do.
///
/// # Errors
/// A map over a list, or the like.
pub fn services(name: &str, earlier: Node, later: Node) -> Result<Node, MergeError> {
    let mut path = vec!["services".to_owned(), name.to_owned()];
    let mut merged = over(earlier, later, &mut path)?;
    unique(&mut merged, &mut path);
    Ok(merged)
}

/// How values of a path are merged.
enum Rule {
    /// The later one alone counts.
    Replace,
    /// `KEY=VALUE` lists, which may be written as maps.
    Pairs,
    /// Names, which may be written as maps: `depends_on`, `networks`.
    Names,
    /// A text is its `context`.
    Build,
    /// Another driver replaces everything.
    Logging,
    Plain,
}

fn rule(path: &[String]) -> Rule {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path[..] {
        ["services", _, "command" | "entrypoint"]
        | ["services", _, "healthcheck", "test"]
        | ["services", _, "ulimits", _] => Rule::Replace,
        [
            "services",
            _,
            "annotations" | "dns" | "dns_opt" | "dns_search" | "env_file" | "environment" | "extra_hosts" | "labels"
            | "label_file" | "sysctls" | "tmpfs",
        ]
        | [
            "services",
            _,
            "build",
            "args" | "additional_contexts" | "extra_hosts" | "labels",
        ]
        | ["services", _, "deploy", "labels"]
        | ["networks" | "volumes", _, "labels"] => Rule::Pairs,
        ["services", _, "depends_on" | "networks"] => Rule::Names,
        ["services", _, "build"] => Rule::Build,
        ["services", _, "logging"] => Rule::Logging,
        _ => Rule::Plain,
    }
}

fn over(earlier: Node, later: Node, path: &mut Vec<String>) -> Result<Node, MergeError> {
    match later.mark {
        Mark::Reset => {
            return Ok(Node {
                value: Value::Null,
                ..later
            });
        }
        Mark::Override => return Ok(later),
        Mark::None => {}
    }
    let rule = rule(path);
    if let Rule::Replace = rule {
        return Ok(later);
    }
    if later.value == Value::Null {
        return Ok(earlier);
    }
    let (earlier, later) = match rule {
        Rule::Pairs => (pairs(earlier), pairs(later)),
        Rule::Names => (names(earlier, path), names(later, path)),
        Rule::Build => (context(earlier), context(later)),
        Rule::Logging | Rule::Plain | Rule::Replace => (earlier, later),
    };
    if let (Rule::Logging, Some(a), Some(b)) = (&rule, driver(&earlier), driver(&later))
        && a != b
    {
        return Ok(later);
    }
    let (before, place) = (earlier.place.clone(), later.place.clone());
    let what = (kind(&earlier.value), kind(&later.value));
    let value = match (earlier.value, later.value) {
        (Value::Map(a), Value::Map(b)) => Value::Map(maps(a, b, path)?),
        (Value::List(mut a), Value::List(b)) => {
            a.extend(b);
            Value::List(a)
        }
        (Value::Map(_) | Value::List(_), _) => {
            return Err(MergeError {
                place,
                before,
                path: path.join("."),
                earlier: what.0,
                later: what.1,
            });
        }
        (Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::Path(_), later) => {
            later
        }
    };
    Ok(Node::new(place, value))
}

fn maps(mut earlier: Map, later: Map, path: &mut Vec<String>) -> Result<Map, MergeError> {
    for (key, node) in later.0 {
        path.push(key.clone());
        let merged = match earlier.take_in_place(&key) {
            Some((at, old)) => {
                let reset = node.mark == Mark::Reset;
                let merged = over(old, node, path)?;
                (!reset).then_some((Some(at), merged))
            }
            None => (node.mark != Mark::Reset).then_some((None, node)),
        };
        path.pop();
        match merged {
            Some((Some(at), node)) => earlier.0.insert(at, (key, node)),
            Some((None, node)) => earlier.0.push((key, node)),
            None => {}
        }
    }
    Ok(earlier)
}

fn driver(node: &Node) -> Option<String> {
    node.as_map()?.get("driver")?.scalar()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Map(_) => "a map",
        Value::List(_) => "a list",
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::Path(_) => "one value",
    }
}

/// A map as a list of `KEY=VALUE`, a text as a list of one.
fn pairs(node: Node) -> Node {
    let place = node.place;
    let value = match node.value {
        Value::Map(map) => Value::List(
            map.0
                .into_iter()
                .flat_map(|(key, value)| written(&key, value))
                .collect(),
        ),
        text @ (Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::Path(_)) => {
            Value::List(vec![Node::new(place.clone(), text)])
        }
        other @ (Value::Null | Value::List(_)) => other,
    };
    Node::new(place, value)
}

fn written(key: &str, node: Node) -> Vec<Node> {
    if let Value::List(items) = node.value {
        return items.into_iter().flat_map(|item| written(key, item)).collect();
    }
    let text = match node.scalar() {
        Some(value) => format!("{key}={value}"),
        None => key.to_owned(),
    };
    vec![Node::new(node.place, Value::Text(text))]
}

/// A list of names as a map of them.
fn names(node: Node, path: &[String]) -> Node {
    let Value::List(items) = node.value else { return node };
    let mut map = Map::default();
    for item in items {
        let Some(name) = item.scalar() else { continue };
        let value = if path.last().is_some_and(|key| key == "depends_on") {
            let text = |value| Node::new(item.place.clone(), value);
            Value::Map(Map(vec![
                ("condition".to_owned(), text(Value::Text("service_started".to_owned()))),
                ("required".to_owned(), text(Value::Bool(true))),
            ]))
        } else {
            Value::Null
        };
        map.set(&name, Node::new(item.place, value));
    }
    Node::new(node.place, Value::Map(map))
}

fn context(node: Node) -> Node {
    match node.value {
        Value::Text(text) => {
            let place = node.place;
            let context = Node::new(place.clone(), Value::Text(text));
            Node::new(place, Value::Map(Map(vec![("context".to_owned(), context)])))
        }
        value @ (Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Path(_)
        | Value::List(_)
        | Value::Map(_)) => Node { value, ..node },
    }
}

/// Lists whose items have a key: of two with the same key the later one counts, in the earlier one's place.
fn unique(node: &mut Node, path: &mut Vec<String>) {
    match &mut node.value {
        Value::Map(map) => {
            for (key, value) in &mut map.0 {
                path.push(key.clone());
                unique(value, path);
                path.pop();
            }
        }
        Value::List(items) => {
            let Some(key_of) = key(path) else { return };
            let mut seen: Vec<(Option<String>, Node)> = Vec::with_capacity(items.len());
            for item in std::mem::take(items) {
                let key = key_of(&item);
                match seen.iter_mut().find(|(known, _)| key.is_some() && *known == key) {
                    Some((_, old)) => *old = item,
                    None => seen.push((key, item)),
                }
            }
            *items = seen.into_iter().map(|(_, item)| item).collect();
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::Path(_) => {}
    }
}

/// The key of an item in the list at a path.
type KeyOf = fn(&Node) -> Option<String>;

fn key(path: &[String]) -> Option<KeyOf> {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path[..] {
        [
            "services",
            _,
            "annotations" | "cap_add" | "cap_drop" | "dns" | "dns_opt" | "dns_search" | "environment" | "labels"
            | "links" | "profiles" | "sysctls" | "tmpfs",
        ]
        | [
            "services",
            _,
            "build",
            "args" | "additional_contexts" | "labels" | "platforms" | "tags",
        ]
        | ["services", _, "deploy", "labels"]
        | ["services", _, "networks", _, "aliases" | "link_local_ips"]
        | ["networks", _, "labels"]
        | ["networks", _, "ipam", "options"] => Some(before_equals),
        ["services", _, "expose" | "extra_hosts"] => Some(Node::scalar),
        ["services", _, "env_file"] => Some(|node| node.scalar().or_else(|| part(node, "path"))),
        ["services", _, "volumes" | "devices"] => Some(mount_target),
        ["services", _, "configs"] => Some(|node| reference_target(node, "")),
        ["services", _, "secrets"] => Some(|node| reference_target(node, "/run/secrets")),
        ["services", _, "ports"] => Some(port),
        _ => None,
    }
}

fn before_equals(node: &Node) -> Option<String> {
    let text = node.scalar()?;
    Some(text.split_once('=').map_or(text.as_str(), |(key, _)| key).to_owned())
}

fn part(node: &Node, key: &str) -> Option<String> {
    node.as_map()?.get(key)?.scalar()
}

/// `SOURCE:TARGET[:MODE]`, or a `target`.
fn mount_target(node: &Node) -> Option<String> {
    if node.as_map().is_some() {
        return part(node, "target");
    }
    let text = node.scalar()?;
    let mut parts = text.split(':');
    let first = parts.next()?;
    Some(parts.next().unwrap_or(first).to_owned())
}

fn reference_target(node: &Node, folder: &str) -> Option<String> {
    match node.scalar() {
        Some(name) => Some(format!("{folder}/{name}")),
        None => part(node, "target").or_else(|| Some(format!("{folder}/{}", part(node, "source")?))),
    }
}

fn port(node: &Node) -> Option<String> {
    if node.as_map().is_none() {
        return node.scalar();
    }
    let or = |key: &str, default: &str| part(node, key).unwrap_or_else(|| default.to_owned());
    let target = part(node, "target")?;
    Some(format!(
        "{}:{}:{target}/{}",
        or("host_ip", "0.0.0.0"),
        or("published", ""),
        or("protocol", "tcp")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn shown(earlier: &str, later: &str) -> String {
        let node = |file: &str, text: &str| yaml::read(file, text.as_bytes()).unwrap().remove(0);
        match files(node("a.yml", earlier), node("b.yml", later)) {
            Ok(node) => node.to_json().to_string(),
            Err(error) => error.to_string(),
        }
    }

    fn service(earlier: &str, later: &str) -> String {
        let wrapped = |text: &str| format!("services: {{ a: {{ {text} }} }}");
        let text = shown(&wrapped(earlier), &wrapped(later));
        text.strip_prefix("{\"services\":{\"a\":")
            .and_then(|text| text.strip_suffix("}}"))
            .map_or(text.clone(), str::to_owned)
    }

    /// A service, and one over it.
    const CASES: &[(&str, &str)] = &[
        ("image: x, command: [a, b]", "image: y, command: c"),
        ("command: [a]", "command: null"),
        ("environment: { A: 1, B: 2 }", "environment: [B=3, C]"),
        ("environment: [A=1]", "environment: { A: null }"),
        (
            "depends_on: [db]",
            "depends_on: { db: { condition: service_healthy }, cache: { condition: service_started } }",
        ),
        ("build: .", "build: { target: dev, args: { A: 1 } }"),
        (
            "volumes: [\"./a:/data\", /x]",
            "volumes: [\"b:/data:ro\", { type: tmpfs, target: /x }]",
        ),
        ("ports: [\"80:80\"]", "ports: [\"80:80\", \"81:81\"]"),
        ("logging: { driver: a, options: { x: 1 } }", "logging: { driver: b }"),
        (
            "logging: { driver: a, options: { x: 1 } }",
            "logging: { options: { y: 2 } }",
        ),
        ("networks: [one]", "networks: { two: { aliases: [x] } }"),
        ("dns: 1.1.1.1", "dns: [8.8.8.8, 1.1.1.1]"),
        ("image: x, ports: [\"80:80\"]", "ports: !reset []"),
        ("ports: [\"80:80\"]", "ports: !override [\"81:81\"]"),
        (
            "healthcheck: { test: [CMD, a], interval: 1s }",
            "healthcheck: { test: [CMD, b] }",
        ),
        ("secrets: [s]", "secrets: [{ source: other, target: /run/secrets/s }]"),
        ("image: x", "image: null"),
        ("labels: { a: b }", "image: y"),
        ("ports: [\"80\"]", "ports: { a: 1 }"),
    ];

    #[test]
    fn every_rule() {
        let table: Vec<String> = CASES
            .iter()
            .map(|(earlier, later)| format!("{earlier} | {later}\n    {}", service(earlier, later)))
            .collect();
        insta::assert_snapshot!(table.join("\n"), @r#"
        image: x, command: [a, b] | image: y, command: c
            {"image":"y","command":"c"}
        command: [a] | command: null
            {"command":null}
        environment: { A: 1, B: 2 } | environment: [B=3, C]
            {"environment":["A=1","B=3","C"]}
        environment: [A=1] | environment: { A: null }
            {"environment":["A"]}
        depends_on: [db] | depends_on: { db: { condition: service_healthy }, cache: { condition: service_started } }
            {"depends_on":{"db":{"condition":"service_healthy","required":true},"cache":{"condition":"service_started"}}}
        build: . | build: { target: dev, args: { A: 1 } }
            {"build":{"context":".","target":"dev","args":{"A":1}}}
        volumes: ["./a:/data", /x] | volumes: ["b:/data:ro", { type: tmpfs, target: /x }]
            {"volumes":["b:/data:ro",{"type":"tmpfs","target":"/x"}]}
        ports: ["80:80"] | ports: ["80:80", "81:81"]
            {"ports":["80:80","81:81"]}
        logging: { driver: a, options: { x: 1 } } | logging: { driver: b }
            {"logging":{"driver":"b"}}
        logging: { driver: a, options: { x: 1 } } | logging: { options: { y: 2 } }
            {"logging":{"driver":"a","options":{"x":1,"y":2}}}
        networks: [one] | networks: { two: { aliases: [x] } }
            {"networks":{"one":null,"two":{"aliases":["x"]}}}
        dns: 1.1.1.1 | dns: [8.8.8.8, 1.1.1.1]
            {"dns":["1.1.1.1","8.8.8.8"]}
        image: x, ports: ["80:80"] | ports: !reset []
            {"image":"x"}
        ports: ["80:80"] | ports: !override ["81:81"]
            {"ports":["81:81"]}
        healthcheck: { test: [CMD, a], interval: 1s } | healthcheck: { test: [CMD, b] }
            {"healthcheck":{"test":["CMD","b"],"interval":"1s"}}
        secrets: [s] | secrets: [{ source: other, target: /run/secrets/s }]
            {"secrets":[{"source":"other","target":"/run/secrets/s"}]}
        image: x | image: null
            {"image":"x"}
        labels: { a: b } | image: y
            {"labels":{"a":"b"},"image":"y"}
        ports: ["80"] | ports: { a: 1 }
            b.yml:1: services.a.ports is a map, and a list in a.yml:1
        "#);
    }
}
