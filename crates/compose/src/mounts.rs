//! What a service finds in its file system beside its image.

use crate::quantity;
use crate::service::{Reader, list_of};
use crate::value::{Map, Node, Value};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq)]
pub struct Mount {
    pub target: String,
    pub read_only: bool,
    pub source: Source,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// A volume of this container alone.
    Anonymous,
    /// A volume that services share, by its name in the project.
    Volume(String),
    /// A file or folder of the commit.
    Repository(String),
    /// In memory, with the options of tmpfs(5).
    Memory { options: String },
    /// A path or a volume of the host, which the fleet's configuration allows: the engine's type, and its name there.
    Host { kind: &'static str, name: String },
}

/// A file that is put into a container before it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub target: String,
    /// Permission bits.
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub content: Content,
}

#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// A file of the commit.
    Repository(String),
    Text(String),
}

/// Texts may be secrets.
impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Repository(path) => write!(f, "Repository({path:?})"),
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
        }
    }
}

/// `volumes` and `tmpfs`.
pub(crate) fn volumes(reader: &mut Reader<'_>, service: &Map) -> Vec<Mount> {
    let mut out = Vec::new();
    for (n, node) in service
        .get("volumes")
        .and_then(Node::as_list)
        .unwrap_or_default()
        .iter()
        .enumerate()
    {
        out.extend(mount(reader, node, &format!("volumes[{n}]")));
    }
    for text in service.get("tmpfs").map(list_of).unwrap_or_default() {
        let (target, options) = text.split_once(':').unwrap_or((&text, ""));
        out.push(Mount {
            target: target.to_owned(),
            read_only: false,
            source: Source::Memory {
                options: options.to_owned(),
            },
        });
    }
    out
}

fn mount(reader: &mut Reader<'_>, node: &Node, key: &str) -> Option<Mount> {
    let part = |key: &str| node.as_map().and_then(|map| map.get(key));
    let text = |key: &str| part(key).and_then(Node::scalar);
    let (kind, target) = (text("type").unwrap_or_default(), text("target").unwrap_or_default());
    if !target.starts_with('/') {
        reader.refuse(
            node,
            key,
            format!("has the target `{target}`, which is no absolute path"),
        );
        return None;
    }
    let source = match (kind.as_str(), part("source").map(|node| &node.value)) {
        ("bind", Some(Value::Path(path))) => Source::Repository(path.clone()),
        ("bind", Some(Value::Text(path))) => Source::Host {
            kind: "bind",
            name: path.clone(),
        },
        ("volume", None) => Source::Anonymous,
        ("volume", Some(Value::Text(name))) if name.is_empty() => Source::Anonymous,
        ("volume", Some(Value::Text(name))) => volume(reader, node, key, name)?,
        ("tmpfs", _) => {
            let options = part("tmpfs").and_then(Node::as_map);
            let size = options.and_then(|map| map.get("size")).and_then(Node::scalar);
            let size = size
                .as_deref()
                .and_then(quantity::bytes)
                .map(|bytes| format!("size={bytes}"));
            let mode = options.and_then(|map| map.get("mode")).and_then(Node::scalar);
            let mode = mode
                .and_then(|mode| mode.parse::<u32>().ok())
                .map(|mode| format!("mode={mode:o}"));
            let options: Vec<String> = size.into_iter().chain(mode).collect();
            Source::Memory {
                options: options.join(","),
            }
        }
        (kind, _) => {
            reader.refuse(
                node,
                key,
                format!("is a mount of the type `{kind}`, which a test does not have"),
            );
            return None;
        }
    };
    if let Some(volume) = part("volume").and_then(Node::as_map)
        && volume.get("subpath").is_some()
    {
        reader.refuse(node, key, "has a subpath; mount the whole volume");
    }
    Some(Mount {
        target,
        read_only: part("read_only").is_some_and(Node::is_true),
        source,
    })
}

fn volume(reader: &mut Reader<'_>, node: &Node, key: &str, name: &str) -> Option<Source> {
    let all = reader.top.get("volumes").and_then(Node::as_map);
    let Some(volume) = all.and_then(|all| all.get(name)) else {
        reader.refuse(node, key, format!("the volume {name} is not under volumes"));
        return None;
    };
    let part = |key: &str| volume.as_map().and_then(|map| map.get(key));
    Some(if part("external").is_some_and(Node::is_true) {
        Source::Host {
            kind: "volume",
            name: part("name").and_then(Node::scalar).unwrap_or_else(|| name.to_owned()),
        }
    } else {
        Source::Volume(name.to_owned())
    })
}

