//! Which services a target means.

use crate::clients::engine::connect::Engine;
use crate::clients::engine::error::EngineError;
use crate::clients::engine::raw::encode;
use crate::runtime::kinds::containers::body::{LABEL_INSTANCE, LABEL_ROLLOUT};
use crate::runtime::kinds::containers::json::{missing, object, text};
use lowtide_core::decide::labels;
use lowtide_core::fleet::app::App;
use lowtide_core::kinds::services::policy::ServiceSelect;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::image::{Reference, Repository};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Label of `docker stack deploy` (docker/cli `cli/compose/convert`).
const STACK: &str = "com.docker.stack.namespace";

pub const IMAGE: &str = "/Spec/TaskTemplate/ContainerSpec/Image";

/// Bodies of the services, in the order in which they are to be moved. `names` are the app's repositories: of a stack
/// without named services those are meant that run one of them.
///
/// # Errors
/// `TargetMissing` names the service that is not there; `ServiceRefused` where the engine is no manager; else as the
/// engine fails.
pub async fn find(engine: &Engine, select: &ServiceSelect, names: &[Repository]) -> Result<Vec<Value>, Failure> {
    match select {
        ServiceSelect::Service { name } => {
            let found = inspect(engine, name).await.map_err(|e| refused(&e))?;
            // The manager also takes the beginning of an id for a name.
            let found = found.filter(|service| text(service, "/Spec/Name") == name);
            Ok(vec![found.ok_or_else(|| gone(name))?])
        }
        ServiceSelect::Stack { stack, services } => {
            let mut all = stack_of(engine, stack).await?;
            all.sort_by(|a, b| text(a, "/Spec/Name").cmp(text(b, "/Spec/Name")));
            if services.is_empty() {
                all.retain(|service| runs(service, names));
                return if all.is_empty() { Err(gone(stack)) } else { Ok(all) };
            }
            let take = |name: &String| {
                let full = format!("{stack}_{name}");
                let found = all.iter().find(|service| text(service, "/Spec/Name") == full);
                found.cloned().ok_or_else(|| gone(&full))
            };
            services.iter().map(take).collect()
        }
    }
}

/// Whose images the services of a stack are to run, where the configuration does not name them.
pub(super) fn names(app: &App) -> Vec<Repository> {
    match &app.publish {
        Some(publish) => publish.names().cloned().collect(),
        None => vec![labels::local_repository(app)],
    }
}

/// A service that we have rolled, and that nobody is moving.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rolled {
    pub id: String,
    pub image: Reference,
}

/// Services with the label of this `instance`.
///
/// # Errors
/// As [`find`].
pub async fn rolled(engine: &Engine, instance: &str) -> Result<Vec<Rolled>, Failure> {
    let label_of_ours = format!("{LABEL_INSTANCE}={instance}");
    let found = labelled(engine, &label_of_ours).await?;
    let rolled = found.iter().filter_map(|service| {
        let at_rest = label(service, LABEL_ROLLOUT).is_none();
        let image = text(service, IMAGE).parse().ok().filter(|_| at_rest)?;
        let id = text(service, "/ID").to_owned();
        Some(Rolled { id, image })
    });
    Ok(rolled.collect())
}

/// Rollouts whose labels the services carry.
#[must_use]
pub fn claims(services: &[Value]) -> BTreeSet<String> {
    let labels = services.iter().filter_map(|s| label(s, LABEL_ROLLOUT));
    labels.map(ToOwned::to_owned).collect()
}

/// One service by id or name; `None` when there is none.
pub(super) async fn inspect(engine: &Engine, service: &str) -> Result<Option<Value>, EngineError> {
    match engine.raw_get(&format!("/services/{}", encode(service))).await {
        Ok(found) => Ok(Some(found)),
        Err(EngineError::NotFound { .. }) => Ok(None),
        Err(e) => Err(e),
    }
}

