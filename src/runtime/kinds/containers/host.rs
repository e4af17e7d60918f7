//! What a container's settings require of its host. An inspect shows some of it. The rest is tried with trial
//! containers that do nothing and have only those settings, so that a missing requirement is found before the old
//! container stops.

use super::body::LABEL_INSTANCE;
use super::json::{is_zero, list, name, object, text};
use super::snapshot::Snapshot;
use crate::clients::engine::connect::{Engine, EngineKind};
use crate::clients::engine::container::Kind;
use crate::clients::engine::error::EngineError;
use crate::clients::engine::raw::encode;
use lowtide_core::kinds::containers::model::{HostNeed, Unit};
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::name::RolloutId;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// On a container of ours that tries the host out: for which rollout.
const LABEL_TRIAL: &str = "io.lowtide.trial";

/// The engine brings this program along, statically linked, when a container is to have an init; so it runs on any image.
const NOOP: &str = "/sbin/docker-init";

const PATIENCE: Duration = Duration::from_secs(120);

/// Settings of the user's that are tried with a start, and the fields they are in.
const STARTED: [(HostNeed, &[&str]); 4] = [
    (HostNeed::Devices, &["Devices", "DeviceRequests", "DeviceCgroupRules"]),
    (HostNeed::Runtime, &["Runtime"]),
    (HostNeed::SecurityProfiles, &["SecurityOpt"]),
    (HostNeed::Ulimits, &["Ulimits"]),
];

/// The requirements that need a trial. `runtime`: the engine's default, which counts as not set. On Podman nothing is
/// started: it has no [`NOOP`], and shows a runtime and limits for every container as if the user had set them.
pub(super) fn needs(container: &Value, engine: EngineKind, runtime: &str) -> Vec<HostNeed> {
    let set = |field: &&str| {
        let value = container.pointer(&format!("/HostConfig/{field}"));
        value.is_some_and(|value| !is_zero(value) && (*field != "Runtime" || value.as_str() != Some(runtime)))
    };
    let started = STARTED
        .iter()
        .filter(|(_, fields)| fields.iter().any(&set))
        .map(|(need, _)| *need);
    let binds = (!binds(container).is_empty()).then_some(HostNeed::BindSources);
    match engine {
        EngineKind::Docker => binds.into_iter().chain(started).collect(),
        EngineKind::Podman => binds.into_iter().collect(),
    }
}

/// Networks of the container that no longer exist on the engine.
///
/// # Errors
/// As the engine fails.
pub(super) async fn networks_gone(engine: &Engine, container: &Value) -> Result<Vec<String>, EngineError> {
    let mut gone = Vec::new();
    let endpoints = object(container, "/NetworkSettings/Networks");
    for network in endpoints.into_iter().flat_map(Map::keys) {
        if matches!(network.as_str(), "bridge" | "host" | "none") {
            continue;
        }
        match engine.raw_get(&format!("/networks/{}", encode(network))).await {
            Ok(_) => {}
            Err(EngineError::NotFound { .. }) => gone.push(network.clone()),
            Err(e) => return Err(e),
        }
    }
    Ok(gone)
}

/// Fixed ports of the host that a container requests and another one, which runs, holds: `port`, name of the other.
pub(super) fn ports_taken(container: &Value, others: &[&Value]) -> Vec<(String, String)> {
    let mut taken = Vec::new();
    let requested = object(container, "/HostConfig/PortBindings").into_iter().flatten();
    for (port, binding) in requested.flat_map(|(port, bindings)| list(bindings, "").iter().map(move |b| (port, b))) {
        let wanted = Socket::of(port, binding);
        let Some(wanted) = wanted else { continue };
        let holder = others.iter().find(|other| {
            let held = object(other, "/NetworkSettings/Ports").into_iter().flatten();
            let mut held = held.flat_map(|(port, bindings)| list(bindings, "").iter().map(move |b| (port, b)));
            held.any(|(port, binding)| Socket::of(port, binding).is_some_and(|held| held.collides(&wanted)))
        });
        if let Some(holder) = holder {
            taken.push((format!("{}/{}", wanted.port, wanted.protocol), name(holder).to_owned()));
        }
    }
    taken
}

