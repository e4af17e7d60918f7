//! From the snapshot of a container to the body that creates it anew on another image. Pure.

use super::dependencies::link_for_create;
use super::json::{is_zero, list, name, object, short_id, text};
use super::snapshot::Snapshot;
use super::{config, name as names, network};
use lowtide_model::image::ImageId;
use lowtide_model::name::RolloutId;
use lowtide_model::rollout::Which;
use serde_json::{Map, Value, json};

/// Labels of what a rollout makes, so that it is found again after any crash.
pub const LABEL_ROLLOUT: &str = "io.lowtide.rollout";
pub const LABEL_UNIT: &str = "io.lowtide.unit";
pub const LABEL_INSTANCE: &str = "io.lowtide.instance";
/// On an old container that had to be made again, because stopping it had deleted it.
pub const LABEL_REMADE: &str = "io.lowtide.remade";
pub const LABEL_TERM: &str = "io.lowtide.term";
/// The image reference of the compose service. The containers of a rollout are created from the release's reference
/// instead.
pub const LABEL_TAG: &str = "io.lowtide.tag";

/// The image the new container is made from.
#[derive(Debug, Clone, Copy)]
pub struct NewImage<'a> {
    /// What the engine is given: `repository:tag`, so that other tools still see the tag.
    pub reference: &'a str,
    /// What the reference must mean on this engine.
    pub id: &'a ImageId,
}

/// Who makes the container, and as what.
#[derive(Debug, Clone, Copy)]
pub struct Mark<'a> {
    pub rollout: RolloutId,
    /// Position of the unit in the rollout.
    pub unit: usize,
    pub instance: &'a str,
    pub term: u64,
    pub role: Which,
}

/// What to send.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateBody {
    /// Name while it is a candidate.
    pub name: String,
    /// Body of `POST /containers/create`.
    pub body: Value,
    /// All networks but the first, to connect before the start where the create did not: API versions before 1.44 take one.
    pub extra_networks: Vec<(String, Value)>,
}

/// A field that cannot be preserved, by the name the engine's API gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub field: String,
    pub why: &'static str,
}

/// The new container has the user's settings of the old one on top of the new image's defaults, and restart policy
/// `no`: until the switch only the old one may start by itself. If the engine cannot change the policy later, the new
/// container has the old one's.
///
/// # Errors
/// Every field that cannot be preserved.
pub fn create_body(snapshot: &Snapshot, image: &NewImage<'_>, mark: &Mark<'_>) -> Result<CreateBody, Vec<Refusal>> {
    let old = &snapshot.container;
    let refusals = refusals(old);
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let mut body = config::user_set(old.get("Config").unwrap_or(&Value::Null), &snapshot.image_config);
    if let Some(env) = body.get_mut("Env").and_then(Value::as_array_mut) {
        env.retain(|entry| !is_own_hostname(entry, old));
    }
    if let Some(hostname) = hostname(old) {
        body.insert("Hostname".to_owned(), json!(hostname));
    }
    body.insert("Image".to_owned(), json!(image.reference));
    let mut labels = labels(body.get("Labels"), image, mark);
    if let Some(tag) = &snapshot.tag {
        labels.insert(LABEL_TAG.to_owned(), json!(tag.reference));
    }
    let labels = Value::Object(labels);
    body.insert("Labels".to_owned(), labels);
    body.insert("HostConfig".to_owned(), host_config(old, snapshot.fixed_restart));
    let mut endpoints = network::endpoints(old, snapshot.api);
    if !endpoints.is_empty() {
        let (first, endpoint) = endpoints.remove(0);
        let mut at_create = Map::new();
        // An empty endpoint is what NetworkMode alone already means.
        if !is_zero(&endpoint) || !mode_means(old, &first) {
            at_create.insert(first.clone(), endpoint.clone());
        }
        if snapshot.api >= network::ALL_AT_CREATE && !endpoints.is_empty() {
            at_create.insert(first, endpoint);
            at_create.extend(endpoints.iter().cloned());
        }
        if !at_create.is_empty() {
            body.insert("NetworkingConfig".to_owned(), json!({"EndpointsConfig": at_create}));
        }
    }
    Ok(CreateBody {
        name: match mark.role {
            Which::New => names::next(name(old), &mark.rollout),
            Which::Old => names::prev(name(old), &mark.rollout),
        },
        body: Value::Object(body),
        extra_networks: endpoints,
    })
}

fn mode_means(old: &Value, network: &str) -> bool {
    let mode = text(old, "/HostConfig/NetworkMode");
    mode == network || (matches!(mode, "default" | "") && network == "bridge")
}

/// What a new container cannot take over from the old one, and which other tools manage the container.
pub(super) fn refusals(old: &Value) -> Vec<Refusal> {
    let mut found = Vec::new();
    let mut refuse = |field: &str, why| {
        found.push(Refusal {
            field: field.to_owned(),
            why,
        });
    };
    if object(old, "/Config").is_none() || object(old, "/HostConfig").is_none() {
        refuse("Config", "the engine did not describe the container");
    }
    for label in object(old, "/Config/Labels").into_iter().flat_map(Map::keys) {
        if label.starts_with("com.docker.swarm.task") {
            refuse(
                &format!("Config.Labels.{label}"),
                "Swarm owns this container and would replace it",
            );
        } else if label.starts_with("io.kubernetes.") {
            refuse(
                &format!("Config.Labels.{label}"),
                "Kubernetes owns this container and would replace it",
            );
        }
    }
    let oneoff = object(old, "/Config/Labels").and_then(|l| l.get("com.docker.compose.oneoff"));
    if oneoff.and_then(Value::as_str) == Some("True") {
        refuse(
            "Config.Labels.com.docker.compose.oneoff",
            "a one-off command of compose is not a service",
        );
    }
    found
}

