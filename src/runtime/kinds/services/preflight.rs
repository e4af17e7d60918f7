//! Before anything is touched: refuse by name what cannot be moved safely, take the snapshots.

use super::body::{has_host_port, has_shared_writes};
use super::find::{self, IMAGE, label, nodes, serving, tasks};
use super::observe::{mode, task, update, version};
use super::snapshot::ServiceSnapshot;
use crate::clients::engine::connect::{Engine, EngineKind};
use crate::clients::engine::error::EngineError;
use crate::runtime::kinds::containers::body::{LABEL_INSTANCE, LABEL_ROLLOUT};
use crate::runtime::kinds::containers::json::{flag, missing, number, object, text};
use lowtide_core::kinds::kind::TargetSettings;
use lowtide_core::kinds::services::model::{
    ObservedTask, ServiceMode, ServiceUnit, TaskPlace, TaskState, TaskWanted, UpdateState,
};
use lowtide_core::kinds::services::policy::ServicesPolicy;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::image::Reference;
use lowtide_model::policy::{Order, Unhealthy};
use lowtide_model::release::Release;
use lowtide_model::rollout::UpdateOrder;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// What is to be moved.
#[derive(Debug, Clone, PartialEq)]
pub struct Preflight {
    pub units: Vec<ServiceUnit>,
    /// Snapshot of each unit, to be sealed by the store: it holds the tasks' environment.
    pub snapshots: Vec<Vec<u8>>,
    /// What is left out, one line each.
    pub notes: Vec<String>,
}

/// Whose labels on a service are no obstacle.
#[derive(Debug, Clone, Copy)]
pub struct Ours<'a> {
    pub instance: &'a str,
    /// Rollouts of ours that are over, though their labels are still there.
    pub over: &'a BTreeSet<String>,
}

/// Makes sure that the engine manages a swarm.
///
/// # Errors
/// `ServiceRefused` with what it is instead; else as the engine fails.
pub async fn manager(engine: &Engine) -> Result<(), Failure> {
    let info = engine.raw_get("/info").await.map_err(|e| e.failure())?;
    let Some(why) = no_manager(&info) else {
        return Ok(());
    };
    let why = match engine.version().await.map_err(|e| e.failure())?.kind {
        EngineKind::Docker => why,
        EngineKind::Podman => {
            "the engine is Podman, which has no Swarm: name a manager of a swarm as the target's host"
        }
    };
    Err(Failure::new(FailureKind::ServiceRefused, why))
}

fn no_manager(info: &Value) -> Option<&'static str> {
    match text(info, "/Swarm/LocalNodeState") {
        "active" if flag(info, "/Swarm/ControlAvailable") => None,
        "active" => Some("the engine is a worker of a swarm: name one of its managers as the target's host"),
        "locked" => Some("the engine's swarm is locked: `docker swarm unlock`"),
        _ => Some("the engine is in no swarm"),
    }
}

/// Reads the services that [`find::find`] found.
///
/// # Errors
/// `TargetSick`, `ServiceRefused` with every reason, or as the engine fails.
pub async fn preflight(
    engine: &Engine,
    target: &TargetSettings,
    policy: &ServicesPolicy,
    release: &Release,
    services: Vec<Value>,
    ours: Ours<'_>,
) -> Result<Preflight, Failure> {
    let all = nodes(engine).await.map_err(|e| find::refused(&e))?;
    let mut found = Preflight {
        units: Vec::new(),
        snapshots: Vec::new(),
        notes: Vec::new(),
    };
    let mut refused = Vec::new();
    if release.digest.is_none() && all.len() > 1 {
        let nodes = all.len();
        refused.push(format!(
            "the release is in no registry, and the swarm has {nodes} nodes: the app needs `publish`"
        ));
    }
    for service in &services {
        let name = text(service, "/Spec/Name");
        let Some(mode) = mode(service) else {
            found.notes.push(format!("{name} is a job and is left out"));
            continue;
        };
        refused.extend(
            obstacles(service, policy, release, ours)
                .into_iter()
                .map(|why| format!("{name}: {why}")),
        );
        let tasks = tasks(engine, text(service, "/ID")).await.map_err(|e| e.failure())?;
        let tasks = tasks
            .iter()
            .map(task)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| e.failure())?;
        let up = serving(&all);
        let sick = sickness(service, mode, &tasks, &up).filter(|_| target.unhealthy == Unhealthy::Refuse);
        if let Some(sick) = sick {
            return Err(Failure::new(FailureKind::TargetSick, format!("{name}: {sick}")));
        }
        take(&mut found, service, mode, policy, release, &tasks, &up).map_err(|e| e.failure())?;
    }
    if found.units.is_empty() {
        refused.append(&mut found.notes);
    }
    if refused.is_empty() {
        return Ok(found);
    }
    Err(Failure::new(FailureKind::ServiceRefused, refused.join("; ")))
}

