//! Before anything is touched: find the containers, refuse by field name what cannot be preserved, take the snapshots.

use super::body::{Refusal, refusals};
use super::compose;
use super::dependencies::{bars, dependency_order, on_exit};
use super::find;
use super::host;
use super::json::{id, image_id, missing, name, text};
use super::layer_read;
use super::name::is_set_aside;
use super::observe::{health, restart, state};
use super::snapshot::Snapshot;
use super::tag;
use super::verbs::is_unreadable_log;
use crate::clients::engine::connect::{Engine, EngineKind, EngineVersion};
use crate::clients::engine::error::EngineError;
use crate::clients::engine::raw::encode;
use crate::runtime::kinds::containers::own::own_id;
use lowtide_core::kinds::containers::model::{OnExit, ServiceTag, Unit};
use lowtide_core::kinds::containers::policy::{ContainerSelect, ContainersPolicy};
use lowtide_core::kinds::kind::TargetSettings;
use lowtide_model::container::{ContainerState, Health};
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::policy::{ReadyCheck, Unhealthy};
use lowtide_model::rollout::Part;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// One at a time, each with its bake: more than this is not one target.
const MAX_UNITS: usize = 100;

/// Why a container of Podman's cannot be moved with a restart policy.
const FIXED: &str =
    "Podman cannot change a policy, so a new container that fails would be started again and again during the rollback";

/// What is to be replaced.
#[derive(Debug, Clone, PartialEq)]
pub struct Preflight {
    pub units: Vec<Unit>,
    /// Snapshot of each unit, to be sealed by the store: it holds the container's environment.
    pub snapshots: Vec<Vec<u8>>,
    /// What is lost or comes back later, and hinders nothing: files written inside the containers, which stay behind in the
    /// old ones; what compose does afterwards. One line each.
    pub warnings: Vec<String>,
}

/// Finds the target's containers and makes sure that each can be made anew without loss.
///
/// # Errors
/// `TargetMissing`, `TargetSick`, `PreflightRefused` with every field that cannot be preserved, or as the engine fails.
pub async fn preflight(
    engine: &Engine,
    target: &TargetSettings,
    policy: &ContainersPolicy,
) -> Result<Preflight, Failure> {
    let containers = find::find(engine, &policy.select).await.map_err(|e| e.failure())?;
    if containers.is_empty() {
        return Err(Failure::new(
            FailureKind::TargetMissing,
            format!("target {}", target.name),
        ));
    }
    if containers.len() > MAX_UNITS {
        let detail = format!(
            "target {} means {} containers, at most {MAX_UNITS}",
            target.name,
            containers.len()
        );
        return Err(Failure::new(FailureKind::PreflightRefused, detail));
    }
    let version = engine.version().await.map_err(|e| e.failure())?;
    let api = api(&version).map_err(|e| e.failure())?;
    let fixed_restart = match version.kind {
        EngineKind::Docker => false,
        EngineKind::Podman => true,
    };
    let others = others(engine).await.map_err(|e| e.failure())?;
    let order = dependency_order(containers, &others).map_err(|circle| {
        let detail = format!("{} hold on to each other in a circle", circle.join(", "));
        Failure::new(FailureKind::PreflightRefused, detail)
    })?;
    refuse_sick(&order.containers, target)?;
    let runtime = default_runtime(engine).await.map_err(|e| e.failure())?;
    let look = Look {
        engine,
        target,
        policy,
        api,
        fixed_restart,
        all: order.containers.iter().chain(&others).collect(),
        moved: order.containers.iter().collect(),
    };
    let mut refused = Vec::new();
    let mut found = Preflight {
        units: Vec::new(),
        snapshots: Vec::new(),
        warnings: Vec::new(),
    };
    for (container, part) in order.containers.iter().zip(&order.parts) {
        refused.extend(look.take(container, *part, &mut found).await?);
    }
    if !refused.is_empty() {
        return Err(Failure::new(FailureKind::PreflightRefused, refused.join("; ")));
    }
    for (unit, container) in found.units.iter_mut().zip(&order.containers) {
        let held = order
            .depends_on
            .iter()
            .flatten()
            .any(|dependency| dependency.unit == unit.index);
        unit.part = order.parts[unit.index];
        unit.depends_on.clone_from(&order.depends_on[unit.index]);
        unit.bars = bars(container, api, held);
        unit.on_exit = on_exit(container);
        // The successor of a stopped container is not started, so its requirements need no trial.
        if unit.was_running {
            unit.needs = host::needs(container, version.kind, &runtime);
        }
    }
    Ok(found)
}

/// What one container is looked at with.
struct Look<'a> {
    engine: &'a Engine,
    target: &'a TargetSettings,
    policy: &'a ContainersPolicy,
    api: u32,
    /// The engine cannot change a restart policy.
    fixed_restart: bool,
    /// Every container of the host.
    all: Vec<&'a Value>,
    /// Those of the rollout.
    moved: Vec<&'a Value>,
}