/// A fixed port of the host.
struct Socket<'a> {
    address: &'a str,
    port: &'a str,
    protocol: &'a str,
}

impl<'a> Socket<'a> {
    /// `inside`: `80/tcp`. `None`: the engine chooses a port, or one of a range.
    fn of(inside: &'a str, binding: &'a Value) -> Option<Self> {
        let port = text(binding, "/HostPort");
        let fixed = !port.is_empty() && port != "0" && port.bytes().all(|b| b.is_ascii_digit());
        fixed.then(|| Self {
            address: text(binding, "/HostIp"),
            port,
            protocol: inside.split_once('/').map_or("tcp", |(_, protocol)| protocol),
        })
    }

    fn collides(&self, other: &Self) -> bool {
        let any = |address: &str| matches!(address, "" | "0.0.0.0" | "::");
        let reach = self.address == other.address || any(self.address) || any(other.address);
        self.port == other.port && self.protocol == other.protocol && reach
    }
}

/// Asks the host for what the unit needs. Leftovers of an earlier try are removed first, and so is each container of this
/// one, whatever came of it.
///
/// # Errors
/// `StartFailed` in the engine's words, or as the engine fails.
pub async fn try_out(
    engine: &Engine,
    unit: &Unit,
    snapshot: &[u8],
    instance: &str,
    rollout: RolloutId,
) -> Result<(), Failure> {
    let snapshot = Snapshot::read(snapshot)?;
    sweep(engine, instance, rollout).await.map_err(|e| e.failure())?;
    let started: Vec<HostNeed> = unit
        .needs
        .iter()
        .copied()
        .filter(|need| *need != HostNeed::BindSources)
        .collect();
    let labels = [
        (LABEL_INSTANCE, instance.to_owned()),
        (LABEL_TRIAL, rollout.to_string()),
        (Kind::LABEL, Kind::Trial.text().to_owned()),
    ];
    let mut tried = Ok(());
    if unit.needs.contains(&HostNeed::BindSources) {
        let body = body(unit, &snapshot, &labels, json!({"Mounts": binds(&snapshot.container)}));
        tried = one(engine, unit, &[HostNeed::BindSources], &body, Then::Nothing).await;
    }
    if tried.is_ok() && !started.is_empty() {
        let body = body(
            unit,
            &snapshot,
            &labels,
            Value::Object(settings(&snapshot.container, &started)),
        );
        tried = one(engine, unit, &started, &body, Then::Start).await;
    }
    let swept = sweep(engine, instance, rollout).await.map_err(|e| e.failure());
    tried.and(swept)
}

