//! Pulls the image onto every node that may run a service, before any task stops: Swarm itself pulls during the gap
//! between two tasks.

use super::body::prepull as job_body;
use super::find::{label, nodes, serving, tasks};
use super::observe::task;
use super::snapshot::ServiceSnapshot;
use crate::clients::credentials::Credential;
use crate::clients::engine::auth::header;
use crate::clients::engine::connect::Engine;
use crate::clients::engine::error::EngineError;
use crate::clients::engine::raw::encode;
use crate::runtime::kinds::containers::body::{LABEL_ROLLOUT, Mark};
use crate::runtime::kinds::containers::json::{list, number, text};
use crate::runtime::kinds::containers::pull::{pull, pull_failure};
use crate::runtime::kinds::services::find::inspect;
use jiff::SignedDuration;
use lowtide_core::kinds::services::model::{ServiceUnit, TaskPlace, TaskState};
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::policy::{Ready, ReadyCheck};
use lowtide_model::release::Release;
use reqwest::Method;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(60);
const RESPONSE_LIMIT: usize = 1 << 20;
/// How often the job is looked at.
const POLL: Duration = Duration::from_millis(500);
/// How long to wait for the job's first task. Swarm assigns all of them at once, so without any task by then no node
/// fits.
const NO_TASKS: Duration = Duration::from_secs(10);
/// All of it.
const PULL_LIMIT: Duration = Duration::from_secs(2 * 3600);
/// Docker's own, where a health check says nothing (moby, `daemon/health.go`).
const INTERVAL: SignedDuration = SignedDuration::from_secs(30);
const RETRIES: i64 = 3;
/// A task whose image has no health check runs for this long, unless its target says otherwise.
const STAY_UP: SignedDuration = SignedDuration::from_secs(10);

/// Brings the release to the nodes where `service` may run. Swarms of one node pull there; others by a job of Swarm's,
/// which is removed afterwards.
///
/// # Errors
/// As [`pull`]; `RegistryUnreachable` with the node that could not pull; `Invariant` when cancelled.
pub async fn prepull(
    engine: &Engine,
    unit: &ServiceUnit,
    release: &Release,
    mark: &Mark<'_>,
    auth: Option<&Credential>,
    cancel: &CancellationToken,
) -> Result<(), Failure> {
    let all = nodes(engine).await.map_err(|e| e.failure())?;
    if all.len() <= 1 {
        return pull(engine, release, auth).await.map(drop);
    }
    by_job(engine, unit, release, mark, auth, cancel).await
}

/// On every node where the service may run, by a job of Swarm's.
///
/// # Errors
/// As [`prepull`].
pub async fn by_job(
    engine: &Engine,
    unit: &ServiceUnit,
    release: &Release,
    mark: &Mark<'_>,
    auth: Option<&Credential>,
    cancel: &CancellationToken,
) -> Result<(), Failure> {
    let service = inspect(engine, &unit.id).await.map_err(|e| e.failure())?;
    let gone = || Failure::new(FailureKind::Diverged, format!("service {} is gone", unit.name));
    let service = service.ok_or_else(gone)?;
    let name = format!("lowtide-pull-{}-{}", mark.rollout, unit.index).to_lowercase();
    let body = job_body(&name, &service["Spec"], &release.service_image(), mark);
    // A job left by an earlier attempt shows the result of that attempt.
    remove(engine, &name, mark).await?;
    create(engine, release, &body, auth).await?;
    let pulled = watch(engine, &name, release, cancel).await;
    remove(engine, &name, mark).await?;
    pulled
}

/// How long a new task takes at most until Swarm says it runs, or gives it up: by the health check of the service, else of
/// its image. `None` for the image config means that it is not on this node.
///
/// # Errors
/// `Invariant` when the snapshot cannot be read.
pub fn startup(snapshot: &[u8], image_config: Option<&Value>, ready: &Ready) -> Result<SignedDuration, Failure> {
    let unreadable = |e| Failure::new(FailureKind::Invariant, format!("the snapshot cannot be read: {e}"));
    let stored = ServiceSnapshot::from_bytes(snapshot).map_err(unreadable)?;
    Ok(proves(&stored.service["Spec"], image_config, ready))
}

fn proves(spec: &Value, image_config: Option<&Value>, ready: &Ready) -> SignedDuration {
    let own = spec.pointer("/TaskTemplate/ContainerSpec/Healthcheck");
    let images = image_config.and_then(|config| config.get("Healthcheck"));
    let check = |field: &str| {
        let set = |check: Option<&Value>| check.map(|c| number(c, field)).filter(|n| *n > 0);
        set(own).or_else(|| set(images))
    };
    let checked = match own.and_then(test).or_else(|| images.and_then(test)) {
        Some("NONE") => false,
        Some(_) => true,
        None => image_config.is_none(),
    };
    if !checked {
        return match ready.check {
            ReadyCheck::Steady { stay_up } => stay_up,
            ReadyCheck::Healthcheck
            | ReadyCheck::Http { .. }
            | ReadyCheck::Log { .. }
            | ReadyCheck::Exec { .. }
            | ReadyCheck::Exit { .. } => STAY_UP,
        };
    }
    let interval = check("/Interval").map_or(INTERVAL, SignedDuration::from_nanos);
    let start = check("/StartPeriod").map_or(SignedDuration::ZERO, SignedDuration::from_nanos);
    let rounds = check("/Retries").unwrap_or(RETRIES).saturating_add(1);
    start.saturating_add(interval.saturating_mul(i32::try_from(rounds).unwrap_or(i32::MAX)))
}

