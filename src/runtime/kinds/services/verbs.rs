//! One change to one service each, guarded by its version index. Each looks first: doing it twice is doing it once.

use super::body::{Retain, moved, restored};
use super::find::{IMAGE, inspect, label};
use super::observe::{update as update_state, version};
use super::snapshot::ServiceSnapshot;
use crate::clients::credentials::Credential;
use crate::clients::engine::auth::header;
use crate::clients::engine::connect::Engine;
use crate::clients::engine::error::EngineError;
use crate::clients::engine::raw::encode;
use crate::runtime::kinds::containers::body::{LABEL_INSTANCE, LABEL_ROLLOUT, LABEL_TERM, Mark};
use crate::runtime::kinds::containers::json::{missing, text};
use lowtide_core::kinds::services::model::{ServiceUnit, UpdateKnobs, UpdateState};
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::image::Reference;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;
use std::time::Duration;

/// A manager responds when the raft log has it.
const PATIENCE: Duration = Duration::from_secs(60);
/// Swarm's updater changes the service's version itself, once or twice around each update.
const RACES: u32 = 10;
const RESPONSE_LIMIT: usize = 1 << 20;

/// Gives it the image. One that has it by this rollout is left as it is.
///
/// # Errors
/// `Diverged` when the image is neither the old one nor this, or a newer lowtide has been here; else as the manager
/// refuses.
pub async fn update(
    engine: &Engine,
    unit: &ServiceUnit,
    image: &str,
    knobs: &UpdateKnobs,
    mark: &Mark<'_>,
    auth: Option<&Credential>,
) -> Result<(), Failure> {
    change(engine, unit, image, auth, |service| {
        fence(unit, service, mark)?;
        let runs = text(service, IMAGE);
        if runs == image && is_marked(service, mark) {
            return Ok(None);
        }
        if runs != image && runs != unit.old_image {
            return Err(diverged(unit, runs));
        }
        Ok(Some(moved(&service["Spec"], image, knobs, mark)))
    })
    .await
}

/// Sets the old image again. A service that already has it, by Swarm's own rollback or anyone else's, is left as it is
/// unless its update is paused.
///
/// # Errors
/// As [`update`].
pub async fn revert(
    engine: &Engine,
    unit: &ServiceUnit,
    image: &str,
    knobs: &UpdateKnobs,
    mark: &Mark<'_>,
    auth: Option<&Credential>,
) -> Result<(), Failure> {
    change(engine, unit, &unit.old_image, auth, |service| {
        fence(unit, service, mark)?;
        let runs = text(service, IMAGE);
        if runs != image && runs != unit.old_image {
            return Err(diverged(unit, runs));
        }
        let stands = matches!(update_state(service), UpdateState::Paused | UpdateState::RollbackPaused);
        if runs == unit.old_image && !stands {
            return Ok(None);
        }
        Ok(Some(moved(&service["Spec"], &unit.old_image, knobs, mark)))
    })
    .await
}

/// Restores the service's own update settings and removes our labels, as far as `retain` says. Replaces no task.
///
/// # Errors
/// As the manager refuses; `Invariant` when the snapshot cannot be read.
pub async fn restore(
    engine: &Engine,
    unit: &ServiceUnit,
    snapshot: &[u8],
    sent: &UpdateKnobs,
    mark: &Mark<'_>,
    retain: Retain,
) -> Result<(), Failure> {
    let unreadable = |e| Failure::new(FailureKind::Invariant, format!("the snapshot cannot be read: {e}"));
    let stored = ServiceSnapshot::from_bytes(snapshot).map_err(unreadable)?;
    change(engine, unit, &unit.old_image, None, |service| {
        if !is_marked(service, mark) {
            return Ok(None);
        }
        Ok(Some(restored(&service["Spec"], &stored.service["Spec"], sent, retain)))
    })
    .await
}

/// Hands Swarm a fresh login for the image a service runs. No task is replaced by it.
///
/// # Errors
/// As the manager refuses.
pub async fn refresh_auth(engine: &Engine, service: &str, auth: &Credential) -> Result<(), Failure> {
    let Some(found) = inspect(engine, service).await.map_err(|e| e.failure())? else {
        return Ok(());
    };
    let image = text(&found, IMAGE);
    // `out of sequence`: another client is updating the service, with its own credentials. The next refresh is soon
    // enough.
    match send(engine, &found, &found["Spec"], image, Some(auth)).await {
        Ok(()) => Ok(()),
        Err(e) if is_race(&e) => Ok(()),
        Err(e) => Err(refusal(text(&found, "/Spec/Name"), &e)),
    }
}

/// Reads, decides on what is there now, and writes; again when someone wrote in between.
async fn change(
    engine: &Engine,
    unit: &ServiceUnit,
    image: &str,
    auth: Option<&Credential>,
    decide: impl Fn(&Value) -> Result<Option<Value>, Failure>,
) -> Result<(), Failure> {
    for _ in 0..RACES {
        let found = inspect(engine, &unit.id).await.map_err(|e| e.failure())?;
        let gone = || Failure::new(FailureKind::Diverged, format!("service {} is gone", unit.name));
        let found = found.ok_or_else(gone)?;
        let Some(spec) = decide(&found)? else {
            return Ok(());
        };
        match send(engine, &found, &spec, image, auth).await {
            Ok(()) => return Ok(()),
            Err(e) if is_race(&e) => {}
            Err(e) => return Err(refusal(&unit.name, &e)),
        }
    }
    let detail = format!("service {} is changed all the time", unit.name);
    Err(Failure::new(FailureKind::EngineRefused, detail))
}