/// `secrets` and `configs` as files.
pub(crate) fn references(reader: &mut Reader<'_>, service: &Map, section: &'static str) -> Vec<File> {
    let mut out = Vec::new();
    for (n, node) in service
        .get(section)
        .and_then(Node::as_list)
        .unwrap_or_default()
        .iter()
        .enumerate()
    {
        let part = |key: &str| node.as_map().and_then(|map| map.get(key));
        let key = format!("{section}[{n}]");
        let source = part("source").and_then(Node::scalar).unwrap_or_default();
        let all = reader.top.get(section).and_then(Node::as_map);
        let Some(resource) = all.and_then(|all| all.get(&source)) else {
            reader.refuse(node, &key, format!("{source} is not under {section}"));
            continue;
        };
        let content = match content(reader.env, resource) {
            Ok(content) => content,
            Err((node, why)) => {
                reader.refuse(node, &key, why);
                continue;
            }
        };
        let target = part("target").and_then(Node::scalar);
        let target = match target {
            Some(target) if target.starts_with('/') => target,
            Some(target) if section == "secrets" => format!("/run/secrets/{target}"),
            Some(target) => format!("/{target}"),
            None => format!("/{source}"),
        };
        let number = |key: &str| {
            part(key)
                .and_then(Node::scalar)
                .and_then(|text| text.parse::<u64>().ok())
        };
        out.push(File {
            target,
            mode: part("mode").and_then(mode).unwrap_or(0o444),
            uid: number("uid").unwrap_or(0),
            gid: number("gid").unwrap_or(0),
            content,
        });
    }
    out
}

/// A number of YAML, or octal digits.
fn mode(node: &Node) -> Option<u32> {
    match &node.value {
        Value::Int(number) => u32::try_from(*number).ok(),
        Value::Text(text) => u32::from_str_radix(text.trim_start_matches("0o"), 8).ok(),
        Value::Null | Value::Bool(_) | Value::Float(_) | Value::Path(_) | Value::List(_) | Value::Map(_) => None,
    }
}

/// `build.secrets` by their ids.
pub(crate) fn secrets_of_build(
    build: &Map,
    top: &Map,
    env: &BTreeMap<String, String>,
    mut refuse: impl FnMut(&Node, String, String),
) -> BTreeMap<String, Content> {
    let mut out = BTreeMap::new();
    let given = build.get("secrets").and_then(Node::as_list).unwrap_or_default();
    for (n, node) in given.iter().enumerate() {
        let part = |key: &str| node.as_map().and_then(|map| map.get(key)).and_then(Node::scalar);
        let key = format!("build.secrets[{n}]");
        let source = part("source").unwrap_or_default();
        let all = top.get("secrets").and_then(Node::as_map);
        let Some(resource) = all.and_then(|all| all.get(&source)) else {
            refuse(node, key, format!("{source} is not under secrets"));
            continue;
        };
        match content(env, resource) {
            // Compose calls it as `target` says (pkg/compose, addSecretsConfig).
            Ok(content) => drop(out.insert(part("target").unwrap_or(source), content)),
            Err((node, why)) => refuse(node, key, why),
        }
    }
    out
}

/// Where it comes from, or the place of what cannot be had, and why.
fn content<'n>(env: &BTreeMap<String, String>, resource: &'n Node) -> Result<Content, (&'n Node, String)> {
    let part = |key: &str| resource.as_map().and_then(|map| map.get(key));
    if let Some(file) = part("file") {
        let outside = || {
            let path = file.scalar().unwrap_or_default();
            (file, format!("the file {path} is not in the repository"))
        };
        return file
            .as_path()
            .map(|path| Content::Repository(path.to_owned()))
            .ok_or_else(outside);
    }
    if let Some(content) = part("content").and_then(Node::scalar) {
        return Ok(Content::Text(content));
    }
    let variable = part("environment").and_then(Node::scalar);
    if let Some(value) = variable.as_ref().and_then(|name| env.get(name)) {
        return Ok(Content::Text(value.clone()));
    }
    let why = match variable {
        Some(name) => format!("the variable {name} has no value; `test.compose.env` can give it one"),
        None => "is external: the engine of a test does not have it".to_owned(),
    };
    Err((resource, why))
}
