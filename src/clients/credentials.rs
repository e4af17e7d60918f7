//! Registry credentials: our configuration, Docker's config file, credential helpers. Each of them may be for a whole
//! registry or for a part of it. Looked up for each use, so a rotated secret needs no restart.

mod docker_config;
mod helper;
mod keys;

use super::secrets;
use docker_config::{DockerConfig, Entry};
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::image::Repository;
use lowtide_model::local;
use lowtide_model::policy::RegistryAccess;
use lowtide_model::secret::{Secret, SecretRef};
use std::collections::BTreeMap;
use std::collections::btree_map;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a registry requires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    Basic {
        username: String,
        password: Secret,
    },
    /// An OAuth2 refresh token, exchanged at the registry's token server.
    IdentityToken(Secret),
    /// A bearer token, sent as it is.
    RegistryToken(Secret),
}

/// A credential, and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub credential: Credential,
    pub origin: Origin,
}

/// Where a credential was found. Shown to people when it is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A key of `registries`.
    Configuration(String),
    /// A key of `auths` in Docker's file.
    Docker(String),
    Helper(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Configuration(key) => write!(f, "the credential of `registries.{key}`"),
            Origin::Docker(key) => write!(f, "the credential of {key} in Docker's config.json"),
            Origin::Helper(helper) => write!(f, "the credential of docker-credential-{helper}"),
        }
    }
}

/// No value of a secret is ever part of it.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    #[error("{0}")]
    Secret(Failure),
    #[error("{path} cannot be read: {source}")]
    Unreadable {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{path} is not a Docker configuration: line {line}, column {column}")]
    Invalid { path: String, line: usize, column: usize },
    #[error("the entry of {registry} in {path} is not base64 of user:password")]
    Entry { path: String, registry: String },
    #[error("{helper} {problem}")]
    Helper { helper: String, problem: HelperProblem },
}

#[derive(Debug, thiserror::Error)]
pub enum HelperProblem {
    #[error("is not a helper's name")]
    Name,
    #[error("cannot be run: {0}")]
    Start(std::io::Error),
    #[error("did not answer within {0:?}")]
    Timeout(Duration),
    #[error("ended with {0}")]
    Exit(std::process::ExitStatus),
    #[error("gave an answer outside its protocol")]
    Malformed,
}

impl CredentialError {
    #[must_use]
    pub fn failure(&self) -> Failure {
        match self {
            CredentialError::Secret(failure) => failure.clone(),
            CredentialError::Unreadable { source, .. }
            | CredentialError::Helper {
                problem: HelperProblem::Start(source),
                ..
            } => {
                let kind = local::exhausted(source).unwrap_or(FailureKind::SecretMissing);
                Failure::new(kind, self.to_string())
            }
            CredentialError::Invalid { .. } | CredentialError::Entry { .. } | CredentialError::Helper { .. } => {
                Failure::new(FailureKind::SecretMissing, self.to_string())
            }
        }
    }
}

/// Where credentials are looked for.
#[derive(Debug, Clone)]
pub struct Credentials {
    registries: BTreeMap<String, RegistryAccess>,
    docker_config: Option<PathBuf>,
    helper_path: Option<OsString>,
    helper_limit: Duration,
}

impl Credentials {
    /// `docker_config` is the directory that holds Docker's `config.json`, when there is one.
    #[must_use]
    pub fn new(registries: BTreeMap<String, RegistryAccess>, docker_config: Option<PathBuf>) -> Self {
        Self {
            registries,
            docker_config,
            helper_path: None,
            helper_limit: Duration::from_secs(10),
        }
    }

    /// Looks for helpers in `path` (as in `PATH`) instead of the process's own, and gives them `limit`.
    #[must_use]
    pub fn with_helpers(mut self, path: OsString, limit: Duration) -> Self {
        self.helper_path = Some(path);
        self.helper_limit = limit;
        self
    }

    /// What an engine's own pulls and pushes log in with; `None`: the repository is used anonymously.
    ///
    /// # Errors
    /// `SecretMissing` when the credential cannot be had.
    pub async fn login(&self, repository: &Repository) -> Result<Option<Found>, Failure> {
        self.find(repository).await.map_err(|e| e.failure())
    }

