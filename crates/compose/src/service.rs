//! One service as a container: what the engine is asked for, and what surrounds it.

use crate::mounts::{self, Content, File, Mount};
use crate::quantity;
use crate::refusal::{Refusal, Refused};
use crate::settings;
use crate::value::{Map, Node, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    pub name: String,
    pub image: Image,
    /// `os/architecture` where the service names one.
    pub platform: Option<String>,
    pub environment: BTreeMap<String, String>,
    /// `None`: the image's.
    pub entrypoint: Option<Vec<String>>,
    /// `None`: the image's.
    pub command: Option<Vec<String>>,
    pub healthcheck: Option<Healthcheck>,
    /// The rest of what the engine is asked for, in the form of its API (*ContainerCreate*), without names of other containers.
    pub settings: serde_json::Map<String, serde_json::Value>,
    pub mounts: Vec<Mount>,
    pub files: Vec<File>,
    pub connection: Connection,
    /// Namespaces (`pid`, `ipc`) that are another service's.
    pub joins: BTreeMap<&'static str, String>,
    /// Services whose mounts it has, too; `true`: read-only.
    pub volumes_from: Vec<(String, bool)>,
    pub depends_on: BTreeMap<String, Condition>,
    /// The engine starts it again when it ends.
    pub restart: Restart,
}