impl Look<'_> {
    /// Adds the container to what was found; everything that bars it.
    async fn take(&self, container: &Value, part: Part, found: &mut Preflight) -> Result<Vec<String>, Failure> {
        let engine = self.engine;
        let failed = |e: EngineError| e.failure();
        let shown = name(container);
        let mut refused: Vec<String> = refusals(container).iter().map(|r| line(shown, r)).collect();
        if self.policy.select != ContainerSelect::Own && own_id().as_deref() == Some(id(container)) {
            refused.push(format!(
                "{shown}: Id (lowtide runs in it: make it a target of its own, `- self: {{}}`)"
            ));
        }
        let policy = restart(container).name;
        if self.fixed_restart && !matches!(policy.as_str(), "" | "no") {
            refused.push(format!("{shown}: RestartPolicy {policy} ({FIXED})"));
        }
        if part == Part::Release {
            refused.extend(compose::one_shot(container, &self.all));
            let log = unreadable_log(engine, self.target, container).await;
            refused.extend(log.map_err(failed)?);
        }
        refused.extend(unfit(engine, container, &self.all).await.map_err(failed)?);
        found.warnings.extend(compose::up_afterwards(container, &self.moved));
        let left = layer_read::read(engine, container).await.map_err(failed)?;
        refused.extend(left.refused);
        found.warnings.extend(left.warnings);
        match image_config(engine, container).await.map_err(failed)? {
            Some(image_config) => {
                let snapshot = Snapshot {
                    container: container.clone(),
                    image_config,
                    files: left.files,
                    tag: tag::of(engine, container).await.map_err(failed)?,
                    api: self.api,
                    fixed_restart: self.fixed_restart,
                };
                take(found, &snapshot).map_err(failed)?;
            }
            None => refused.push(format!(
                "{shown}: Image (it is no longer on the host, so your settings cannot be told apart from its own)"
            )),
        }
        Ok(refused)
    }
}

fn refuse_sick(containers: &[Value], target: &TargetSettings) -> Result<(), Failure> {
    let mut judged = containers.iter().filter(|container| match target.unhealthy {
        Unhealthy::Refuse => true,
        Unhealthy::Replace => !may_heal(container),
    });
    match judged.find_map(sickness) {
        Some(sick) => Err(Failure::new(FailureKind::TargetSick, sick)),
        None => Ok(()),
    }
}

/// Inspect bodies of the host's containers, except those that a rollout set aside. The list alone does not say which
/// others a container depends on.
async fn others(engine: &Engine) -> Result<Vec<Value>, EngineError> {
    let mut others = Vec::new();
    for row in find::all(engine).await? {
        others.extend(
            find::inspect(engine, id(&row))
                .await?
                .filter(|c| !is_set_aside(name(c))),
        );
    }
    Ok(others)
}

/// Minor version of the newest API; only `1.x` exists.
fn api(version: &EngineVersion) -> Result<u32, EngineError> {
    let minor = version.api.strip_prefix("1.").and_then(|minor| minor.parse().ok());
    minor.ok_or_else(|| missing("version", "ApiVersion"))
}

/// The runtime of containers that name none.
async fn default_runtime(engine: &Engine) -> Result<String, EngineError> {
    let info = engine.raw_get("/info").await?;
    Ok(text(&info, "/DefaultRuntime").to_owned())
}

