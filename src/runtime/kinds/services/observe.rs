//! What is really there, of the services of a rollout.

use super::find::{IMAGE, inspect, label, nodes, serving, tasks};
use crate::clients::engine::connect::Engine;
use crate::clients::engine::error::EngineError;
use crate::runtime::kinds::containers::body::LABEL_ROLLOUT;
use crate::runtime::kinds::containers::json::{missing, object, text};
use jiff::Timestamp;
use lowtide_core::kinds::services::model::{
    FoundService, ObservedService, ObservedTask, ServiceMark, ServiceMode, ServiceUnit, TaskPlace, TaskState,
    TaskWanted, UpdateState,
};
use lowtide_model::name::RolloutId;
use serde_json::Value;
use std::collections::BTreeSet;

/// The services as they are now, in their order.
///
/// # Errors
/// As the engine fails; `Unreadable` means unknown, never absent.
pub async fn observe(
    engine: &Engine,
    rollout: RolloutId,
    units: &[ServiceUnit],
) -> Result<Vec<ObservedService>, EngineError> {
    let mut observed = Vec::with_capacity(units.len());
    for unit in units {
        // Before the service: a task that the service's change replaces is then never taken for one that is left.
        let seen = tasks(engine, &unit.id).await;
        let Some(service) = inspect(engine, &unit.id).await? else {
            observed.push(ObservedService::Gone);
            continue;
        };
        let seen = seen?.iter().map(task).collect::<Result<_, _>>()?;
        let mode = mode(&service).ok_or_else(|| missing("the service", "Spec.Mode"))?;
        let nodes = match mode {
            ServiceMode::Replicated { .. } => BTreeSet::new(),
            ServiceMode::Global => serving(&nodes(engine).await?),
        };
        observed.push(ObservedService::Found(FoundService {
            version: version(&service)?,
            image: text(&service, IMAGE).to_owned(),
            mark: match label(&service, LABEL_ROLLOUT) {
                None => ServiceMark::None,
                Some(id) if id == rollout.to_string() => ServiceMark::Ours,
                Some(_) => ServiceMark::Other,
            },
            update: update(&service),
            said: text(&service, "/UpdateStatus/Message").to_owned(),
            mode,
            tasks: seen,
            nodes,
        }));
    }
    Ok(observed)
}

/// `None` for a job, and for a mode that came after us.
pub(super) fn mode(service: &Value) -> Option<ServiceMode> {
    let mode = object(service, "/Spec/Mode")?;
    if mode.contains_key("Global") {
        return Some(ServiceMode::Global);
    }
    let replicas = mode.get("Replicated")?.get("Replicas").and_then(Value::as_u64);
    // Left out it is one (moby, convert/service.go).
    Some(ServiceMode::Replicated {
        replicas: replicas.unwrap_or(1),
    })
}

pub(super) fn version(service: &Value) -> Result<u64, EngineError> {
    let index = service.pointer("/Version/Index").and_then(Value::as_u64);
    index.ok_or_else(|| missing("the service", "Version.Index"))
}

pub(super) fn update(service: &Value) -> UpdateState {
    match text(service, "/UpdateStatus/State") {
        "" => UpdateState::Absent,
        "updating" => UpdateState::Updating,
        "completed" => UpdateState::Completed,
        "paused" => UpdateState::Paused,
        "rollback_started" => UpdateState::RollbackStarted,
        "rollback_completed" => UpdateState::RollbackCompleted,
        "rollback_paused" => UpdateState::RollbackPaused,
        _ => UpdateState::Unknown,
    }
}