impl Service {
    /// On the networks, and nothing else said.
    #[must_use]
    pub fn new(name: String, image: Image, networks: Vec<Member>) -> Self {
        Self {
            name,
            image,
            platform: None,
            environment: BTreeMap::new(),
            entrypoint: None,
            command: None,
            healthcheck: None,
            settings: serde_json::Map::new(),
            mounts: Vec::new(),
            files: Vec::new(),
            connection: Connection::Networks(networks),
            joins: BTreeMap::new(),
            volumes_from: Vec::new(),
            depends_on: BTreeMap::new(),
            restart: Restart::Never,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Image {
    /// Pulled.
    Reference(String),
    /// Built from the same commit.
    Build(Build),
    /// The image under test.
    Candidate,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// Folder inside the repository.
    pub context: String,
    pub dockerfile: Dockerfile,
    pub args: BTreeMap<String, String>,
    pub target: Option<String>,
    /// For `RUN --mount=type=secret`, by their ids.
    pub secrets: BTreeMap<String, Content>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dockerfile {
    /// A path inside the context.
    File(String),
    /// Its text, in the compose file itself.
    Inline(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Healthcheck {
    /// As the engine wants it; empty: the image's.
    pub test: Vec<String>,
    pub interval: Option<Duration>,
    pub timeout: Option<Duration>,
    pub start_period: Option<Duration>,
    pub retries: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connection {
    /// No network at all.
    None,
    /// The engine's own bridge.
    Bridge,
    /// The host's network, which the fleet's configuration allows.
    Host,
    /// Another service's network namespace.
    Of(String),
    /// A container of the host, which the fleet's configuration allows.
    Container(String),
    Networks(Vec<Member>),
}

impl Connection {
    #[must_use]
    pub fn networks(&self) -> &[Member] {
        match self {
            Self::Networks(members) => members,
            Self::None | Self::Bridge | Self::Host | Self::Of(_) | Self::Container(_) => &[],
        }
    }
}

/// On a network, beside its own name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub network: String,
    pub aliases: Vec<String>,
    /// Names that this service alone knows others by: service and name.
    pub links: Vec<(String, String)>,
}

/// What a dependency has to be before what needs it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Condition {
    #[default]
    Started,
    Healthy,
    Completed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    Never,
    /// At most this often in a row; `None`: without end.
    OnFailure(Option<u32>),
    Always,
}

pub(crate) struct Read {
    pub(crate) service: Service,
    pub(crate) notes: Vec<String>,
}

/// The project around a service.
pub(crate) struct Around<'a> {
    pub(crate) top: &'a Map,
    /// The values of variables.
    pub(crate) env: &'a BTreeMap<String, String>,
    /// The names of the services that run.
    pub(crate) active: &'a BTreeSet<String>,
}

/// Reads one service of a completed project.
///
/// # Errors
/// Every key that cannot be done.
pub(crate) fn read(name: &str, node: &Node, image: Image, around: &Around<'_>) -> Result<Read, Refused> {
    let at = |key: &str| format!("services.{name}.{key}");
    let Some(map) = node.as_map() else {
        return Err(Refusal::new(node, format!("services.{name}"), "is not a map").into());
    };
    let mut reader = Reader {
        name,
        top: around.top,
        env: around.env,
        refusals: Vec::new(),
        notes: Vec::new(),
    };
    let settings = settings::read(&mut reader, map);
    let mounts = mounts::volumes(&mut reader, map);
    let mut files = mounts::references(&mut reader, map, "secrets");
    files.extend(mounts::references(&mut reader, map, "configs"));
    let connection = connection(&mut reader, map);
    let depends_on = depends_on(&mut reader, map, around.active);
    let restart = restart(&mut reader, map);
    let healthcheck = map.get("healthcheck").and_then(|node| healthcheck(&mut reader, node));
    if let Some(count) = map.get("scale").and_then(Node::scalar).filter(|count| count != "1") {
        reader
            .notes
            .push(format!("{}: {count}, and a test runs one", at("scale")));
    }
    let words = |key: &str| map.get(key).filter(|node| node.value != Value::Null).map(list_of);
    // An empty list takes the image's away (docker run --entrypoint "").
    let entrypoint = words("entrypoint").map(|words| if words.is_empty() { vec![String::new()] } else { words });
    let service = Service {
        name: name.to_owned(),
        image,
        platform: map
            .get("platform")
            .and_then(Node::scalar)
            .filter(|text| !text.is_empty()),
        environment: environment(map),
        entrypoint,
        command: words("command"),
        healthcheck,
        settings,
        mounts,
        files,
        connection,
        joins: joins(map),
        volumes_from: volumes_from(map),
        depends_on,
        restart,
    };
    if reader.refusals.is_empty() {
        Ok(Read {
            service,
            notes: reader.notes,
        })
    } else {
        Err(Refused(reader.refusals))
    }
}

/// Collects what is wrong with one service.
pub(crate) struct Reader<'a> {
    pub(crate) name: &'a str,
    pub(crate) top: &'a Map,
    pub(crate) env: &'a BTreeMap<String, String>,
    refusals: Vec<Refusal>,
    notes: Vec<String>,
}

impl Reader<'_> {
    pub(crate) fn refuse(&mut self, node: &Node, key: &str, problem: impl Into<String>) {
        let path = format!("services.{}.{key}", self.name);
        self.refusals.push(Refusal::new(node, path, problem));
    }

    pub(crate) fn note(&mut self, key: &str, what: &str) {
        self.notes.push(format!("services.{}.{key} {what}", self.name));
    }

    /// A duration, or a refusal.
    pub(crate) fn duration(&mut self, node: &Node, key: &str) -> Option<Duration> {
        let read = node.scalar().as_deref().and_then(quantity::duration);
        if read.is_none() {
            self.refuse(node, key, "is not a duration such as 1m30s");
        }
        read
    }

    /// Bytes, or a refusal.
    pub(crate) fn bytes(&mut self, node: &Node, key: &str) -> Option<u64> {
        let read = node.scalar().as_deref().and_then(quantity::bytes);
        if read.is_none() {
            self.refuse(node, key, "is not a size such as 512m");
        }
        read
    }

    /// A number, which a variable may have brought as text; or a refusal.
    pub(crate) fn number(&mut self, node: &Node, key: &str) -> Option<f64> {
        let read = node.scalar().and_then(|text| text.parse::<f64>().ok());
        let read = read.filter(|number| number.is_finite());
        if read.is_none() {
            self.refuse(node, key, "is not a number");
        }
        read
    }
}

/// A list of texts, or one text as a list.
pub(crate) fn list_of(node: &Node) -> Vec<String> {
    match node.as_list() {
        Some(items) => items.iter().filter_map(Node::scalar).collect(),
        None => node.scalar().into_iter().collect(),
    }
}

/// A name without a value outside is not set at all.
fn environment(map: &Map) -> BTreeMap<String, String> {
    let all = map.get("environment").and_then(Node::as_map);
    let all = all.map_or(&[][..], |map| &map.0).iter();
    all.filter_map(|(name, node)| Some((name.clone(), node.scalar()?)))
        .collect()
}

/// What a service that is not under test runs.
///
/// # Errors
/// Neither an image nor a build, or a build that is not done.
pub(crate) fn image(name: &str, node: &Node, around: &Around<'_>) -> Result<Image, Refused> {
    let nothing = Map::default();
    let map = node.as_map().unwrap_or(&nothing);
    let named = map
        .get("image")
        .and_then(Node::scalar)
        .filter(|image| !image.is_empty());
    let refused = |node: &Node, key: &str, problem: &str| Refusal::new(node, format!("services.{name}{key}"), problem);
    let Some(build) = map.get("build") else {
        let refused = || refused(node, "", "has neither an image nor a build");
        return Ok(Image::Reference(named.ok_or_else(refused)?));
    };
    let parts = build.as_map().unwrap_or(&nothing);
    let mut refusals = Vec::new();
    let mut out = Build {
        context: String::new(),
        dockerfile: Dockerfile::File("Dockerfile".to_owned()),
        args: BTreeMap::new(),
        target: None,
        secrets: mounts::secrets_of_build(parts, around.top, around.env, |node, key, why| {
            refusals.push(Refusal::new(node, format!("services.{name}.{key}"), why));
        }),
    };
    for (key, node) in &parts.0 {
        match key.as_str() {
            "context" => match node.as_path() {
                Some(path) => path.clone_into(&mut out.context),
                None => refusals.push(refused(
                    node,
                    ".build.context",
                    "is not in the repository; only its own folders are built",
                )),
            },
            "dockerfile" => out.dockerfile = Dockerfile::File(node.scalar().unwrap_or_default()),
            "dockerfile_inline" => out.dockerfile = Dockerfile::Inline(node.scalar().unwrap_or_default()),
            "target" => out.target = node.scalar().filter(|target| !target.is_empty()),
            "args" => {
                let args = node.as_map().map_or(&[][..], |map| &map.0).iter();
                out.args = args
                    .filter_map(|(name, node)| Some((name.clone(), node.scalar()?)))
                    .collect();
            }
            // Read above; and how it is built, not what of.
            "secrets" | "cache_from" | "cache_to" | "no_cache" | "pull" | "labels" | "tags" | "platforms"
            | "provenance" | "sbom" | "shm_size" | "ulimits" => {}
            key if key.starts_with("x-") => {}
            key => refusals.push(refused(
                node,
                &format!(".build.{key}"),
                "is not done for a service beside the tested one",
            )),
        }
    }
    if refusals.is_empty() {
        Ok(Image::Build(out))
    } else {
        Err(Refused(refusals))
    }
}

fn connection(reader: &mut Reader<'_>, map: &Map) -> Connection {
    if let Some(node) = map.get("network_mode") {
        let mode = node.scalar().unwrap_or_default();
        match (mode.as_str(), mode.split_once(':')) {
            ("", _) => {}
            ("none", _) => return Connection::None,
            ("bridge" | "default", _) => return Connection::Bridge,
            ("host", _) => return Connection::Host,
            (_, Some(("service", service))) => return Connection::Of(service.to_owned()),
            (_, Some(("container", container))) => return Connection::Container(container.to_owned()),
            _ => {
                reader.refuse(
                    node,
                    "network_mode",
                    format!("is {mode}; name the network under networks"),
                );
                return Connection::None;
            }
        }
    }
    let own = map.get("container_name").and_then(Node::scalar);
    let links: Vec<(String, String)> = map
        .get("links")
        .map(list_of)
        .unwrap_or_default()
        .into_iter()
        .map(|link| match link.split_once(':') {
            Some((service, name)) => (service.to_owned(), name.to_owned()),
            None => (link.clone(), link),
        })
        .collect();
    let networks = map.get("networks").and_then(Node::as_map);
    let member = |(name, node): &(String, Node)| {
        let aliases = node.as_map().and_then(|map| map.get("aliases")).map(list_of);
        let mut aliases = aliases.unwrap_or_default();
        aliases.extend(own.clone());
        aliases.dedup();
        Member {
            network: name.clone(),
            aliases,
            links: links.clone(),
        }
    };
    Connection::Networks(networks.map_or(&[][..], |map| &map.0).iter().map(member).collect())
}

fn joins(map: &Map) -> BTreeMap<&'static str, String> {
    let of = |key: &'static str| {
        let mode = map.get(key).and_then(Node::scalar)?;
        Some((key, mode.strip_prefix("service:")?.to_owned()))
    };
    ["pid", "ipc"].into_iter().filter_map(of).collect()
}