/// Removes what a killed try left.
///
/// # Errors
/// As the engine fails.
pub async fn sweep(engine: &Engine, instance: &str, rollout: RolloutId) -> Result<(), EngineError> {
    let labels = [
        format!("{LABEL_INSTANCE}={instance}"),
        format!("{LABEL_TRIAL}={rollout}"),
    ];
    let filters = encode(&json!({ "label": labels }).to_string());
    let found = engine
        .raw_get(&format!("/containers/json?all=1&filters={filters}"))
        .await?;
    for row in list(&found, "") {
        engine.remove_own(text(row, "/Id")).await?;
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// The create has decided.
    Nothing,
    Start,
}

async fn one(engine: &Engine, unit: &Unit, needs: &[HostNeed], body: &Value, then: Then) -> Result<(), Failure> {
    let created = engine.raw_post("/containers/create", Some(body), PATIENCE).await;
    let id = match created {
        Ok(created) => text(&created, "/Id").to_owned(),
        Err(e) => return Err(lacks(unit, needs, &e)),
    };
    if then == Then::Nothing {
        return Ok(());
    }
    match engine.start_own(&id).await {
        Ok(()) => Ok(()),
        // An engine without an init of its own says nothing of the settings.
        Err(e) if e.to_string().contains(NOOP) || e.to_string().contains("docker-init") => {
            tracing::warn!(unit = unit.name, error = %e, "the host cannot be tried out");
            Ok(())
        }
        Err(e) => Err(lacks(unit, needs, &e)),
    }
}

fn lacks(unit: &Unit, needs: &[HostNeed], error: &EngineError) -> Failure {
    let failure = error.failure();
    let message = match error {
        EngineError::Refused { message, .. } | EngineError::Conflict { message } => message,
        EngineError::NotFound { .. }
        | EngineError::Unreachable { .. }
        | EngineError::Denied { .. }
        | EngineError::Failed { .. }
        | EngineError::Timeout { .. }
        | EngineError::Unreadable { .. } => return failure,
    };
    if failure.kind == FailureKind::DiskFull {
        return failure;
    }
    let needs: Vec<String> = needs.iter().map(ToString::to_string).collect();
    let detail = format!("{} with its {}: {message}", unit.name, needs.join(", "));
    Failure::new(FailureKind::StartFailed, detail)
}

/// Nothing of the user's but `settings`: no name, network, port, volume, label, health check or log driver, and nothing of
/// the image's either.
fn body(unit: &Unit, snapshot: &Snapshot, labels: &[(&str, String)], settings: Value) -> Value {
    let image = &snapshot.image_config;
    let of_image = |pointer: &str| object(image, pointer).into_iter().flat_map(Map::keys);
    // Blank the image's labels: tools that select the service's containers by label must not find the trial.
    let mut all: Map<String, Value> = of_image("/Labels").map(|key| (key.clone(), json!(""))).collect();
    all.extend(labels.iter().map(|(key, value)| ((*key).to_owned(), json!(value))));
    // A tmpfs over each `VOLUME` of the image keeps the engine from creating an anonymous volume.
    let mut mounts: Vec<Value> = of_image("/Volumes")
        .map(|path| json!({"Type": "tmpfs", "Target": path}))
        .collect();
    let taken: Vec<&str> = list(&settings, "/Mounts").iter().map(|m| text(m, "/Target")).collect();
    mounts.retain(|mount| !taken.contains(&text(mount, "/Target")));
    mounts.extend(list(&settings, "/Mounts").iter().cloned());
    let mut host = settings.as_object().cloned().unwrap_or_default();
    host.extend([
        ("Mounts".to_owned(), json!(mounts)),
        ("NetworkMode".to_owned(), json!("none")),
        ("RestartPolicy".to_owned(), json!({"Name": "no"})),
        ("LogConfig".to_owned(), json!({"Type": "none"})),
        ("Init".to_owned(), json!(true)),
    ]);
    json!({
        "Image": unit.old_image.as_str(),
        "Entrypoint": [NOOP],
        "Cmd": ["--version"],
        "User": "0",
        "WorkingDir": "/",
        "Healthcheck": {"Test": ["NONE"]},
        "Labels": all,
        "HostConfig": host,
    })
}

/// Bind mounts whose source must already exist, made read-only for the trial. For `Binds`, and for mounts with
/// `CreateMountpoint`, the engine creates the source itself.
fn binds(container: &Value) -> Vec<Value> {
    let mounts = list(container, "/HostConfig/Mounts").iter();
    let needed = mounts.filter(|mount| {
        let made = mount.pointer("/BindOptions/CreateMountpoint") == Some(&Value::Bool(true));
        text(mount, "/Type") == "bind" && !made
    });
    let read_only = |mount: &Value| {
        let mut mount = mount.clone();
        mount["ReadOnly"] = json!(true);
        mount
    };
    needed.map(read_only).collect()
}

fn settings(container: &Value, needs: &[HostNeed]) -> Map<String, Value> {
    let fields = STARTED
        .iter()
        .filter(|(need, _)| needs.contains(need))
        .flat_map(|(_, fields)| fields.iter());
    let mut settings: Map<String, Value> = fields
        .filter_map(|field| {
            let value = container.pointer(&format!("/HostConfig/{field}"))?;
            Some(((*field).to_owned(), value.clone()))
        })
        .collect();
    let devices = settings.get_mut("Devices").and_then(Value::as_array_mut);
    for device in devices.into_iter().flatten() {
        // Inspect shows empty permissions as they were given, but create refuses them.
        if text(device, "/CgroupPermissions").is_empty() {
            device["CgroupPermissions"] = json!("rwm");
        }
    }
    settings
}

#[cfg(test)]
mod tests;