async fn send(
    engine: &Engine,
    found: &Value,
    spec: &Value,
    image: &str,
    auth: Option<&Credential>,
) -> Result<(), EngineError> {
    let version = version(found)?;
    // Without a login of ours Swarm keeps the one it has.
    let headers = match (auth, image.parse::<Reference>()) {
        (Some(auth), Ok(reference)) => header(&reference.repository.registry, Some(auth)),
        (Some(_) | None, Ok(_) | Err(_)) => HeaderMap::new(),
    };
    let id = text(found, "/ID");
    if id.is_empty() {
        return Err(missing("the service", "ID"));
    }
    let path = format!("/services/{}/update?version={version}", encode(id));
    let mut response = engine
        .raw_stream(Method::POST, &path, Some(spec), headers, PATIENCE)
        .await?;
    response.all(RESPONSE_LIMIT).await.map(drop)
}

/// Someone changed the service since we read it (swarmkit, `manager/state/store`).
fn is_race(error: &EngineError) -> bool {
    match error {
        EngineError::Refused { message, .. } | EngineError::Conflict { message } => message.contains("out of sequence"),
        EngineError::Unreachable { .. }
        | EngineError::Denied { .. }
        | EngineError::NotFound { .. }
        | EngineError::Failed { .. }
        | EngineError::Timeout { .. }
        | EngineError::Unreadable { .. } => false,
    }
}

fn refusal(name: &str, error: &EngineError) -> Failure {
    match error {
        EngineError::Refused { status, message } if *status < 500 || *status == 503 => {
            Failure::new(FailureKind::ServiceRefused, format!("{name}: {message}"))
        }
        EngineError::Refused { .. }
        | EngineError::Conflict { .. }
        | EngineError::Unreachable { .. }
        | EngineError::Denied { .. }
        | EngineError::NotFound { .. }
        | EngineError::Failed { .. }
        | EngineError::Timeout { .. }
        | EngineError::Unreadable { .. } => error.failure(),
    }
}

fn is_marked(service: &Value, mark: &Mark<'_>) -> bool {
    label(service, LABEL_ROLLOUT) == Some(mark.rollout.to_string().as_str())
}

/// Refuses if a newer lowtide process has changed the service: a process presumed dead must not undo its successor's
/// work.
fn fence(unit: &ServiceUnit, service: &Value, mark: &Mark<'_>) -> Result<(), Failure> {
    let ours = label(service, LABEL_INSTANCE) == Some(mark.instance);
    let term: u64 = label(service, LABEL_TERM)
        .and_then(|term| term.parse().ok())
        .unwrap_or_default();
    if ours && term > mark.term {
        let detail = format!("a newer start of lowtide has changed service {}", unit.name);
        return Err(Failure::new(FailureKind::Diverged, detail));
    }
    Ok(())
}

fn diverged(unit: &ServiceUnit, runs: &str) -> Failure {
    let detail = format!("someone gave service {} the image {runs}", unit.name);
    Failure::new(FailureKind::Diverged, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowtide_core::kinds::services::model::ServiceMode;
    use lowtide_model::name::RolloutId;
    use lowtide_model::rollout::UpdateOrder;
    use lowtide_model::rollout::Which;
    use serde_json::json;
    use std::collections::BTreeSet;

    #[test]
    fn a_process_that_was_thought_dead_changes_nothing_after_its_successor() {
        let unit = ServiceUnit {
            index: 0,
            name: "web".to_owned(),
            id: "service".to_owned(),
            version: 1,
            mode: ServiceMode::Replicated { replicas: 1 },
            old_image: "example.org/web:t0".to_owned(),
            order: UpdateOrder::StopFirst,
            nodes: BTreeSet::new(),
            past: BTreeSet::new(),
            snapshot: String::new(),
        };
        let mark = Mark {
            rollout: RolloutId(ulid::Ulid(9)),
            unit: 0,
            instance: "ours",
            term: 5,
            role: Which::New,
        };
        let refused = |instance: &str, term: &str| {
            let labels = json!({ LABEL_INSTANCE: instance, LABEL_TERM: term });
            let service = json!({ "Spec": { "Labels": labels } });
            fence(&unit, &service, &mark).err().map(|failure| failure.kind)
        };
        assert_eq!(refused("ours", "4"), None);
        assert_eq!(refused("ours", "5"), None);
        assert_eq!(refused("ours", "6"), Some(FailureKind::Diverged));
        assert_eq!(refused("another's", "6"), None, "its terms are not ours");
        assert_eq!(refused("ours", "?"), None);
        assert_eq!(fence(&unit, &json!({}), &mark), Ok(()));
    }
}
