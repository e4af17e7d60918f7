//! What a test runs in: its network, its sidecars, the candidate.

use super::environment::{Stop, TestEnvironment};
use super::ready::{self, Role};
use super::stage_log::StageLog;
use crate::clients::engine::container::{Attach, HealthCheck, Kind, Spec};
use crate::clients::engine::error::EngineError;
use jiff::SignedDuration;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::image::Reference;
use lowtide_model::policy::{Ready, ReadyCheck, TestNetwork, TestPolicy, TestSetup};
use lowtide_packages::compose::{self, Compose, Condition, Healthcheck, Service};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Everything that surrounds and configures the candidate, whichever way the app describes it.
pub(super) struct Setup {
    pub(super) companions: Vec<Companion>,
    /// The candidate's name on the network.
    pub(super) alias: String,
    /// Environment, command and so on that a compose file gives the candidate, in the test only.
    pub(super) overlay: Service,
    /// Volume names of the compose file → names on the engine.
    volumes: BTreeMap<String, String>,
}

/// A container beside the candidate.
pub(super) struct Companion {
    name: String,
    image: String,
    service: Service,
    until: Until,
}

/// What the next container waits for.
enum Until {
    Ready(Ready),
    /// It ends with code 0 within this time.
    Done(Duration),
}

/// A container that is merely *started* must still be there after this.
const STARTED: SignedDuration = SignedDuration::from_secs(1);

impl Companion {
    async fn bring_image(&self, environment: &TestEnvironment<'_>) -> Result<(), Stop> {
        let reference: Reference = self.image.parse().map_err(|e| {
            let detail = format!("sidecar {}: {} is no image: {e}", self.name, self.image);
            Failure::new(FailureKind::ComposeRefused, detail)
        })?;
        let auth = environment.credentials.login(&reference.repository.registry).await?;
        let pull = environment.engine.ensure_image(&reference, auth.as_ref());
        let pulled = environment.unless_cancelled(pull).await?;
        Ok(pulled.map_err(|e| not_pulled(&self.name, &self.image, &e))?)
    }
}

impl Setup {
    /// Reads the app's description. `compose` is the parsed compose file where the app names one.
    pub(super) fn read(
        environment: &TestEnvironment<'_>,
        test: &TestPolicy,
        file: Option<&Value>,
    ) -> Result<Self, Failure> {
        let (companions, alias, overlay, names) = match (&test.how, file) {
            (TestSetup::Sidecars(sidecars), _) => {
                let companions = sidecars.iter().map(|(name, sidecar)| Companion {
                    name: name.clone(),
                    image: sidecar.image.to_string(),
                    service: Service {
                        environment: sidecar.env.clone(),
                        command: (!sidecar.command.is_empty()).then(|| sidecar.command.clone()),
                        ..Service::default()
                    },
                    until: Until::Ready(sidecar.ready.clone()),
                });
                let alias = environment.app.name.as_str().to_owned();
                (companions.collect(), alias, Service::default(), Vec::new())
            }
            (TestSetup::Compose { service, .. }, Some(value)) => {
                let Compose {
                    beside,
                    under_test,
                    volumes,
                } = compose::parse(value, service)
                    .map_err(|e| Failure::new(FailureKind::ComposeRefused, e.to_string()).with_excerpt(e.problems))?;
                let companions = beside
                    .into_iter()
                    .map(|(name, service)| Companion::of(name, service, test.ready.timeout));
                (
                    companions.collect(),
                    service.clone(),
                    under_test,
                    volumes.into_iter().collect(),
                )
            }
            (TestSetup::Compose { file, .. }, None) => {
                return Err(Failure::new(
                    FailureKind::Invariant,
                    format!("{file} was not read before its test"),
                ));
            }
        };
        let volumes = names
            .into_iter()
            .map(|name| (name.clone(), unique(environment, &name)))
            .collect();
        Ok(Self {
            companions,
            alias,
            overlay,
            volumes,
        })
    }