/// Why this service must not be touched now.
fn obstacles(service: &Value, policy: &ServicesPolicy, release: &Release, ours: Ours<'_>) -> Vec<String> {
    let mut why = Vec::new();
    let said = text(service, "/UpdateStatus/Message");
    match update(service) {
        UpdateState::Updating | UpdateState::RollbackStarted => why.push(format!("an update is under way ({said})")),
        UpdateState::Paused | UpdateState::RollbackPaused => why.push(format!(
            "its last update is paused ({said}): `docker service update` or `docker service rollback` ends that"
        )),
        UpdateState::Unknown => why.push("its update is in a state lowtide does not know".to_owned()),
        UpdateState::Absent | UpdateState::Completed | UpdateState::RollbackCompleted => {}
    }
    if let Some(rollout) = label(service, LABEL_ROLLOUT) {
        let by_us = label(service, LABEL_INSTANCE) == Some(ours.instance);
        if !by_us || !ours.over.contains(rollout) {
            why.push(format!(
                "rollout {rollout} has its label on it: `docker service update --label-rm {LABEL_ROLLOUT}` once its update has ended"
            ));
        }
    }
    let image = text(service, IMAGE);
    if image.is_empty() {
        why.push("it runs no container".to_owned());
    } else if release.digest.is_some() && !image.contains('@') {
        let pinned = image.parse::<Reference>().is_ok_and(|image| image.digest.is_some());
        if !pinned {
            why.push(format!(
                "its image {image} has no digest, so a rollback would have no exact image: `docker service update --image {image}` pins it"
            ));
        }
    }
    let spec = service.get("Spec").unwrap_or(&Value::Null);
    if wanted_order(policy) == Some(UpdateOrder::StartFirst) && has_host_port(spec) {
        why.push(
            "`order: start-first` and a port in host mode: the new task would wait for the old one's port for ever"
                .to_owned(),
        );
    }
    why
}

/// Why this service is no baseline to judge a new image against.
fn sickness(service: &Value, mode: ServiceMode, tasks: &[ObservedTask], up: &BTreeSet<String>) -> Option<String> {
    let image = text(service, IMAGE);
    let wanted = || tasks.iter().filter(|task| task.wanted == TaskWanted::Running);
    if let Some(other) = wanted().find(|task| task.image != image) {
        return Some(format!("a task runs {} though the service says {image}", other.image));
    }
    let runs = |task: &&ObservedTask| task.state == TaskState::Running;
    let here = |task: &&ObservedTask| match &task.place {
        TaskPlace::Slot(_) => true,
        TaskPlace::Node(node) => up.contains(node),
    };
    let running = wanted().filter(here).filter(runs).count() as u64;
    let want = match mode {
        ServiceMode::Replicated { replicas } => replicas,
        ServiceMode::Global => wanted().filter(here).count() as u64,
    };
    (running < want).then(|| format!("{running} of {want} tasks run"))
}

fn take(
    found: &mut Preflight,
    service: &Value,
    mode: ServiceMode,
    policy: &ServicesPolicy,
    release: &Release,
    tasks: &[ObservedTask],
    up: &BTreeSet<String>,
) -> Result<(), EngineError> {
    let snapshot = ServiceSnapshot {
        service: service.clone(),
    };
    let bytes = snapshot.to_bytes().map_err(|e| EngineError::Unreadable {
        what: "the service".to_owned(),
        source: Box::new(e),
    })?;
    let hash = Sha256::digest(&bytes).iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    let spec = service.get("Spec").ok_or_else(|| missing("the service", "Spec"))?;
    let planned = release.service_image();
    let node = |task: &ObservedTask| match &task.place {
        TaskPlace::Node(node) if task.wanted == TaskWanted::Running && up.contains(node) => Some(node.clone()),
        TaskPlace::Node(_) | TaskPlace::Slot(_) => None,
    };
    found.units.push(ServiceUnit {
        index: found.units.len(),
        name: text(service, "/Spec/Name").to_owned(),
        id: text(service, "/ID").to_owned(),
        version: version(service)?,
        mode,
        old_image: text(service, IMAGE).to_owned(),
        order: wanted_order(policy).unwrap_or_else(|| natural_order(spec)),
        nodes: tasks.iter().filter_map(node).collect(),
        past: tasks
            .iter()
            .filter(|task| task.image == planned)
            .map(|task| task.id.clone())
            .collect(),
        snapshot: hash,
    });
    found.snapshots.push(bytes);
    Ok(())
}

fn wanted_order(policy: &ServicesPolicy) -> Option<UpdateOrder> {
    match policy.order {
        Order::Auto => None,
        Order::StartFirst => Some(UpdateOrder::StartFirst),
        Order::StopFirst => Some(UpdateOrder::StopFirst),
    }
}

/// Start-first, unless tasks need something exclusively: a host port, a writable volume, or the only place on a node.
fn natural_order(spec: &Value) -> UpdateOrder {
    // With one task per node and no room for a second, a start-first update waits for ever.
    let crowded = number(spec, "/TaskTemplate/Placement/MaxReplicas") > 0
        || object(spec, "/Mode").is_some_and(|mode| mode.contains_key("Global"));
    if has_host_port(spec) || has_shared_writes(spec) || crowded {
        UpdateOrder::StopFirst
    } else {
        UpdateOrder::StartFirst
    }
}

#[cfg(test)]
mod tests;