/// `NONE`, `CMD` or `CMD-SHELL`.
fn test(check: &Value) -> Option<&str> {
    list(check, "/Test").first().and_then(Value::as_str)
}

/// `Config` of the release on this node.
///
/// # Errors
/// As the engine fails.
pub async fn image_config(engine: &Engine, release: &Release) -> Result<Option<Value>, Failure> {
    match engine
        .raw_get(&format!("/images/{}/json", encode(&release.service_image())))
        .await
    {
        Ok(image) => Ok(Some(image.get("Config").cloned().unwrap_or(Value::Null))),
        Err(EngineError::NotFound { .. }) => Ok(None),
        Err(e) => Err(e.failure()),
    }
}

async fn create(engine: &Engine, release: &Release, body: &Value, auth: Option<&Credential>) -> Result<(), Failure> {
    let headers = header(&release.reference.repository.registry, auth);
    let mut response = engine
        .raw_stream(Method::POST, "/services/create", Some(body), headers, PATIENCE)
        .await
        .map_err(|e| e.failure())?;
    response.all(RESPONSE_LIMIT).await.map(drop).map_err(|e| e.failure())
}

async fn remove(engine: &Engine, name: &str, mark: &Mark<'_>) -> Result<(), Failure> {
    let found = inspect(engine, name).await.map_err(|e| e.failure())?;
    let ours = |job: &Value| label(job, LABEL_ROLLOUT) == Some(mark.rollout.to_string().as_str());
    let Some(job) = found.filter(ours) else {
        return Ok(());
    };
    match engine
        .raw_delete(&format!("/services/{}", encode(text(&job, "/ID"))))
        .await
    {
        Ok(()) | Err(EngineError::NotFound { .. }) => Ok(()),
        Err(e) => Err(e.failure()),
    }
}

/// Until no node is at it any more.
async fn watch(engine: &Engine, name: &str, release: &Release, cancel: &CancellationToken) -> Result<(), Failure> {
    let repository = &release.reference.repository;
    let begun = tokio::time::Instant::now();
    loop {
        let up = serving(&nodes(engine).await.map_err(|e| e.failure())?);
        let rows = tasks(engine, name).await.map_err(|e| e.failure())?;
        let verdict = verdict(&rows, &up).map_err(|e| e.failure())?;
        match verdict {
            Pulled::Everywhere => return Ok(()),
            Pulled::Nowhere if begun.elapsed() > NO_TASKS => return Ok(()),
            Pulled::Failed(said) => return Err(pull_failure(repository, &said)),
            Pulled::Nowhere | Pulled::NotYet if begun.elapsed() > PULL_LIMIT => {
                let detail = format!("{repository}: the pull took too long");
                return Err(Failure::new(FailureKind::RegistryUnreachable, detail));
            }
            Pulled::Nowhere | Pulled::NotYet => {}
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            () = cancel.cancelled() => {
                return Err(Failure::new(FailureKind::Invariant, "the pull was cancelled"));
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Pulled {
    /// No node has a task.
    Nowhere,
    NotYet,
    Everywhere,
    /// In Swarm's words.
    Failed(String),
}

/// A task that got as far as a container has pulled its image, whatever happened to it afterwards.
fn verdict(rows: &[Value], up: &BTreeSet<String>) -> Result<Pulled, EngineError> {
    let mut verdict = Pulled::Nowhere;
    for row in rows {
        let seen = task(row)?;
        let TaskPlace::Node(node) = &seen.place else { continue };
        // A node that went away pulls when it is back.
        if !up.contains(node) && !node.is_empty() {
            continue;
        }
        let has_image = !text(row, "/Status/ContainerStatus/ContainerID").is_empty();
        match seen.state {
            TaskState::Failed | TaskState::Rejected | TaskState::Lost if !has_image => {
                return Ok(Pulled::Failed(format!("node {node}: {}", seen.said)));
            }
            TaskState::Failed
            | TaskState::Rejected
            | TaskState::Lost
            | TaskState::Running
            | TaskState::Complete
            | TaskState::Shutdown => {
                if verdict == Pulled::Nowhere {
                    verdict = Pulled::Everywhere;
                }
            }
            TaskState::Unplaced | TaskState::Preparing | TaskState::Unknown => verdict = Pulled::NotYet,
        }
    }
    Ok(verdict)
}

#[cfg(test)]
mod tests;