    /// Creates the volumes and brings each companion up, one after the other; their ids.
    pub(super) async fn start_companions(
        &self,
        environment: &TestEnvironment<'_>,
        network: &str,
        log: &mut StageLog<'_>,
    ) -> Result<Vec<String>, Stop> {
        for volume in self.volumes.values() {
            environment.go_on()?;
            environment.engine.create_volume(volume, environment.labels).await?;
        }
        let mut ids = Vec::new();
        for companion in &self.companions {
            log.note(&format!("sidecar {}: {}", companion.name, companion.image));
            companion.bring_image(environment).await?;
            let spec = Spec {
                name: Some(unique(environment, &companion.name)),
                image: companion.image.clone(),
                kind: Kind::Sidecar,
                labels: environment.labels.clone(),
                env: companion.service.environment.clone(),
                entrypoint: companion.service.entrypoint.clone(),
                command: companion.service.command.clone(),
                health: companion.service.healthcheck.as_ref().map(health),
                start_period: companion.start_period(),
                attach: Attach::Network {
                    id: network.to_owned(),
                    aliases: vec![companion.name.clone()],
                },
                limits: environment.limits(),
                volumes: self.mounts(&companion.service),
            };
            environment.go_on()?;
            let created = environment.create(&spec).await;
            let id = created.map_err(|e| ready::not_created(&companion.role(), &e))?;
            companion.up(environment, &id, log).await?;
            ids.push(id);
        }
        Ok(ids)
    }

    /// The candidate with the testing tools on.
    pub(super) fn candidate(
        &self,
        environment: &TestEnvironment<'_>,
        test: &TestPolicy,
        image: &str,
        network: &str,
    ) -> Spec {
        let mut env = self.overlay.environment.clone();
        env.extend(environment.app.env.clone());
        env.extend(test.env.clone());
        Spec {
            env,
            entrypoint: self.overlay.entrypoint.clone(),
            command: self.overlay.command.clone(),
            health: self.overlay.healthcheck.as_ref().map(health),
            // The testing tools are installed at launch: a health check that fails until then says nothing.
            start_period: Some(test.ready.timeout.unsigned_abs()),
            volumes: self.mounts(&self.overlay),
            ..production(environment, image, network, self.alias.clone())
        }
    }

    fn mounts(&self, service: &Service) -> BTreeMap<String, Option<String>> {
        let own = |name: &String| self.volumes.get(name).cloned();
        let mounts = service.volumes.iter();
        mounts
            .map(|(path, name)| (path.clone(), name.as_ref().and_then(own)))
            .collect()
    }
}

impl Companion {
    fn of(name: String, service: Service, timeout: SignedDuration) -> Self {
        let check = match service.awaited {
            Condition::Healthy => ReadyCheck::Healthcheck,
            Condition::Started | Condition::Completed => ReadyCheck::Steady { stay_up: STARTED },
        };
        let until = match service.awaited {
            Condition::Completed => Until::Done(timeout.unsigned_abs()),
            Condition::Started | Condition::Healthy => Until::Ready(Ready { check, timeout }),
        };
        Self {
            name,
            image: service.image.clone(),
            service,
            until,
        }
    }

    fn role(&self) -> Role {
        Role::Sidecar(self.name.clone())
    }

    /// The start period covers the whole readiness timeout: until that is over, the sidecar may still be starting.
    fn start_period(&self) -> Option<Duration> {
        match &self.until {
            Until::Ready(rule) => Some(rule.timeout.unsigned_abs()),
            Until::Done(_) => None,
        }
    }

    async fn up(&self, environment: &TestEnvironment<'_>, id: &str, log: &mut StageLog<'_>) -> Result<(), Stop> {
        let role = self.role();
        let limit = match &self.until {
            Until::Ready(rule) => return ready::start(environment, id, &role, rule, log).await.map(drop),
            Until::Done(limit) => *limit,
        };
        environment.engine.start_own(id).await?;
        let what = match environment
            .unless_cancelled(environment.engine.wait_own(id, limit))
            .await?
        {
            Ok(0) => return Ok(()),
            Ok(code) => format!("sidecar {} ended with code {code}", self.name),
            Err(EngineError::Timeout { seconds, .. }) => {
                format!("sidecar {} did not end within {seconds} s", self.name)
            }
            Err(e) => return Err(e.into()),
        };
        let log = ready::excerpt(environment, id).await;
        Err(Failure::new(FailureKind::SidecarFailed, what).with_excerpt(log).into())
    }
}