fn volumes_from(map: &Map) -> Vec<(String, bool)> {
    let all = map.get("volumes_from").map(list_of).unwrap_or_default().into_iter();
    all.filter(|from| !from.starts_with("container:"))
        .map(|from| match from.split_once(':') {
            Some((service, mode)) => (service.to_owned(), mode == "ro"),
            None => (from, false),
        })
        .collect()
}

fn depends_on(reader: &mut Reader<'_>, map: &Map, active: &BTreeSet<String>) -> BTreeMap<String, Condition> {
    let mut out = BTreeMap::new();
    for (name, node) in map
        .get("depends_on")
        .and_then(Node::as_map)
        .map_or(&[][..], |map| &map.0)
    {
        let part = |key: &str| node.as_map().and_then(|map| map.get(key));
        let key = format!("depends_on.{name}");
        let is_required = part("required").is_none_or(|node| node.value != Value::Bool(false));
        if !active.contains(name) {
            if is_required {
                reader.refuse(
                    node,
                    &key,
                    "is no service of this project, or none of its profiles is on (`test.compose.profiles`)",
                );
            }
            continue;
        }
        let condition = match part("condition").and_then(Node::scalar).as_deref() {
            Some("service_started") | None => Condition::Started,
            Some("service_healthy") => Condition::Healthy,
            Some("service_completed_successfully") => Condition::Completed,
            Some(other) => {
                reader.refuse(
                    node,
                    &key,
                    format!("has the condition {other}, which Compose does not know"),
                );
                Condition::Started
            }
        };
        out.insert(name.clone(), condition);
    }
    out
}

