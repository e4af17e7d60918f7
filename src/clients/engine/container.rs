//! Containers of our own: tests, sidecars, probes. Users' containers are never made or removed through these calls.

use super::connect::Engine;
use super::error::EngineError;
use super::image::credentials;
use super::observe::{has_check, start_period};
use super::spec::{Spec, create_body, health_body};
use super::sweep::percent;
use crate::clients::credentials::Credential;
use bollard::errors::Error as B;
use bollard::query_parameters::{CreateImageOptionsBuilder, RestartContainerOptionsBuilder};
use futures_util::StreamExt;
use lowtide_model::image::Reference;
use serde_json::{Value, json};
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
        let name = spec.name.as_ref().map(|name| format!("name={name}"));
        let platform = spec
            .platform
            .as_ref()
            .map(|platform| format!("platform={}", percent(platform)));
        let query: Vec<String> = name.into_iter().chain(platform).collect();
        let path = format!("/containers/create?{}", query.join("&"));
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
    pub async fn ensure_image(&self, reference: &Reference, auth: Option<&Credential>) -> Result<(), EngineError> {
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