pub(super) fn task(task: &Value) -> Result<ObservedTask, EngineError> {
    let place = match task.get("Slot").and_then(Value::as_u64) {
        Some(slot) if slot > 0 => TaskPlace::Slot(slot),
        Some(_) | None => TaskPlace::Node(text(task, "/NodeID").to_owned()),
    };
    let at = |pointer| text(task, pointer).parse::<Timestamp>().ok();
    let since = at("/Status/Timestamp").max(at("/UpdatedAt"));
    let said = match text(task, "/Status/Err") {
        "" => text(task, "/Status/Message"),
        error => error,
    };
    Ok(ObservedTask {
        id: text(task, "/ID").to_owned(),
        place,
        image: text(task, "/Spec/ContainerSpec/Image").to_owned(),
        state: state(text(task, "/Status/State")),
        wanted: match text(task, "/DesiredState") {
            "ready" | "running" => TaskWanted::Running,
            _ => TaskWanted::Stopped,
        },
        since: since.ok_or_else(|| missing("the task", "Status.Timestamp"))?,
        said: said.to_owned(),
    })
}

fn state(word: &str) -> TaskState {
    match word {
        "new" | "allocated" | "pending" => TaskState::Unplaced,
        "assigned" | "accepted" | "preparing" | "ready" | "starting" => TaskState::Preparing,
        "running" => TaskState::Running,
        "complete" => TaskState::Complete,
        "shutdown" => TaskState::Shutdown,
        "failed" => TaskState::Failed,
        "rejected" => TaskState::Rejected,
        "orphaned" | "remove" => TaskState::Lost,
        _ => TaskState::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_task_is_parsed_as_swarm_reports_it() {
        let parsed = |slot: Value, state: &str, desired: &str| {
            let body = json!({
                "ID": "t1", "Slot": slot, "NodeID": "n1", "UpdatedAt": "2026-01-01T00:00:07Z", "DesiredState": desired,
                "Status": { "Timestamp": "2026-01-01T00:00:05Z", "State": state, "Message": "started" },
                "Spec": { "ContainerSpec": { "Image": "example.org/web:t1" } },
            });
            task(&body).unwrap()
        };
        let running = parsed(json!(2), "running", "running");
        assert_eq!(running.place, TaskPlace::Slot(2));
        assert_eq!(
            (running.state, running.wanted),
            (TaskState::Running, TaskWanted::Running)
        );
        assert_eq!(
            running.since,
            "2026-01-01T00:00:07Z".parse().unwrap(),
            "the later of the two"
        );
        assert_eq!(running.said, "started");
        // Tasks of a global service have no slot.
        for none in [json!(0), Value::Null] {
            assert_eq!(
                parsed(none, "running", "running").place,
                TaskPlace::Node("n1".to_owned())
            );
        }
        assert_eq!(parsed(json!(1), "ready", "ready").wanted, TaskWanted::Running);
        assert_eq!(parsed(json!(1), "running", "shutdown").wanted, TaskWanted::Stopped);
        for (words, state) in [
            (["new", "allocated", "pending"].as_slice(), TaskState::Unplaced),
            (
                &["assigned", "accepted", "preparing", "ready", "starting"],
                TaskState::Preparing,
            ),
            (&["complete"], TaskState::Complete),
            (&["shutdown"], TaskState::Shutdown),
            (&["failed"], TaskState::Failed),
            (&["rejected"], TaskState::Rejected),
            (&["orphaned", "remove"], TaskState::Lost),
            (&["something new"], TaskState::Unknown),
        ] {
            for word in words {
                assert_eq!(parsed(json!(1), word, "running").state, state, "{word}");
            }
        }
    }

    #[test]
    fn how_far_an_update_is_in_swarms_words() {
        for (word, wanted) in [
            ("updating", UpdateState::Updating),
            ("completed", UpdateState::Completed),
            ("paused", UpdateState::Paused),
            ("rollback_started", UpdateState::RollbackStarted),
            ("rollback_completed", UpdateState::RollbackCompleted),
            ("rollback_paused", UpdateState::RollbackPaused),
            ("something new", UpdateState::Unknown),
        ] {
            assert_eq!(update(&json!({ "UpdateStatus": { "State": word } })), wanted, "{word}");
        }
        assert_eq!(update(&json!({})), UpdateState::Absent);
    }
}
