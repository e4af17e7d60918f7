//! Containers of our own: tests, sidecars, probes. Users' containers are never made or removed through these calls.

use super::connect::Engine;
use super::error::EngineError;
use super::image::{Auth, credentials};
use super::observe::{has_check, start_period};
use bollard::errors::Error as B;
use bollard::query_parameters::{CreateImageOptionsBuilder, RestartContainerOptionsBuilder};
use futures_util::StreamExt;
use lowtide_model::image::Reference;
use lowtide_model::policy::ContainerLimits;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a container of ours is for; the value of the label `io.lowtide.kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Test,
    Sidecar,
    Probe,
    /// Does nothing, with settings of a user's container: can the host start such a one?
    Trial,
}

impl Kind {
    /// The label's key.
    pub const LABEL: &'static str = "io.lowtide.kind";

    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Kind::Test => "test",
            Kind::Sidecar => "sidecar",
            Kind::Probe => "probe",
            Kind::Trial => "trial",
        }
    }
}

/// How a container is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attach {
    /// To a network of ours, by id, under these names.
    Network { id: String, aliases: Vec<String> },
    /// Inside another container's network namespace.
    Container { id: String },
}

/// A health check that replaces the image's own. Times in the engine's unit are made from these.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HealthCheck {
    /// As the engine wants it: `["CMD", …]`, `["CMD-SHELL", text]` or `["NONE"]`.
    pub test: Vec<String>,
    pub interval: Option<Duration>,
    pub timeout: Option<Duration>,
    pub start_period: Option<Duration>,
    pub retries: Option<u32>,
}

/// A container to create. There are no bind mounts: lowtide usually lives in a container itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// `None`: the engine invents one.
    pub name: Option<String>,
    /// Image id or reference; must be on the engine.
    pub image: String,
    pub kind: Kind,
    pub labels: BTreeMap<String, String>,
    pub env: BTreeMap<String, String>,
    /// `None`: the image's.
    pub entrypoint: Option<Vec<String>>,
    /// `None`: the image's.
    pub command: Option<Vec<String>>,
    pub health: Option<HealthCheck>,
    /// For at least this long a failing health check does not make the container *unhealthy*: a longer start period of its
    /// own is kept, as are the other settings of the check. `None`: its own.
    pub start_period: Option<Duration>,
    pub attach: Attach,
    pub limits: ContainerLimits,
    /// Path inside the container → volume name; `None` is an anonymous one.
    pub volumes: BTreeMap<String, Option<String>>,
}

/// Seconds between the stop signal and the kill when we restart or remove what is ours.
const GRACE_S: i32 = 10;
/// A pull that takes longer is given up.
const PULL_TIMEOUT: Duration = Duration::from_secs(15 * 60);

impl Engine {
    /// Creates a container; nothing runs yet. Returns its id.
    ///
    /// # Errors
    /// `NotFound` when the image is not on the engine, else as the engine refuses.
    pub async fn create_own(&self, spec: &Spec) -> Result<String, EngineError> {
        // Asking for more CPUs than the engine has is refused by it; such a limit limits nothing.
        let cpus = self.raw_get("/info").await?["NCPU"]
            .as_f64()
            .map_or(spec.limits.cpus, |have| spec.limits.cpus.min(have));
        let start_period = self.start_period(spec).await?;
        let path = match &spec.name {
            Some(name) => format!("/containers/create?name={name}"),
            None => "/containers/create".to_owned(),
        };
        let response = self
            .raw_post(
                &path,
                Some(&create_body(spec, cpus, start_period)),
                Duration::from_secs(120),
            )
            .await
            .map_err(|e| match e {
                EngineError::NotFound { .. } => EngineError::NotFound {
                    what: format!("image {}", spec.image),
                },
                other @ (EngineError::Unreachable { .. }
                | EngineError::Denied { .. }
                | EngineError::Conflict { .. }
                | EngineError::Refused { .. }
                | EngineError::Failed { .. }
                | EngineError::Timeout { .. }
                | EngineError::Unreadable { .. }) => other,
            })?;
        response["Id"]
            .as_str()
            .map(ToOwned::to_owned)
            .ok_or_else(|| EngineError::Unreadable {
                what: "create container".to_owned(),
                source: "no id in the answer".into(),
            })
    }

    /// The start period to ask for; `None`: nothing has to be said, or there is no health check that it could belong to.
    async fn start_period(&self, spec: &Spec) -> Result<Option<Duration>, EngineError> {
        let Some(at_least) = spec.start_period else {
            return Ok(None);
        };
        let check = match &spec.health {
            Some(check) => json!({ "Healthcheck": health_body(check) }),
            None => match self.raw_get(&format!("/images/{}/json", spec.image)).await {
                Ok(mut image) => image["Config"].take(),
                // Creating says so better.
                Err(EngineError::NotFound { .. }) => Value::Null,
                Err(e) => return Err(e),
            },
        };
        Ok(has_check(&check).then(|| at_least.max(start_period(&check))))
    }

    /// Starts a container.
    ///
    /// # Errors
    /// `Refused` with the runtime's words when its command cannot be started, whatever status the engine gives it.
    pub async fn start_own(&self, id: &str) -> Result<(), EngineError> {
        let started = self.docker.start_container(id, None).await;
        // A missing entrypoint is a 404 on some engines, like a missing container: only the words tell them apart.
        if let Err(B::DockerResponseServerError {
            status_code: status @ 404,
            message,
        }) = &started
            && !message.contains("No such container")
        {
            return Err(EngineError::Refused {
                status: *status,
                message: message.clone(),
            });
        }
        started.map_err(|e| self.error(&format!("container {}", short(id)), e))
    }

    /// Stops and starts a container again, with a grace of 10 s.
    ///
    /// # Errors
    /// As the engine refuses.
    pub async fn restart_own(&self, id: &str) -> Result<(), EngineError> {
        let options = RestartContainerOptionsBuilder::default().t(GRACE_S).build();
        self.docker
            .restart_container(id, Some(options))
            .await
            .map_err(|e| self.error(&format!("container {}", short(id)), e))
    }

    /// Stops a container with SIGKILL. One that does not run is fine.
    ///
    /// # Errors
    /// As the engine refuses.
    pub async fn kill_own(&self, id: &str) -> Result<(), EngineError> {
        let path = format!("/containers/{id}/kill");
        match self.raw_post_only(&path, None, Duration::from_secs(30)).await {
            Ok(()) | Err(EngineError::Conflict { .. } | EngineError::NotFound { .. }) => Ok(()),
            // Podman's words, with a status of 500.
            Err(EngineError::Refused { message, .. }) if message.contains("can only kill running containers") => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Removes a container, running or not, with its anonymous volumes. One that is gone is fine.
    ///
    /// # Errors
    /// As the engine refuses.
    pub async fn remove_own(&self, id: &str) -> Result<(), EngineError> {
        match self.raw_delete(&format!("/containers/{id}?force=1&v=1")).await {
            // 409: a removal is already under way.
            Ok(()) | Err(EngineError::NotFound { .. } | EngineError::Conflict { .. }) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Waits until a container does not run; its exit code.
    ///
    /// # Errors
    /// `Timeout` after `limit`.
    pub async fn wait_own(&self, id: &str, limit: Duration) -> Result<i64, EngineError> {
        let response = self.raw_post(&format!("/containers/{id}/wait"), None, limit).await?;
        Ok(response["StatusCode"].as_i64().unwrap_or(-1))
    }

    /// Brings an image to the engine unless it is there already.
    ///
    /// # Errors
    /// `Refused` with the words of the registry, which may arrive in the middle of the stream.
    pub async fn ensure_image(&self, reference: &Reference, auth: Option<&Auth>) -> Result<(), EngineError> {
        let name = reference.to_string();
        let there = format!("/images/{name}/json");
        match self.raw_get(&there).await {
            Err(EngineError::NotFound { .. }) => {}
            Ok(_) => return Ok(()),
            Err(e) => return Err(e),
        }
        // Without a tag the engine would pull every tag of the repository.
        let tag = match (&reference.digest, &reference.tag) {
            (Some(_), _) | (None, Some(_)) => "",
            (None, None) => "latest",
        };
        let options = CreateImageOptionsBuilder::default().from_image(&name).tag(tag).build();
        let mut progress = self
            .docker
            .create_image(Some(options), None, credentials(reference, auth));
        let drained = async {
            while let Some(line) = progress.next().await {
                line.map_err(|e| pull_error(&self.address(), &name, e))?;
            }
            Ok(())
        };
        tokio::time::timeout(PULL_TIMEOUT, drained)
            .await
            .map_err(|_| EngineError::Timeout {
                what: format!("pull of {name}"),
                seconds: PULL_TIMEOUT.as_secs(),
            })??;
        self.raw_get(&there).await.map(drop)
    }
}

/// The first 12 characters of an id, as the `docker` command shows them.
#[must_use]
pub fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

fn create_body(spec: &Spec, cpus: f64, start_period: Option<Duration>) -> Value {
    let mut labels = spec.labels.clone();
    labels.insert(Kind::LABEL.to_owned(), spec.kind.text().to_owned());
    let env: Vec<String> = spec.env.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let mounts: Vec<Value> = spec
        .volumes
        .iter()
        .map(|(path, name)| match name {
            Some(name) => json!({"Type": "volume", "Target": path, "Source": name}),
            None => json!({"Type": "volume", "Target": path}),
        })
        .collect();
    let network_mode = match &spec.attach {
        Attach::Network { id, .. } => id.clone(),
        Attach::Container { id } => format!("container:{id}"),
    };
    #[expect(clippy::cast_possible_truncation, reason = "a CPU count times 1e9 fits")]
    let nano_cpus = (cpus * 1e9) as i64;
    let mut body = json!({
        "Image": spec.image,
        "Env": env,
        "Labels": labels,
        "HostConfig": {
            "NetworkMode": network_mode,
            "Memory": spec.limits.memory,
            // Equal to the memory: no swap.
            "MemorySwap": spec.limits.memory,
            "NanoCpus": nano_cpus,
            "PidsLimit": spec.limits.pids,
            "Init": false,
            "AutoRemove": false,
            "RestartPolicy": {"Name": "no"},
            "LogConfig": {"Type": "json-file", "Config": {
                // The engine counts its JSON framing as well; rotation keeps the disk safe, our own count decides. Two
                // files: a single one is truncated under its reader, which ends the stream.
                "max-size": spec.limits.output.max(1 << 20).to_string(), "max-file": "2",
            }},
            "Mounts": mounts,
        },
    });
    if let (Attach::Network { id, aliases }, Value::Object(map)) = (&spec.attach, &mut body) {
        map.insert(
            "NetworkingConfig".to_owned(),
            json!({"EndpointsConfig": {id: {"Aliases": aliases}}}),
        );
    }
    if let Value::Object(map) = &mut body {
        if let Some(entrypoint) = &spec.entrypoint {
            map.insert("Entrypoint".to_owned(), json!(entrypoint));
        }
        if let Some(command) = &spec.command {
            map.insert("Cmd".to_owned(), json!(command));
        }
        // What is not said here stays as the image says it.
        let mut health = spec.health.as_ref().map(health_body);
        if let Some(period) = start_period {
            health.get_or_insert_with(|| json!({}))["StartPeriod"] = nanoseconds(period);
        }
        if let Some(health) = health {
            map.insert("Healthcheck".to_owned(), health);
        }
    }
    body
}

fn health_body(health: &HealthCheck) -> Value {
    let mut map = Map::new();
    if !health.test.is_empty() {
        map.insert("Test".to_owned(), json!(health.test));
    }
    for (key, value) in [
        ("Interval", health.interval),
        ("Timeout", health.timeout),
        ("StartPeriod", health.start_period),
    ] {
        if let Some(value) = value {
            map.insert(key.to_owned(), nanoseconds(value));
        }
    }
    if let Some(retries) = health.retries {
        map.insert("Retries".to_owned(), json!(retries));
    }
    Value::Object(map)
}

/// The engine's unit.
fn nanoseconds(value: Duration) -> Value {
    json!(u64::try_from(value.as_nanos()).unwrap_or(u64::MAX))
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "bollard's enum is foreign and open: the rest is classified by the common rule"
)]
fn pull_error(address: &str, reference: &str, error: B) -> EngineError {
    match error {
        B::DockerStreamError { error } => EngineError::Refused {
            status: 200,
            message: error,
        },
        // The common rule drops a 404's words; here they tell *no such tag* from *no such repository*.
        B::DockerResponseServerError { status_code, message } if status_code == 404 => EngineError::Refused {
            status: status_code,
            message,
        },
        e => EngineError::from_bollard(address, &format!("pull of {reference}"), e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> Spec {
        Spec {
            name: None,
            image: "sha256:1".to_owned(),
            kind: Kind::Test,
            labels: BTreeMap::from([("io.lowtide.run".to_owned(), "r".to_owned())]),
            env: BTreeMap::from([("A".to_owned(), "b=c".to_owned())]),
            entrypoint: None,
            command: Some(vec!["x".to_owned()]),
            health: Some(HealthCheck {
                test: vec!["NONE".to_owned()],
                interval: Some(Duration::from_millis(1500)),
                ..HealthCheck::default()
            }),
            start_period: None,
            attach: Attach::Network {
                id: "n1".to_owned(),
                aliases: vec!["app".to_owned()],
            },
            limits: ContainerLimits {
                memory: 64 << 20,
                cpus: 0.5,
                pids: 32,
                output: 4 << 20,
                disk: 1 << 30,
            },
            volumes: BTreeMap::from([("/a".to_owned(), None), ("/b".to_owned(), Some("v".to_owned()))]),
        }
    }

    #[test]
    fn the_limits_and_labels_are_all_there() {
        insta::assert_json_snapshot!(create_body(&spec(), 0.5, None), @r#"
        {
          "Image": "sha256:1",
          "Env": [
            "A=b=c"
          ],
          "Labels": {
            "io.lowtide.kind": "test",
            "io.lowtide.run": "r"
          },
          "HostConfig": {
            "NetworkMode": "n1",
            "Memory": 67108864,
            "MemorySwap": 67108864,
            "NanoCpus": 500000000,
            "PidsLimit": 32,
            "Init": false,
            "AutoRemove": false,
            "RestartPolicy": {
              "Name": "no"
            },
            "LogConfig": {
              "Type": "json-file",
              "Config": {
                "max-size": "4194304",
                "max-file": "2"
              }
            },
            "Mounts": [
              {
                "Type": "volume",
                "Target": "/a"
              },
              {
                "Type": "volume",
                "Target": "/b",
                "Source": "v"
              }
            ]
          },
          "NetworkingConfig": {
            "EndpointsConfig": {
              "n1": {
                "Aliases": [
                  "app"
                ]
              }
            }
          },
          "Cmd": [
            "x"
          ],
          "Healthcheck": {
            "Test": [
              "NONE"
            ],
            "Interval": 1500000000
          }
        }
        "#);
    }

    #[test]
    fn a_start_period_leaves_the_rest_of_the_health_check_alone() {
        let period = Some(Duration::from_secs(300));
        let mut spec = spec();
        spec.health = None;
        assert_eq!(create_body(&spec, 0.5, None)["Healthcheck"], Value::Null);
        assert_eq!(
            create_body(&spec, 0.5, period)["Healthcheck"],
            json!({"StartPeriod": 300_000_000_000_u64})
        );
        spec.health = Some(HealthCheck {
            test: vec!["CMD".to_owned(), "check".to_owned()],
            start_period: Some(Duration::from_secs(1)),
            retries: Some(7),
            ..HealthCheck::default()
        });
        assert_eq!(
            create_body(&spec, 0.5, period)["Healthcheck"],
            json!({"Test": ["CMD", "check"], "StartPeriod": 300_000_000_000_u64, "Retries": 7})
        );
    }
}
