//! The update helper: a container made from lowtide's own image and settings. In the rollout of lowtide's own
//! container it takes the steps that the old one cannot take itself, from the stop of the old one until the new one
//! takes over. It has none of the ports, names and labels by which others find the service.

use crate::clients::engine::connect::Engine;
use crate::clients::engine::error::EngineError;
use crate::clients::engine::raw::encode;
use crate::runtime::kinds::containers::body::{LABEL_INSTANCE, LABEL_TERM, Mark, NewImage, create_body};
use crate::runtime::kinds::containers::find::{inspect, label, labelled};
use crate::runtime::kinds::containers::json::{id, object};
use crate::runtime::kinds::containers::snapshot::Snapshot;
use crate::runtime::kinds::containers::{inject, name as names, observe, verbs};
use lowtide_core::kinds::containers::model::{ObservedContainer, Unit};
use lowtide_model::container::ContainerState;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::name::RolloutId;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// On an update helper: the rollout it is for.
const LABEL_HELPER: &str = "io.lowtide.update-helper";

const PATIENCE: Duration = Duration::from_secs(120);

/// The rollout's update helper, if there is one. There is never a second: both would have the same container name, and the
/// engine refuses that.
///
/// # Errors
/// As the engine fails.
pub async fn look(engine: &Engine, rollout: RolloutId) -> Result<Option<ObservedContainer>, EngineError> {
    find(engine, rollout)
        .await?
        .as_ref()
        .map(observe::container)
        .transpose()
}

/// Creates the update helper, or completes one that an earlier attempt created; returns its engine id. Does not start it: the
/// hand-over record has to name it first.
///
/// # Errors
/// `Diverged` when someone else has its name, or as the engine fails.
pub async fn make(engine: &Engine, unit: &Unit, snapshot: &[u8], mark: &Mark<'_>) -> Result<String, Failure> {
    let snapshot = Snapshot::read(snapshot)?;
    let body = body(unit, &snapshot, mark)?;
    let helper = match find(engine, mark.rollout).await.map_err(|e| e.failure())? {
        Some(helper) => helper,
        None => create(engine, unit, mark, &body).await?,
    };
    if observe::state(&helper) == ContainerState::Created {
        connect(engine, &helper, &snapshot).await.map_err(|e| e.failure())?;
        inject::upload(engine, &helper, &snapshot.files).await?;
    }
    Ok(id(&helper).to_owned())
}

/// Stops the rollout's update helper and removes it; none is fine.
///
/// # Errors
/// As the engine fails.
pub async fn dismiss(engine: &Engine, rollout: RolloutId) -> Result<(), EngineError> {
    if let Some(helper) = find(engine, rollout).await? {
        verbs::stop(engine, id(&helper), None).await?;
        verbs::remove_container(engine, id(&helper)).await?;
    }
    Ok(())
}

/// Update helpers of this lowtide, by the rollouts they are for.
///
/// # Errors
/// As the engine fails.
pub async fn all(engine: &Engine, instance: &str) -> Result<Vec<RolloutId>, EngineError> {
    let labels = [LABEL_HELPER.to_owned(), format!("{LABEL_INSTANCE}={instance}")];
    let found = labelled(engine, &labels).await?;
    Ok(found
        .iter()
        .filter_map(|c| label(c, LABEL_HELPER).parse().ok())
        .collect())
}

async fn find(engine: &Engine, rollout: RolloutId) -> Result<Option<Value>, EngineError> {
    let found = labelled(engine, &[format!("{LABEL_HELPER}={rollout}")]).await?;
    Ok(found.into_iter().next())
}

async fn create(engine: &Engine, unit: &Unit, mark: &Mark<'_>, body: &Value) -> Result<Value, Failure> {
    let name = names::helper(&unit.name, &mark.rollout);
    let path = format!("/containers/create?name={}", encode(&name));
    engine
        .raw_post(&path, Some(body), PATIENCE)
        .await
        .map_err(|e| match e {
            EngineError::Conflict { .. } => {
                Failure::new(FailureKind::Diverged, format!("another container has the name {name}"))
            }
            EngineError::NotFound { .. }
            | EngineError::Refused { .. }
            | EngineError::Unreachable { .. }
            | EngineError::Denied { .. }
            | EngineError::Failed { .. }
            | EngineError::Timeout { .. }
            | EngineError::Unreadable { .. } => e.failure(),
        })?;
    let made = inspect(engine, &name).await.map_err(|e| e.failure())?;
    made.ok_or_else(|| {
        Failure::new(
            FailureKind::Diverged,
            format!("{name} was removed as soon as it was made"),
        )
    })
}

/// Every network of the old one: nobody knows which of them leads to registries and mail.
async fn connect(engine: &Engine, helper: &Value, snapshot: &Snapshot) -> Result<(), EngineError> {
    let has = |network: &str| object(helper, "/NetworkSettings/Networks").is_some_and(|n| n.contains_key(network));
    for network in networks(&snapshot.container).filter(|network| !has(network)) {
        let path = format!("/networks/{}/connect", encode(network));
        let request = json!({"Container": id(helper)});
        engine.raw_post_only(&path, Some(&request), PATIENCE).await?;
    }
    Ok(())
}