/// The user's hostname. The engine gives the short id where none is set, and allows none where the namespace is shared.
fn hostname(old: &Value) -> Option<&str> {
    let hostname = text(old, "/Config/Hostname");
    let shared =
        text(old, "/HostConfig/NetworkMode").starts_with("container:") || text(old, "/HostConfig/UTSMode") == "host";
    (!hostname.is_empty() && hostname != short_id(old) && !shared).then_some(hostname)
}

/// Whether `entry` is the `HOSTNAME` variable that Podman derives from the container's id. It is not carried over: the
/// new container has another id.
pub(super) fn is_own_hostname(entry: &Value, container: &Value) -> bool {
    entry.as_str().and_then(|entry| entry.strip_prefix("HOSTNAME=")) == Some(short_id(container))
}

/// Podman shows the kernel's name of a limit, `RLIMIT_NOFILE`, and is given the short one.
pub(super) fn limit_name(shown: &str) -> String {
    shown
        .strip_prefix("RLIMIT_")
        .map_or_else(|| shown.to_owned(), str::to_ascii_lowercase)
}

fn labels(user_set: Option<&Value>, image: &NewImage<'_>, mark: &Mark<'_>) -> Map<String, Value> {
    let mut labels = user_set.and_then(Value::as_object).cloned().unwrap_or_default();
    // Compose recreates a container whose image label is not the id of what its tag means now.
    if let Some(label) = labels.get_mut("com.docker.compose.image") {
        *label = json!(image.id.as_str());
    }
    labels.shift_remove("com.docker.compose.replace");
    labels.shift_remove(LABEL_REMADE);
    match mark.role {
        Which::New => {}
        Which::Old => drop(labels.insert(LABEL_REMADE.to_owned(), json!("true"))),
    }
    labels.insert(LABEL_ROLLOUT.to_owned(), json!(mark.rollout.to_string()));
    labels.insert(LABEL_UNIT.to_owned(), json!(mark.unit.to_string()));
    labels.insert(LABEL_INSTANCE.to_owned(), json!(mark.instance));
    labels.insert(LABEL_TERM.to_owned(), json!(mark.term.to_string()));
    labels
}

/// The raw `HostConfig`, whole, then fixed where inspect and create disagree.
fn host_config(old: &Value, fixed_restart: bool) -> Value {
    let mut host = object(old, "/HostConfig").cloned().unwrap_or_default();
    if !fixed_restart {
        host.insert(
            "RestartPolicy".to_owned(),
            json!({"Name": "no", "MaximumRetryCount": 0}),
        );
    }
    for link in host
        .get_mut("Links")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        *link = json!(link_for_create(link.as_str().unwrap_or_default()));
    }
    for device in host
        .get_mut("Devices")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        // Inspect shows empty permissions as they were given, but create refuses them.
        if text(device, "/CgroupPermissions").is_empty() {
            device["CgroupPermissions"] = json!("rwm");
        }
    }
    for limit in host
        .get_mut("Ulimits")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        limit["Name"] = json!(limit_name(text(limit, "/Name")));
    }
    for mount in list(old, "/Mounts") {
        if text(mount, "/Type") == "volume" && !text(mount, "/Name").is_empty() {
            carry_volume(&mut host, mount);
        }
    }
    Value::Object(host)
}

/// Anonymous volumes hold data too: the new container mounts the same volume, by name.
fn carry_volume(host: &mut Map<String, Value>, mount: &Value) {
    let target = clean(text(mount, "/Destination"));
    if let Some(binds) = host.get_mut("Binds").and_then(Value::as_array_mut) {
        if binds.iter().any(|b| bind_target(b).is_some_and(|t| clean(t) == target)) {
            return;
        }
        binds.retain(|b| b.as_str().is_none_or(|b| b.contains(':') || clean(b) != target));
    }
    let mounts = host.entry("Mounts").or_insert(Value::Null);
    if !mounts.is_array() {
        *mounts = json!([]);
    }
    let Some(mounts) = mounts.as_array_mut() else { return };
    if let Some(given) = mounts.iter_mut().find(|m| clean(text(m, "/Target")) == target) {
        if text(given, "/Type") == "volume" && text(given, "/Source").is_empty() {
            given["Source"] = json!(text(mount, "/Name"));
        }
        return;
    }
    let mut carried = json!({"Type": "volume", "Source": text(mount, "/Name"), "Target": target});
    if mount.get("RW") == Some(&Value::Bool(false)) {
        carried["ReadOnly"] = json!(true);
    }
    let driver = text(mount, "/Driver");
    if !matches!(driver, "" | "local") {
        carried["VolumeOptions"] = json!({"DriverConfig": {"Name": driver}});
    }
    mounts.push(carried);
}

/// Target of a `source:target[:options]` bind.
fn bind_target(bind: &Value) -> Option<&str> {
    bind.as_str()?.split(':').nth(1)
}

fn clean(path: &str) -> &str {
    if path.len() > 1 {
        path.trim_end_matches('/')
    } else {
        path
    }
}

#[cfg(test)]
mod tests;
