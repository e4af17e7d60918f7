//! What is really there, of the units of a rollout.

use super::body::{LABEL_ROLLOUT, LABEL_UNIT};
use super::find::{candidates, inspect};
use super::json::{flag, id, image_id, list, name, number, text};
use crate::clients::engine::connect::Engine;
use crate::clients::engine::error::EngineError;
use crate::clients::engine::observe::{Ended, seen, state_named};
use jiff::SignedDuration;
use lowtide_core::kinds::containers::model::{EndedBy, ObservedContainer, ObservedUnit, OnExit, RestartPolicy, Unit};
use lowtide_model::container::{ContainerState, Health};
use lowtide_model::name::RolloutId;
use lowtide_model::rollout::Which;
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
        let mut found = Vec::with_capacity(candidates.len());
        for candidate in &candidates {
            found.push(ObservedContainer {
                ended_by: ended_by(engine, candidate).await,
                ..container(candidate)?
            });
        }
        let gone_by = if candidates.is_empty() && old.is_none() {
            gone_by(engine, rollout, unit).await
        } else {
            EndedBy::Itself
        };
        let holder = inspect(engine, &unit.name).await?.filter(|c| name(c) == unit.name);
        let stranger = holder
            .map(|c| id(&c).to_owned())
            .filter(|holder| old.iter().chain(&candidates).all(|c| id(c) != holder));
        observed.push(ObservedUnit {
            old: old.as_ref().map(container).transpose()?,
            candidates: found,
            stranger,
            gone_by,
        });
    }
    Ok(observed)
}

/// Whether a stop or kill call ended this container. A container that cannot be inspected is no evidence of one.
pub async fn was_stopped(engine: &Engine, container: &str) -> bool {
    match inspect(engine, container).await {
        Ok(Some(inspected)) => ended_by(engine, &inspected).await == EndedBy::Call,
        Ok(None) | Err(_) => false,
    }
}

/// An engine that reports no events leaves no evidence.
async fn ended_by(engine: &Engine, inspected: &Value) -> EndedBy {
    let seen = seen(inspected);
    match (seen.state, seen.started, seen.finished) {
        (ContainerState::Exited, Some(since), Some(until)) if since <= until => {
            let id = id(inspected);
            by(engine.ended_by_call(Ended::Container { id, since, until }).await)
        }
        (_, _, _) => EndedBy::Itself,
    }
}

/// What ended a candidate that `--rm` then deleted.
async fn gone_by(engine: &Engine, rollout: RolloutId, unit: &Unit) -> EndedBy {
    let labels = [
        format!("{LABEL_ROLLOUT}={rollout}"),
        format!("{LABEL_UNIT}={}", unit.index),
    ];
    by(engine.ended_by_call(Ended::Labelled(&labels)).await)
}

fn by(call: Result<bool, EngineError>) -> EndedBy {
    if call.unwrap_or(false) {
        EndedBy::Call
    } else {
        EndedBy::Itself
    }
}

/// How long a health check takes at most from the start to its first result after the start period. Fields that are not
/// set are the engine's defaults of 30 s (moby, daemon/health.go).
fn warm_up(inspected: &Value) -> SignedDuration {
    let check = |field: &str| SignedDuration::from_nanos(number(inspected, &format!("/Config/Healthcheck/{field}")));
    let or_default = |given: SignedDuration| {
        if given.is_positive() {
            given
        } else {
            SignedDuration::from_secs(30)
        }
    };
    let test = list(inspected, "/Config/Healthcheck/Test");
    let has_check = test.first().and_then(Value::as_str).is_some_and(|kind| kind != "NONE");
    let period = check("StartPeriod");
    if !has_check || !period.is_positive() {
        return SignedDuration::ZERO;
    }
    let probe = or_default(check("Interval")).saturating_add(or_default(check("Timeout")));
    period.saturating_add(probe)
}

/// One inspect body, read.
///
/// # Errors
/// `Unreadable` when it has no image id.
pub(in crate::runtime) fn container(inspected: &Value) -> Result<ObservedContainer, EngineError> {
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
        warm_up: warm_up(inspected),
        ended_by: EndedBy::Itself,
    })
}

pub(in crate::runtime) fn state(inspected: &Value) -> ContainerState {
    state_named(text(inspected, "/State/Status"))
}

pub(in crate::runtime) fn health(inspected: &Value) -> Health {
    match text(inspected, "/State/Health/Status") {
        "" | "none" => Health::None,
        "healthy" => Health::Healthy,
        "unhealthy" => Health::Unhealthy,
        // An unknown word is no sign of health.
        _ => Health::Starting,
    }
}

pub(in crate::runtime) fn restart(inspected: &Value) -> RestartPolicy {
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_start_period_with_one_probe_after_it() {
        let second = 1_000_000_000_u64;
        for (check, seconds) in [
            (json!(null), 0),
            (json!({"Test": ["CMD", "true"]}), 0),
            (json!({"Test": ["CMD", "true"], "StartPeriod": 300 * second}), 360),
            (
                json!({"Test": ["CMD-SHELL", "true"], "StartPeriod": 300 * second, "Interval": 5 * second, "Timeout": second}),
                306,
            ),
            (json!({"Test": ["NONE"], "StartPeriod": 300 * second}), 0),
        ] {
            let inspected = json!({"Config": {"Healthcheck": check}});
            assert_eq!(warm_up(&inspected), SignedDuration::from_secs(seconds), "{check}");
        }
    }
}