fn networks(container: &Value) -> impl Iterator<Item = &str> {
    let mode = container.pointer("/HostConfig/NetworkMode").and_then(Value::as_str);
    let own = mode.is_none_or(|mode| !matches!(mode, "host" | "none") && !mode.starts_with("container:"));
    let networks = object(container, "/NetworkSettings/Networks").filter(|_| own);
    networks.into_iter().flat_map(Map::keys).map(String::as_str)
}

/// What lowtide needs to work, and nothing that others find it by.
fn body(unit: &Unit, snapshot: &Snapshot, mark: &Mark<'_>) -> Result<Value, Failure> {
    let image = NewImage {
        // Its tag may mean the release by now.
        reference: unit.old_image.as_str(),
        id: &unit.old_image,
    };
    let made = create_body(snapshot, &image, mark).map_err(|refused| {
        let fields: Vec<&str> = refused.iter().map(|refusal| refusal.field.as_str()).collect();
        Failure::new(FailureKind::PreflightRefused, fields.join(", "))
    })?;
    let mut body = made.body;
    if let Some(fields) = body.as_object_mut() {
        for field in [
            "Hostname",
            "Domainname",
            "MacAddress",
            "ExposedPorts",
            "NetworkingConfig",
        ] {
            fields.remove(field);
        }
        // It serves no page that could be probed.
        fields.insert("Healthcheck".to_owned(), json!({"Test": ["NONE"]}));
        let labels = json!({
            LABEL_HELPER: mark.rollout.to_string(),
            LABEL_INSTANCE: mark.instance,
            LABEL_TERM: mark.term.to_string(),
        });
        fields.insert("Labels".to_owned(), labels);
    }
    if let Some(host) = body.get_mut("HostConfig").and_then(Value::as_object_mut) {
        host.insert("PortBindings".to_owned(), json!({}));
        host.insert("PublishAllPorts".to_owned(), json!(false));
        // If the host reboots between the stop of the old container and the switch to the new one, the update helper is what
        // starts again.
        let policy = json!({"Name": "unless-stopped", "MaximumRetryCount": 0});
        host.insert("RestartPolicy".to_owned(), policy);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowtide_core::kinds::containers::model::{OnExit, RestartPolicy};
    use lowtide_model::rollout::{Part, Which};

    fn unit() -> Unit {
        let old_image = format!("sha256:{}", "a".repeat(64));
        Unit {
            index: 0,
            name: "lowtide".to_owned(),
            old: "b".repeat(64),
            old_image: old_image.parse().unwrap(),
            was_running: true,
            restart: RestartPolicy::none(),
            fixed_restart: false,
            snapshot: String::new(),
            part: Part::Release,
            depends_on: Vec::new(),
            bars: Vec::new(),
            on_exit: OnExit::Stays,
            tag: None,
            needs: Vec::new(),
        }
    }

    fn snapshot() -> Snapshot {
        Snapshot {
            container: json!({
                "Id": "b".repeat(64),
                "Name": "/lowtide",
                "Config": {
                    "Hostname": "tide", "Cmd": ["serve"], "Env": ["TOKEN=x"], "ExposedPorts": {"80/tcp": {}},
                    "Image": "lowtide:1", "Labels": {"com.docker.compose.project": "ops", "traefik.enable": "true"},
                },
                "HostConfig": {
                    "Binds": ["lowtide:/var/lib/lowtide", "/var/run/docker.sock:/var/run/docker.sock"],
                    "GroupAdd": ["999"], "NetworkMode": "ops", "PortBindings": {"80/tcp": [{"HostPort": "80"}]},
                    "RestartPolicy": {"Name": "always"},
                },
                "NetworkSettings": {"Networks": {
                    "ops": {"Aliases": ["bot"], "IPAMConfig": {"IPv4Address": "10.1.1.9"}}, "back": {},
                }},
            }),
            image_config: json!({}),
            files: Vec::new(),
            tag: None,
            api: 45,
            fixed_restart: false,
        }
    }

    #[test]
    fn it_has_what_lowtide_needs_and_nothing_to_be_found_by() {
        let snapshot = snapshot();
        let mark = Mark {
            rollout: "01J00000000000000000ABCDEF".parse().unwrap(),
            unit: 0,
            instance: "lowtide-x",
            term: 7,
            role: Which::New,
        };
        let body = body(&unit(), &snapshot, &mark).unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&body).unwrap(), @r#"
        {
          "Env": [
            "TOKEN=x"
          ],
          "HostConfig": {
            "Binds": [
              "lowtide:/var/lib/lowtide",
              "/var/run/docker.sock:/var/run/docker.sock"
            ],
            "GroupAdd": [
              "999"
            ],
            "NetworkMode": "ops",
            "PortBindings": {},
            "RestartPolicy": {
              "Name": "unless-stopped",
              "MaximumRetryCount": 0
            },
            "PublishAllPorts": false
          },
          "Labels": {
            "io.lowtide.update-helper": "01J00000000000000000ABCDEF",
            "io.lowtide.instance": "lowtide-x",
            "io.lowtide.term": "7"
          },
          "Cmd": [
            "serve"
          ],
          "Image": "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
          "Healthcheck": {
            "Test": [
              "NONE"
            ]
          }
        }
        "#);
        assert_eq!(networks(&snapshot.container).collect::<Vec<_>>(), ["ops", "back"]);
    }
}
