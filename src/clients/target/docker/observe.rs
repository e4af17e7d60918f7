//! What is really there, of the units of a rollout.

use super::find::{candidates, inspect};
use super::json::{flag, id, image_id, name, number, text};
use crate::clients::engine::connect::Engine;
use crate::clients::engine::error::EngineError;
use crate::model::name::RolloutId;
use crate::model::rollout::{
    ContainerState, Health, ObservedContainer, ObservedUnit, OnExit, RestartPolicy, Unit, Which,
};
use serde_json::Value;

/// The units as they are now, in their order.
///
/// # Errors
/// As the engine fails; `Unreadable` means unknown, never absent.
pub async fn observe(engine: &Engine, rollout: RolloutId, units: &[Unit]) -> Result<Vec<ObservedUnit>, EngineError> {
    let mut observed = Vec::with_capacity(units.len());
    for unit in units {
        let mut old = inspect(engine, &unit.old).await?;
        if old.is_none() && unit.on_exit == OnExit::Removed {
            old = candidates(engine, rollout, unit.index, Which::Old, &unit.old)
                .await?
                .pop();
        }
        let candidates = candidates(engine, rollout, unit.index, Which::New, &unit.old).await?;
        let holder = inspect(engine, &unit.name).await?.filter(|c| name(c) == unit.name);
        let stranger = holder
            .map(|c| id(&c).to_owned())
            .filter(|holder| old.iter().chain(&candidates).all(|c| id(c) != holder));
        observed.push(ObservedUnit {
            old: old.as_ref().map(container).transpose()?,
            candidates: candidates.iter().map(container).collect::<Result<_, _>>()?,
            stranger,
        });
    }
    Ok(observed)
}

/// One inspect body, read.
///
/// # Errors
/// `Unreadable` when it has no image id.
pub(super) fn container(inspected: &Value) -> Result<ObservedContainer, EngineError> {
    Ok(ObservedContainer {
        id: id(inspected).to_owned(),
        name: name(inspected).to_owned(),
        image: image_id(inspected, "/Image")?,
        state: state(inspected),
        restart: restart(inspected),
        restart_count: u64::try_from(number(inspected, "/RestartCount")).unwrap_or_default(),
        exit_code: number(inspected, "/State/ExitCode"),
        oom_killed: flag(inspected, "/State/OOMKilled"),
        health: health(inspected),
    })
}

pub(super) fn state(inspected: &Value) -> ContainerState {
    match text(inspected, "/State/Status") {
        "created" => ContainerState::Created,
        "running" => ContainerState::Running,
        "paused" => ContainerState::Paused,
        "restarting" => ContainerState::Restarting,
        "removing" => ContainerState::Removing,
        "exited" => ContainerState::Exited,
        "dead" => ContainerState::Dead,
        _ => ContainerState::Unknown,
    }
}

pub(super) fn health(inspected: &Value) -> Health {
    match text(inspected, "/State/Health/Status") {
        "" | "none" => Health::None,
        "healthy" => Health::Healthy,
        "unhealthy" => Health::Unhealthy,
        // An unknown word is no sign of health.
        _ => Health::Starting,
    }
}

pub(super) fn restart(inspected: &Value) -> RestartPolicy {
    let name = match text(inspected, "/HostConfig/RestartPolicy/Name") {
        // The engine takes an empty name for `no`.
        "" => "no",
        name => name,
    };
    RestartPolicy {
        name: name.to_owned(),
        max_retries: number(inspected, "/HostConfig/RestartPolicy/MaximumRetryCount"),
    }
}