fn restart(reader: &mut Reader<'_>, map: &Map) -> Restart {
    let policy = ["deploy", "restart_policy", "condition"];
    let mut of_deploy = map.get(policy[0]);
    for key in &policy[1..] {
        of_deploy = of_deploy.and_then(Node::as_map).and_then(|map| map.get(key));
    }
    let Some(node) = map.get("restart").or(of_deploy) else {
        return Restart::Never;
    };
    let text = node.scalar().unwrap_or_default();
    match text.split_once(':').unwrap_or((&text, "")) {
        ("" | "no" | "none" | "false", _) => Restart::Never,
        ("always" | "unless-stopped" | "any", _) => Restart::Always,
        ("on-failure", "") => Restart::OnFailure(None),
        ("on-failure", count) if count.parse::<u32>().is_ok() => Restart::OnFailure(count.parse().ok()),
        _ => {
            reader.refuse(node, "restart", format!("is {text}, which Compose does not know"));
            Restart::Never
        }
    }
}

fn healthcheck(reader: &mut Reader<'_>, node: &Node) -> Option<Healthcheck> {
    let map = node.as_map()?;
    let mut out = Healthcheck::default();
    for (key, node) in map.0.iter().filter(|(_, node)| node.value != Value::Null) {
        let path = format!("healthcheck.{key}");
        match key.as_str() {
            "test" => out.test = list_of(node),
            "interval" => out.interval = reader.duration(node, &path),
            "timeout" => out.timeout = reader.duration(node, &path),
            "start_period" => out.start_period = reader.duration(node, &path),
            // An engine before 25 has no such setting, and the interval will do.
            "start_interval" | "disable" => {}
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
            "retries" => {
                let count = reader.number(node, &path);
                out.retries = count
                    .filter(|count| (0.0..1e9).contains(count))
                    .map(|count| count as u32);
            }
            key if key.starts_with("x-") => {}
            _ => reader.refuse(node, &path, "is not known to lowtide"),
        }
    }
    if map.get("disable").is_some_and(Node::is_true) {
        out.test = vec!["NONE".to_owned()];
    }
    Some(out)
}