/// The new container writes to the same log driver: one that cannot be read never shows the line that is waited for.
async fn unreadable_log(
    engine: &Engine,
    target: &TargetSettings,
    container: &Value,
) -> Result<Option<String>, EngineError> {
    match target.ready.check {
        ReadyCheck::Log { .. } => {}
        ReadyCheck::Healthcheck
        | ReadyCheck::Steady { .. }
        | ReadyCheck::Http { .. }
        | ReadyCheck::Exit { .. }
        | ReadyCheck::Exec { .. } => return Ok(None),
    }
    let path = format!("/containers/{}/logs?stdout=1&stderr=1&tail=0", encode(id(container)));
    match engine.raw_get(&path).await {
        Err(e) if is_unreadable_log(&e) => Ok(Some(format!(
            "{}: HostConfig.LogConfig.Type (a log driver of type {} cannot be read, and `ready: {{ log: … }}` reads it)",
            name(container),
            text(container, "/HostConfig/LogConfig/Type")
        ))),
        // No line is no JSON.
        Ok(_) | Err(EngineError::Unreadable { .. }) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Requirements that the host cannot meet: a network that is gone, a host port that another container occupies. Checked
/// for running containers only.
async fn unfit(engine: &Engine, container: &Value, all: &[&Value]) -> Result<Vec<String>, EngineError> {
    if state(container) != ContainerState::Running {
        return Ok(Vec::new());
    }
    let shown = name(container);
    let gone = host::networks_gone(engine, container).await?;
    let gone = gone.iter().map(|network| {
        format!("{shown}: NetworkSettings.Networks.{network} (the network is gone, so no new container can join it)")
    });
    let others: Vec<&Value> = all.iter().filter(|c| id(c) != id(container)).copied().collect();
    let taken = host::ports_taken(container, &others).into_iter().map(|(port, holder)| {
        format!("{shown}: HostConfig.PortBindings (port {port} of the host is held by {holder})")
    });
    Ok(gone.chain(taken).collect())
}

fn line(container: &str, refusal: &Refusal) -> String {
    format!("{container}: {} ({})", refusal.field, refusal.why)
}

/// Was the container of this snapshot not healthy before anything was done to it?
///
/// # Errors
/// A snapshot that cannot be read.
pub fn was_sick(snapshot: &[u8]) -> Result<bool, Failure> {
    Ok(may_heal(&Snapshot::read(snapshot)?.container))
}

/// Whether another image may fix the container's state: restarting or unhealthy. No image fixes a container that a
/// person paused or that is being removed.
fn may_heal(container: &Value) -> bool {
    match state(container) {
        ContainerState::Restarting => true,
        ContainerState::Running => health(container) == Health::Unhealthy,
        ContainerState::Created
        | ContainerState::Exited
        | ContainerState::Paused
        | ContainerState::Removing
        | ContainerState::Dead
        | ContainerState::Unknown => false,
    }
}

/// Why this container is no baseline to judge a new image against.
fn sickness(container: &Value) -> Option<String> {
    let shown = name(container);
    match state(container) {
        ContainerState::Paused => Some(format!("{shown} is paused")),
        ContainerState::Restarting => Some(format!("{shown} keeps restarting")),
        ContainerState::Removing => Some(format!("{shown} is being removed")),
        ContainerState::Dead => Some(format!("{shown} is dead")),
        ContainerState::Unknown => Some(format!("{shown} is in a state lowtide does not know")),
        ContainerState::Running if health(container) == Health::Unhealthy => Some(format!("{shown} is unhealthy")),
        ContainerState::Created | ContainerState::Running | ContainerState::Exited => None,
    }
}

fn take(found: &mut Preflight, snapshot: &Snapshot) -> Result<(), EngineError> {
    let container = &snapshot.container;
    let bytes = snapshot.to_bytes().map_err(|e| EngineError::Unreadable {
        what: "inspect".to_owned(),
        source: Box::new(e),
    })?;
    let hash = Sha256::digest(&bytes).iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    found.units.push(Unit {
        index: found.units.len(),
        name: name(container).to_owned(),
        old: id(container).to_owned(),
        old_image: image_id(container, "/Image")?,
        // One that keeps restarting is meant to run.
        was_running: matches!(state(container), ContainerState::Running | ContainerState::Restarting),
        restart: restart(container),
        fixed_restart: snapshot.fixed_restart,
        snapshot: hash,
        part: Part::Release,
        depends_on: Vec::new(),
        bars: Vec::new(),
        on_exit: OnExit::Stays,
        tag: snapshot.tag.as_ref().map(|tag| ServiceTag {
            reference: tag.reference.clone(),
            before: tag.image.clone(),
        }),
        needs: Vec::new(),
    });
    found.snapshots.push(bytes);
    Ok(())
}

/// `Config` of the image it was made from; `None` when the image is gone.
async fn image_config(engine: &Engine, container: &Value) -> Result<Option<Value>, EngineError> {
    let path = format!("/images/{}/json", encode(text(container, "/Image")));
    match engine.raw_get(&path).await {
        Ok(image) => Ok(Some(image.get("Config").cloned().unwrap_or(Value::Null))),
        Err(EngineError::NotFound { .. }) => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sick_baselines_are_named() {
        for (state, sick) in [
            (json!({"Status": "running"}), None),
            (json!({"Status": "exited"}), None),
            (json!({"Status": "running", "Health": {"Status": "starting"}}), None),
            (
                json!({"Status": "running", "Health": {"Status": "unhealthy"}}),
                Some("web is unhealthy"),
            ),
            (json!({"Status": "restarting"}), Some("web keeps restarting")),
            (json!({"Status": "paused"}), Some("web is paused")),
            (
                json!({"Status": "on fire"}),
                Some("web is in a state lowtide does not know"),
            ),
        ] {
            assert_eq!(sickness(&json!({"Name": "/web", "State": state})).as_deref(), sick);
        }
    }

    /// What another image may heal; what a person paused, or what goes away, is nobody's to replace.
    #[test]
    fn only_what_may_heal_is_replaced() {
        let heals = |status: &str, health: &str| {
            may_heal(&json!({"Name": "/web", "State": {"Status": status, "Health": {"Status": health}}}))
        };
        assert!(heals("running", "unhealthy") && heals("restarting", "unhealthy"));
        assert!(!heals("running", "healthy") && !heals("running", "starting"));
        for status in ["paused", "removing", "dead", "exited", "stopped"] {
            assert!(!heals(status, "unhealthy"), "{status}");
        }
    }
}