pub(super) async fn tasks(engine: &Engine, service: &str) -> Result<Vec<Value>, EngineError> {
    let filters = encode(&json!({"service": [service]}).to_string());
    rows(engine, &format!("/tasks?filters={filters}"), "the list of tasks").await
}

pub(super) async fn nodes(engine: &Engine) -> Result<Vec<Value>, EngineError> {
    rows(engine, "/nodes", "the list of nodes").await
}

/// Ids of the nodes that are up and take tasks.
pub(super) fn serving(nodes: &[Value]) -> BTreeSet<String> {
    let serves = |node: &&Value| text(node, "/Status/State") == "ready" && text(node, "/Spec/Availability") == "active";
    nodes
        .iter()
        .filter(serves)
        .map(|node| text(node, "/ID").to_owned())
        .collect()
}

/// A service's own label.
pub(super) fn label<'a>(service: &'a Value, key: &str) -> Option<&'a str> {
    object(service, "/Spec/Labels")?.get(key)?.as_str()
}

/// What a manager refuses, in words for whoever can mend it.
pub(super) fn refused(error: &EngineError) -> Failure {
    match error {
        // moby, daemon/cluster/errors.go.
        EngineError::Refused { status: 503, message } => Failure::new(FailureKind::ServiceRefused, message.clone()),
        EngineError::Refused { .. }
        | EngineError::Unreachable { .. }
        | EngineError::Denied { .. }
        | EngineError::NotFound { .. }
        | EngineError::Conflict { .. }
        | EngineError::Failed { .. }
        | EngineError::Timeout { .. }
        | EngineError::Unreadable { .. } => error.failure(),
    }
}

async fn stack_of(engine: &Engine, stack: &str) -> Result<Vec<Value>, Failure> {
    labelled(engine, &format!("{STACK}={stack}")).await
}

async fn labelled(engine: &Engine, label: &str) -> Result<Vec<Value>, Failure> {
    let filters = encode(&json!({"label": [label]}).to_string());
    let path = format!("/services?filters={filters}");
    rows(engine, &path, "the list of services")
        .await
        .map_err(|e| refused(&e))
}

async fn rows(engine: &Engine, path: &str, what: &str) -> Result<Vec<Value>, EngineError> {
    match engine.raw_get(path).await? {
        Value::Array(rows) => Ok(rows),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            Err(missing(what, "list"))
        }
    }
}

fn runs(service: &Value, names: &[Repository]) -> bool {
    text(service, IMAGE)
        .parse::<Reference>()
        .is_ok_and(|image| names.contains(&image.repository))
}

fn gone(name: &str) -> Failure {
    Failure::new(FailureKind::TargetMissing, format!("no service {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_runs_the_app_under_each_of_its_names() {
        let names: Vec<Repository> = ["ghcr.io/acme/web", "cache.example.org/web"]
            .map(|name| name.parse().unwrap())
            .into();
        let service = |image: &str| json!({ "Spec": { "TaskTemplate": { "ContainerSpec": { "Image": image } } } });
        for (image, is_ours) in [
            ("ghcr.io/acme/web:1", true),
            ("cache.example.org/web:1", true),
            ("cache.example.org/other:1", false),
            ("web:1", false),
            ("", false),
        ] {
            assert_eq!(runs(&service(image), &names), is_ours, "{image}");
        }
    }

    #[test]
    fn a_node_serves_that_is_up_and_takes_tasks() {
        let node = |state: &str, availability: &str| {
            let id = format!("{state}-{availability}");
            json!({ "ID": id, "Status": { "State": state }, "Spec": { "Availability": availability } })
        };
        let nodes = [
            node("ready", "active"),
            node("ready", "pause"),
            node("ready", "drain"),
            node("down", "active"),
            json!({ "ID": "unread" }),
        ];
        assert_eq!(serving(&nodes), BTreeSet::from(["ready-active".to_owned()]));
    }
}