/// The candidate as it ships: only the environment it needs to start at all.
pub(super) fn production(environment: &TestEnvironment<'_>, image: &str, network: &str, alias: String) -> Spec {
    Spec {
        name: Some(unique(environment, "candidate")),
        image: image.to_owned(),
        kind: Kind::Test,
        labels: environment.labels.clone(),
        env: environment.app.env.clone(),
        entrypoint: None,
        command: None,
        health: None,
        // What ships has the image's own.
        start_period: None,
        attach: Attach::Network {
            id: network.to_owned(),
            aliases: vec![alias],
        },
        limits: environment.limits(),
        volumes: BTreeMap::new(),
    }
}

/// A network of this attempt's own.
pub(super) async fn network(environment: &TestEnvironment<'_>, network: TestNetwork) -> Result<String, Stop> {
    environment.go_on()?;
    let name = unique(environment, "test");
    Ok(environment
        .engine
        .create_network(&name, network, environment.labels)
        .await?)
}

/// A name on the engine that people recognise and nobody else has.
fn unique(environment: &TestEnvironment<'_>, what: &str) -> String {
    let id = ulid::Ulid::generate().to_string().to_ascii_lowercase();
    format!("lowtide-{}-{what}-{}", environment.app.name, &id[id.len() - 8..])
}

fn health(check: &Healthcheck) -> HealthCheck {
    let Healthcheck {
        test,
        interval,
        timeout,
        start_period,
        retries,
    } = check.clone();
    HealthCheck {
        test,
        interval,
        timeout,
        start_period,
        retries,
    }
}

/// The failure when a sidecar's image cannot be pulled: an unreachable registry is not the repository's fault, a
/// missing image is.
fn not_pulled(name: &str, image: &str, error: &EngineError) -> Failure {
    let words = error.to_string();
    let detail = format!("the image {image} of sidecar {name} cannot be had: {words}");
    let unreachable = [
        "no such host",
        "i/o timeout",
        "connection refused",
        "connection reset",
        "TLS handshake timeout",
        "Client.Timeout",
        "server misbehaving",
        "EOF",
        "unexpected status code 5",
        "toomanyrequests",
    ];
    if unreachable.iter().any(|sign| words.contains(sign)) {
        return Failure::new(FailureKind::RegistryUnreachable, detail);
    }
    match error {
        EngineError::Refused { message, .. } if message.contains("no space left on device") => error.failure(),
        EngineError::Refused { .. } | EngineError::NotFound { .. } => Failure::new(FailureKind::SidecarFailed, detail),
        EngineError::Unreachable { .. }
        | EngineError::Denied { .. }
        | EngineError::Conflict { .. }
        | EngineError::Failed { .. }
        | EngineError::Timeout { .. }
        | EngineError::Unreadable { .. } => error.failure(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sidecar_image_that_cannot_be_had() {
        let kind = |message: &str| {
            let error = EngineError::Refused {
                status: 500,
                message: message.to_owned(),
            };
            not_pulled("db", "registry.example.org/db:1", &error).kind
        };
        for (message, expected) in [
            (
                "manifest for registry.example.org/db:1 not found: manifest unknown",
                FailureKind::SidecarFailed,
            ),
            (
                "pull access denied for db, repository does not exist",
                FailureKind::SidecarFailed,
            ),
            (
                "Get \"https://registry.example.org/v2/\": dial tcp: lookup registry.example.org: no such host",
                FailureKind::RegistryUnreachable,
            ),
            (
                "Get \"https://registry.example.org/v2/\": net/http: TLS handshake timeout",
                FailureKind::RegistryUnreachable,
            ),
            ("write /x: no space left on device", FailureKind::DiskFull),
        ] {
            assert_eq!(kind(message), expected, "{message}");
        }
    }
}