    /// The credential of each registry, for a build that reads these repositories. A builder asks for a host's
    /// credential without saying for which repository. (BuildKit can ask for a token with its scopes instead, but the
    /// scopes of the first repository of a host come along with those of all later ones.)
    ///
    /// # Errors
    /// `CredentialConflict` when two repositories of one host have different credentials; else as [`Self::login`].
    pub async fn logins(&self, repositories: &[Repository]) -> Result<BTreeMap<String, Credential>, Failure> {
        let mut logins: BTreeMap<String, (&Repository, Credential)> = BTreeMap::new();
        for repository in repositories {
            // What needs no credential can be read with that of another repository too.
            let Some(Found { credential, .. }) = self.login(repository).await? else {
                continue;
            };
            match logins.entry(repository.registry.clone()) {
                btree_map::Entry::Vacant(vacant) => drop(vacant.insert((repository, credential))),
                btree_map::Entry::Occupied(other) if other.get().1 == credential => {}
                btree_map::Entry::Occupied(other) => {
                    let detail = format!(
                        "{} and {repository} have different credentials; a build takes one per registry",
                        other.get().0
                    );
                    return Err(Failure::new(FailureKind::CredentialConflict, detail));
                }
            }
        }
        Ok(logins
            .into_iter()
            .map(|(host, (_, credential))| (host, credential))
            .collect())
    }

    /// # Errors
    /// As [`Self::lookup`].
    pub async fn find(&self, repository: &Repository) -> Result<Option<Found>, CredentialError> {
        self.lookup(&repository.to_string()).await
    }

    /// The credential for `name`, a repository (`host/path`) or a host: our own configuration, then the entry of Docker's
    /// file for that part of the registry, Docker's helper for the host, its store, and the host's entry of the file.
    ///
    /// # Errors
    /// When a place that should have it cannot be read. Nothing anywhere is `None`: anonymous.
    pub async fn lookup(&self, name: &str) -> Result<Option<Found>, CredentialError> {
        if let Some((key, username, password)) = self.own(name) {
            return Ok(Some(Found {
                credential: Credential::Basic {
                    username: username.unwrap_or_default().to_owned(),
                    password: secrets::read(password).map_err(CredentialError::Secret)?,
                },
                origin: Origin::Configuration(key.to_owned()),
            }));
        }
        let Some(directory) = &self.docker_config else {
            return Ok(None);
        };
        let path = directory.join("config.json");
        match docker_config::read(&path).await? {
            Some(config) => self.in_docker(&config, &path, name).await,
            None => Ok(None),
        }
    }

    /// The key of our own configuration whose credential is used for `repository`.
    #[must_use]
    pub fn key(&self, repository: &Repository) -> Option<&str> {
        self.own(&repository.to_string()).map(|(key, ..)| key)
    }

    fn own(&self, name: &str) -> Option<(&str, Option<&str>, &SecretRef)> {
        let with_password = self.registries.iter().filter(|(_, access)| access.password.is_some());
        let (key, access) = keys::longest(with_password, keys::plain, name)?;
        Some((key, access.username.as_deref(), access.password.as_ref()?))
    }

    /// What an engine logs in with, if a credential helper makes it: that may expire within hours. What is stored is not
    /// returned.
    ///
    /// # Errors
    /// `SecretMissing` when the helper cannot be run.
    pub async fn made_login(&self, repository: &Repository) -> Result<Option<Credential>, Failure> {
        let name = repository.to_string();
        let Some(directory) = self.docker_config.as_ref().filter(|_| self.own(&name).is_none()) else {
            return Ok(None);
        };
        let path = directory.join("config.json");
        let config = docker_config::read(&path).await.map_err(|e| e.failure())?;
        let Some(config) = config.filter(|config| config.part(&name).is_none()) else {
            return Ok(None);
        };
        let Some((helper, key)) = config.helper(&repository.registry) else {
            return Ok(None);
        };
        self.query_helper(helper, key).await.map_err(|e| e.failure())
    }

    async fn in_docker(
        &self,
        config: &DockerConfig,
        path: &Path,
        name: &str,
    ) -> Result<Option<Found>, CredentialError> {
        let registry = name.split('/').next().unwrap_or_default();
        let read = |(key, entry): (&str, &Entry)| match entry.credential() {
            Some(credential) => Ok(Some(Found {
                credential,
                origin: Origin::Docker(key.to_owned()),
            })),
            None => Err(CredentialError::Entry {
                path: path.display().to_string(),
                registry: key.to_owned(),
            }),
        };
        if let Some(part) = config.part(name) {
            return read(part);
        }
        if let Some((helper, key)) = config.helper(registry)
            && let Some(credential) = self.query_helper(helper, key).await?
        {
            let origin = Origin::Helper(helper.to_owned());
            return Ok(Some(Found { credential, origin }));
        }
        match config.host(name) {
            // What a credential store leaves behind is no credential.
            Some((_, entry)) if entry.is_empty() => Ok(None),
            Some(host) => read(host),
            None => Ok(None),
        }
    }
}

/// An engine's failure; if a registry denied it something, with the credential that the engine was handed.
#[must_use]
pub fn denied_with(login: Option<&Found>, failure: Failure) -> Failure {
    let detail = match (failure.kind, login) {
        (FailureKind::RegistryDenied, Some(Found { origin, .. })) => format!("{} (with {origin})", failure.detail),
        _ => failure.detail,
    };
    Failure { detail, ..failure }
}

#[cfg(test)]
#[path = "credentials_tests.rs"]
mod tests;
