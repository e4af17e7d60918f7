//! Which containers a target means.

use super::body::{LABEL_REMADE, LABEL_ROLLOUT, LABEL_UNIT};
use super::json::{id, name, object, text};
use super::name::is_set_aside;
use super::order;
use super::own::own;
use crate::clients::engine::connect::Engine;
use crate::clients::engine::error::EngineError;
use crate::clients::engine::raw::encode;
use lowtide_core::kinds::containers::policy::ContainerSelect;
use lowtide_model::name::RolloutId;
use lowtide_model::rollout::Which;
use serde_json::{Value, json};

/// Labels of compose (docker/compose `pkg/api/labels.go`).
pub(in crate::runtime) const COMPOSE_PROJECT: &str = "com.docker.compose.project";
pub(in crate::runtime) const COMPOSE_SERVICE: &str = "com.docker.compose.service";
pub(in crate::runtime) const COMPOSE_ONEOFF: &str = "com.docker.compose.oneoff";
const COMPOSE_NUMBER: &str = "com.docker.compose.container-number";

/// Inspect bodies of the containers, in the order in which they are to be replaced. What earlier rollouts set aside is
/// not among them. An empty list of services means all of the project's; what a service depends on comes before it.
///
/// # Errors
/// As the engine fails.
pub async fn find(engine: &Engine, select: &ContainerSelect) -> Result<Vec<Value>, EngineError> {
    match select {
        ContainerSelect::Name { name: wanted } => {
            let found = inspect(engine, wanted).await?;
            // The engine also takes the beginning of an id for a name.
            Ok(found.into_iter().filter(|c| name(c) == wanted).collect())
        }
        ContainerSelect::Label { key, value } => {
            let mut found = labelled(engine, &[format!("{key}={value}")]).await?;
            found.retain(|c| !is_set_aside(name(c)));
            found.sort_by(|a, b| name(a).cmp(name(b)));
            Ok(found)
        }
        ContainerSelect::Compose { project, services } => {
            let labels = [
                format!("{COMPOSE_PROJECT}={project}"),
                format!("{COMPOSE_ONEOFF}=False"),
            ];
            let mut found = labelled(engine, &labels).await?;
            let order = order::services(&found, services);
            found.retain(|c| {
                !is_set_aside(name(c))
                    && (services.is_empty() || services.iter().any(|s| s == label(c, COMPOSE_SERVICE)))
            });
            found.sort_by_key(|c| {
                let service = label(c, COMPOSE_SERVICE);
                let number: u64 = label(c, COMPOSE_NUMBER).parse().unwrap_or(u64::MAX);
                (order.iter().position(|s| s == service), number)
            });
            Ok(found)
        }
        ContainerSelect::Own => Ok(own(engine).await?.into_iter().collect()),
    }
}

/// The first of the compose services of which nothing was found.
#[must_use]
pub fn lacking<'a>(found: &[Value], services: &'a [String]) -> Option<&'a String> {
    let has = |service: &&String| found.iter().any(|c| label(c, COMPOSE_SERVICE) == service.as_str());
    services.iter().find(|service| !has(service))
}

/// Inspect body of one container by id or name; `None` when there is none.
pub(in crate::runtime) async fn inspect(engine: &Engine, container: &str) -> Result<Option<Value>, EngineError> {
    match engine.raw_get(&format!("/containers/{}/json", encode(container))).await {
        Ok(mut found) => {
            name_volumes(&mut found);
            Ok(Some(found))
        }
        Err(EngineError::NotFound { .. }) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Docker 28.5 does not say the name of a volume that was asked for by `Binds: ["/path"]`. Of the local driver it is in the path,
/// `…/volumes/NAME/_data` (moby, volume/local): without it the new container would
/// get an empty volume, and the rollout is refused.
fn name_volumes(container: &mut Value) {
    let mounts = container.get_mut("Mounts").and_then(Value::as_array_mut);
    for mount in mounts.into_iter().flatten() {
        let unnamed = text(mount, "/Type") == "volume" && text(mount, "/Name").is_empty();
        if !unnamed || text(mount, "/Driver") != "local" {
            continue;
        }
        let volume = text(mount, "/Source").strip_suffix("/_data");
        let name = volume.and_then(|path| path.rsplit('/').next()).map(ToOwned::to_owned);
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            mount["Name"] = name.into();
        }
    }
}

/// Everything that carries this unit's labels, except `old`: what was made to take its place, or what was made to be it again.
pub(in crate::runtime) async fn candidates(
    engine: &Engine,
    rollout: RolloutId,
    unit: usize,
    role: Which,
    old: &str,
) -> Result<Vec<Value>, EngineError> {
    let labels = [format!("{LABEL_ROLLOUT}={rollout}"), format!("{LABEL_UNIT}={unit}")];
    let mut found = labelled(engine, &labels).await?;
    let remade = |c: &Value| {
        if label(c, LABEL_REMADE).is_empty() {
            Which::New
        } else {
            Which::Old
        }
    };
    found.retain(|c| id(c) != old && remade(c) == role);
    found.sort_by(|a, b| text(a, "/Created").cmp(text(b, "/Created")));
    Ok(found)
}

/// The list's own rows, running or not.
pub(in crate::runtime) async fn all(engine: &Engine) -> Result<Vec<Value>, EngineError> {
    rows(engine, "/containers/json?all=1").await
}

pub(in crate::runtime) async fn labelled(engine: &Engine, labels: &[String]) -> Result<Vec<Value>, EngineError> {
    let filters = encode(&json!({"label": labels}).to_string());
    let mut found = Vec::new();
    for row in rows(engine, &format!("/containers/json?all=1&filters={filters}")).await? {
        // One that has gone since the list was made was not there.
        found.extend(inspect(engine, id(&row)).await?);
    }
    Ok(found)
}

async fn rows(engine: &Engine, path: &str) -> Result<Vec<Value>, EngineError> {
    match engine.raw_get(path).await? {
        Value::Array(rows) => Ok(rows),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            Err(super::json::missing("the list of containers", "list"))
        }
    }
}

pub(in crate::runtime) fn label<'a>(container: &'a Value, key: &str) -> &'a str {
    object(container, "/Config/Labels")
        .and_then(|labels| labels.get(key))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_without_a_name_has_it_from_its_path() {
        let named = |mut mount: Value| {
            mount["Source"] = mount["Source"]
                .as_str()
                .map(|s| s.replace('~', "/var/lib/docker/volumes"))
                .into();
            let mut container = json!({"Mounts": [mount]});
            name_volumes(&mut container);
            text(&container, "/Mounts/0/Name").to_owned()
        };
        let table = [
            (
                json!({"Type": "volume", "Driver": "local", "Source": "~/ab12/_data"}),
                "ab12",
            ),
            (
                json!({"Type": "volume", "Driver": "local", "Name": "own", "Source": "~/ab12/_data"}),
                "own",
            ),
            // Only the local driver keeps them so.
            (json!({"Type": "volume", "Driver": "nfs", "Source": "~/ab12/_data"}), ""),
            (json!({"Type": "volume", "Driver": "local", "Source": "/mnt/data"}), ""),
            (json!({"Type": "volume", "Driver": "local", "Source": "/_data"}), ""),
            (json!({"Type": "bind", "Source": "~/ab12/_data"}), ""),
        ];
        for (mount, name) in table {
            assert_eq!(named(mount.clone()), name, "{mount}");
        }
        let mut none = json!({"Mounts": null});
        name_volumes(&mut none);
        assert_eq!(none, json!({"Mounts": null}));
    }
}
