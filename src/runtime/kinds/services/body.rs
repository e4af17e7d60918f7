//! From a service's spec to the next one. Pure; what is not named here passes through as the manager wrote it.

use crate::runtime::kinds::containers::body::{LABEL_INSTANCE, LABEL_ROLLOUT, LABEL_TERM, Mark};
use crate::runtime::kinds::containers::json::{list, number, text};
use jiff::SignedDuration;
use lowtide_core::kinds::services::model::{OnFailure, UpdateKnobs};
use lowtide_model::rollout::UpdateOrder;
use serde_json::{Map, Value, json};

/// On a job that only brings an image to the nodes: the lowtide it belongs to.
pub const LABEL_PREPULL: &str = "io.lowtide.prepull";

/// A command that no image contains: the node pulls the image, and nothing of the image ever runs.
const NOTHING: &str = "/.lowtide-brings-the-image";

/// The spec with another image, our settings for the update, and our labels.
#[must_use]
pub fn moved(spec: &Value, image: &str, knobs: &UpdateKnobs, mark: &Mark<'_>) -> Value {
    let mut body = spec.clone();
    set_image(&mut body, image);
    body["UpdateConfig"] = update_config(knobs);
    let mut labels = labels(spec);
    for (key, value) in [
        (LABEL_ROLLOUT, mark.rollout.to_string()),
        (LABEL_INSTANCE, mark.instance.to_owned()),
        (LABEL_TERM, mark.term.to_string()),
    ] {
        labels.insert(key.to_owned(), json!(value));
    }
    body["Labels"] = Value::Object(labels);
    body
}

/// What stays of a rollout on its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retain {
    /// The label that says whose rollouts it gets: the release is on it.
    Instance,
    /// It is as it was.
    Nothing,
}

/// The spec with its own update settings again and without our labels. Settings that are no longer the ones we `sent`
/// were changed by someone, and stay.
#[must_use]
pub fn restored(spec: &Value, stored: &Value, sent: &UpdateKnobs, retain: Retain) -> Value {
    let mut body = spec.clone();
    if update_knobs(&spec["UpdateConfig"]).as_ref() == Some(sent) {
        match stored.get("UpdateConfig") {
            Some(own) => body["UpdateConfig"] = own.clone(),
            None => {
                body.as_object_mut().map(|body| body.remove("UpdateConfig"));
            }
        }
    }
    let own = labels(stored);
    let mut labels = labels(spec);
    for key in [LABEL_ROLLOUT, LABEL_TERM, LABEL_INSTANCE] {
        match (own.get(key), retain) {
            (_, Retain::Instance) if key == LABEL_INSTANCE => {}
            (Some(value), _) if key == LABEL_INSTANCE => {
                labels.insert(key.to_owned(), value.clone());
            }
            (Some(_) | None, Retain::Instance | Retain::Nothing) => {
                labels.remove(key);
            }
        }
    }
    if !labels.is_empty() || spec.get("Labels").is_some() {
        body["Labels"] = Value::Object(labels);
    }
    body
}

/// A job that runs once on every node where the service may run, and pulls `image` there.
#[must_use]
pub fn prepull(name: &str, spec: &Value, image: &str, mark: &Mark<'_>) -> Value {
    let placement = |field: &str| list(spec, &format!("/TaskTemplate/Placement/{field}")).to_vec();
    json!({
        "Name": name,
        "Labels": {
            LABEL_PREPULL: mark.instance,
            LABEL_INSTANCE: mark.instance,
            LABEL_ROLLOUT: mark.rollout.to_string(),
            LABEL_TERM: mark.term.to_string(),
        },
        "Mode": {"GlobalJob": {}},
        "TaskTemplate": {
            "ContainerSpec": {"Image": image, "Command": [NOTHING]},
            "RestartPolicy": {"Condition": "none"},
            "Placement": {"Constraints": placement("Constraints"), "Platforms": placement("Platforms")},
        },
    })
}

/// Ports that a task takes on its node itself: two tasks cannot hold one.
pub(super) fn has_host_port(spec: &Value) -> bool {
    let ports = list(spec, "/EndpointSpec/Ports");
    ports
        .iter()
        .any(|port| text(port, "/PublishMode") == "host" && number(port, "/PublishedPort") != 0)
}

/// Volumes and directories that old and new task would both write to.
pub(super) fn has_shared_writes(spec: &Value) -> bool {
    let mounts = list(spec, "/TaskTemplate/ContainerSpec/Mounts");
    mounts.iter().any(|mount| {
        let kind = text(mount, "/Type");
        // Without a source a volume is the task's own.
        let shared = !text(mount, "/Source").is_empty() && kind != "tmpfs" && kind != "image" && kind != "npipe";
        shared && mount.get("ReadOnly").and_then(Value::as_bool) != Some(true)
    })
}

fn set_image(body: &mut Value, image: &str) {
    body["TaskTemplate"]["ContainerSpec"]["Image"] = json!(image);
}

fn labels(spec: &Value) -> Map<String, Value> {
    spec.get("Labels")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default()
}

fn update_config(knobs: &UpdateKnobs) -> Value {
    json!({
        "Parallelism": knobs.parallelism,
        "Delay": nanoseconds(knobs.delay),
        "Monitor": nanoseconds(knobs.monitor),
        "MaxFailureRatio": 0,
        "Order": knobs.order.as_str(),
        "FailureAction": match knobs.on_failure {
            OnFailure::Pause => "pause",
            OnFailure::Continue => "continue",
        },
    })
}

/// As the manager shows it; `None` for what we would never send. It leaves zeroes out.
fn update_knobs(config: &Value) -> Option<UpdateKnobs> {
    let duration = |field| SignedDuration::from_nanos(number(config, field));
    if config
        .pointer("/MaxFailureRatio")
        .and_then(Value::as_f64)
        .unwrap_or_default()
        != 0.0
    {
        return None;
    }
    Some(UpdateKnobs {
        parallelism: u64::try_from(number(config, "/Parallelism")).ok()?,
        delay: duration("/Delay"),
        monitor: duration("/Monitor"),
        order: match text(config, "/Order") {
            "start-first" => UpdateOrder::StartFirst,
            "stop-first" => UpdateOrder::StopFirst,
            _ => return None,
        },
        on_failure: match text(config, "/FailureAction") {
            "pause" => OnFailure::Pause,
            "continue" => OnFailure::Continue,
            _ => return None,
        },
    })
}

fn nanoseconds(duration: SignedDuration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
