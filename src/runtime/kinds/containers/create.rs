//! Making the candidate: beside the old container, complete, compared with it, not started.

use super::attach::withhold;
use super::body::{CreateBody, Mark, NewImage, create_body};
use super::dependencies::{Successor, point_at};
use super::fidelity::lost_fields;
use super::find::{candidates, inspect};
use super::inject;
use super::json::{id, name, object, text};
use super::network;
use super::observe::state;
use super::snapshot::Snapshot;
use super::volumes::remove_candidate;
use crate::clients::engine::connect::Engine;
use crate::clients::engine::error::EngineError;
use crate::clients::engine::raw::encode;
use lowtide_core::kinds::containers::model::Unit;
use lowtide_model::container::ContainerState;
use lowtide_model::failure::{Failure, FailureKind};
use serde_json::{Value, json};
use std::time::Duration;

/// A create copies nothing on overlay file systems, and may copy an image's volume contents; connects take milliseconds.
const PATIENCE: Duration = Duration::from_secs(300);

/// What is different about a new container while it is made.
#[derive(Debug, Clone, Default)]
pub struct Circumstances {
    /// What it held on to, and has to hold on to now.
    pub successors: Vec<Successor>,
    /// Networks in which it gets the service's names only once it serves.
    pub withheld: Vec<String>,
}

/// Makes the candidate of a unit, or adopts the one an earlier try made; its id. A half-made one is finished or, if it
/// never started, made again. The old container is not touched.
///
/// # Errors
/// `PreflightRefused` with the fields the engine did not preserve; `DigestMismatch` when the reference means another
/// image here; `Diverged` when someone else has the candidate's name.
pub async fn create_candidate(
    engine: &Engine,
    unit: &Unit,
    snapshot: &[u8],
    image: &NewImage<'_>,
    mark: &Mark<'_>,
    circumstances: &Circumstances,
) -> Result<String, Failure> {
    let mut snapshot = Snapshot::read(snapshot)?;
    network::find_again(engine, &mut snapshot)
        .await
        .map_err(|e| e.failure())?;
    point_at(&mut snapshot.container, &circumstances.successors);
    withhold(&mut snapshot.container, &circumstances.withheld);
    let body = create_body(&snapshot, image, mark).map_err(|refused| {
        let fields: Vec<String> = refused.iter().map(|r| format!("{} ({})", r.field, r.why)).collect();
        Failure::new(
            FailureKind::PreflightRefused,
            format!("{}: {}", unit.name, fields.join("; ")),
        )
    })?;
    let made = candidates(engine, mark.rollout, unit.index, mark.role, &unit.old)
        .await
        .map_err(|e| e.failure())?;
    let mut adopted = None;
    for candidate in &made {
        let usable = adopted.is_none() && finish(engine, candidate, &snapshot, image, &body).await.is_ok();
        if usable {
            adopted = Some(id(candidate).to_owned());
        } else if state(candidate) == ContainerState::Created {
            remove_candidate(engine, id(candidate), &unit.old)
                .await
                .map_err(|e| e.failure())?;
        } else {
            let detail = format!(
                "{} carries this rollout's labels and was not made by it",
                name(candidate)
            );
            return Err(Failure::new(FailureKind::Diverged, detail));
        }
    }
    if let Some(adopted) = adopted {
        return Ok(adopted);
    }
    let path = format!("/containers/create?name={}", encode(&body.name));
    let response = engine.raw_post(&path, Some(&body.body), PATIENCE).await;
    let created = response.map_err(|e| create_failure(&e, unit, &body))?;
    let created = inspect(engine, text(&created, "/Id")).await.map_err(|e| e.failure())?;
    let candidate = created.ok_or_else(|| {
        Failure::new(
            FailureKind::Diverged,
            format!("{} was removed as soon as it was made", body.name),
        )
    })?;
    if let Err(failure) = finish(engine, &candidate, &snapshot, image, &body).await {
        // A candidate that lost settings must not be adopted by the next attempt.
        if failure.kind != FailureKind::EngineUnreachable {
            remove_candidate(engine, id(&candidate), &unit.old)
                .await
                .map_err(|e| e.failure())?;
        }
        return Err(failure);
    }
    Ok(id(&candidate).to_owned())
}

/// The name of the image a container was made from, as its user wrote it.
///
/// # Errors
/// `Invariant` for a snapshot that cannot be read.
pub fn reference(snapshot: &[u8]) -> Result<String, Failure> {
    let snapshot = Snapshot::read(snapshot)?;
    Ok(text(&snapshot.container, "/Config/Image").to_owned())
}

/// Connects what is not yet connected, puts in what was put in before the start, then compares the whole with the snapshot.
async fn finish(
    engine: &Engine,
    candidate: &Value,
    snapshot: &Snapshot,
    image: &NewImage<'_>,
    body: &CreateBody,
) -> Result<(), Failure> {
    if text(candidate, "/Image") != image.id.as_str() {
        let detail = format!("{} is not {} on this host", image.reference, image.id.short());
        return Err(Failure::new(FailureKind::DigestMismatch, detail));
    }
    let connected = object(candidate, "/NetworkSettings/Networks");
    for (network, endpoint) in &body.extra_networks {
        if connected.is_some_and(|c| c.contains_key(network)) {
            continue;
        }
        let request = json!({"Container": id(candidate), "EndpointConfig": endpoint});
        let path = format!("/networks/{}/connect", encode(network));
        engine
            .raw_post_only(&path, Some(&request), PATIENCE)
            .await
            .map_err(|e| Failure::new(e.failure().kind, format!("network {network}: {e}")))?;
    }
    // All of them, again: nobody knows how far an earlier try came.
    if state(candidate) == ContainerState::Created {
        inject::upload(engine, candidate, &snapshot.files).await?;
    }
    let now = engine
        .raw_get(&format!("/containers/{}/json", encode(id(candidate))))
        .await
        .map_err(|e| e.failure())?;
    let lost = lost_fields(snapshot, &now);
    if lost.is_empty() {
        return Ok(());
    }
    let detail = format!("{}: the engine did not keep {}", body.name, lost.join(", "));
    Err(Failure::new(FailureKind::PreflightRefused, detail))
}

fn create_failure(error: &EngineError, unit: &Unit, body: &CreateBody) -> Failure {
    match error {
        EngineError::Conflict { .. } => Failure::new(
            FailureKind::Diverged,
            format!("another container has the name {}", body.name),
        ),
        EngineError::NotFound { .. } => Failure::new(
            FailureKind::EngineRefused,
            format!("the new image, or something {} needs, is not on the host", unit.name),
        ),
        EngineError::Unreachable { .. }
        | EngineError::Denied { .. }
        | EngineError::Refused { .. }
        | EngineError::Failed { .. }
        | EngineError::Timeout { .. }
        | EngineError::Unreadable { .. } => error.failure(),
    }
}
