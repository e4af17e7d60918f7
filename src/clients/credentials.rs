//! Registry credentials: our configuration, Docker's config file, credential helpers. Looked up for each use, so a
//! rotated secret needs no restart. Docker's own rules: `docker login` reference, "Credential stores", and the helper
//! protocol of docker-credential-helpers.

use super::secrets;
use base64::Engine as _;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::local;
use lowtide_model::policy::RegistryAccess;
use lowtide_model::secret::Secret;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What a registry requires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    Anonymous,
    Basic {
        username: String,
        password: Secret,
    },
    /// An OAuth2 refresh token, exchanged at the registry's token server.
    IdentityToken(Secret),
    /// A bearer token, sent as it is.
    RegistryToken(Secret),
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

/// Docker's config file is some kilobytes; a helper's output holds at most a long token.
const CONFIG_LIMIT: u64 = 1 << 20;
const OUTPUT_LIMIT: u64 = 64 << 10;
/// The key of Docker Hub in config files and helpers, from the time of its first API.
const HUB_KEY: &str = "https://index.docker.io/v1/";

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

    /// User and password for an engine's own pulls and pushes; `None`: the registry is used anonymously.
    ///
    /// # Errors
    /// `SecretMissing` when the credential cannot be had, or is a token, which engines are not handed.
    pub async fn login(&self, registry: &str) -> Result<Option<(String, Secret)>, Failure> {
        match self.lookup(registry).await.map_err(|e| e.failure())? {
            Credential::Anonymous => Ok(None),
            Credential::Basic { username, password } => Ok(Some((username, password))),
            Credential::IdentityToken(_) | Credential::RegistryToken(_) => Err(Failure::new(
                FailureKind::SecretMissing,
                format!("the credential of {registry} is a token; an engine needs user and password"),
            )),
        }
    }

    /// The credential for a registry host: our own configuration, then Docker's helper for the host, its store, and
    /// the entries of its file.
    ///
    /// # Errors
    /// When a place that should have it cannot be read. No entry anywhere is `Anonymous`.
    pub async fn lookup(&self, registry: &str) -> Result<Credential, CredentialError> {
        if let Some(RegistryAccess {
            username,
            password: Some(password),
            ..
        }) = self.registries.get(registry)
        {
            return Ok(Credential::Basic {
                username: username.clone().unwrap_or_default(),
                password: secrets::read(password).map_err(CredentialError::Secret)?,
            });
        }
        let Some(directory) = &self.docker_config else {
            return Ok(Credential::Anonymous);
        };
        let path = directory.join("config.json");
        let Some(config) = read(&path).await? else {
            return Ok(Credential::Anonymous);
        };
        self.in_docker(&config, &path, registry).await
    }

    /// User and password for an engine, if a credential helper makes them: those may expire within hours. Stored
    /// passwords are not returned.
    ///
    /// # Errors
    /// `SecretMissing` when the helper cannot be run.
    pub async fn made_login(&self, registry: &str) -> Result<Option<(String, Secret)>, Failure> {
        let ours = self
            .registries
            .get(registry)
            .is_some_and(|access| access.password.is_some());
        let Some(directory) = self.docker_config.as_ref().filter(|_| !ours) else {
            return Ok(None);
        };
        let config = read(&directory.join("config.json")).await.map_err(|e| e.failure())?;
        let Some((helper, key)) = config.as_ref().and_then(|config| config.helper(registry)) else {
            return Ok(None);
        };
        match self.query_helper(helper, key).await.map_err(|e| e.failure())? {
            Some(Credential::Basic { username, password }) => Ok(Some((username, password))),
            Some(Credential::Anonymous | Credential::IdentityToken(_) | Credential::RegistryToken(_)) | None => {
                Ok(None)
            }
        }
    }

    async fn in_docker(
        &self,
        config: &DockerConfig,
        path: &Path,
        registry: &str,
    ) -> Result<Credential, CredentialError> {
        if let Some((helper, key)) = config.helper(registry)
            && let Some(found) = self.query_helper(helper, key).await?
        {
            return Ok(found);
        }
        let entry = config.auths.iter().find(|(name, _)| same_host(name, registry));
        match entry {
            Some((_, entry)) => entry.credential().ok_or_else(|| CredentialError::Entry {
                path: path.display().to_string(),
                registry: registry.to_owned(),
            }),
            None => Ok(Credential::Anonymous),
        }
    }

    /// `None`: the helper knows no credential for it.
    async fn query_helper(&self, helper: &str, key: &str) -> Result<Option<Credential>, CredentialError> {
        let program = format!("docker-credential-{helper}");
        let failed = |problem| CredentialError::Helper {
            helper: program.clone(),
            problem,
        };
        if !helper.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
            return Err(failed(HelperProblem::Name));
        }
        match tokio::time::timeout(self.helper_limit, self.run(&program, key)).await {
            Err(_) => Err(failed(HelperProblem::Timeout(self.helper_limit))),
            Ok(Err(e)) => Err(failed(HelperProblem::Start(e))),
            Ok(Ok((status, output))) if status.success() => parse_output(&output)
                .map(Some)
                .ok_or_else(|| failed(HelperProblem::Malformed)),
            // The protocol's only way to say "not found" is this text (docker-credential-helpers, `errCredentialsNotFound`).
            Ok(Ok((_, output))) if output.starts_with(b"credentials not found") => Ok(None),
            Ok(Ok((status, _))) => Err(failed(HelperProblem::Exit(status))),
        }
    }

    async fn run(&self, program: &str, key: &str) -> std::io::Result<(std::process::ExitStatus, Vec<u8>)> {
        let mut command = tokio::process::Command::new(program);
        if let Some(path) = &self.helper_path {
            command.env("PATH", path);
        }
        let mut child = command
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A helper that responds without reading closes its end; its output counts.
            let _ = stdin.write_all(key.as_bytes()).await;
        }
        let mut output = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            stdout.take(OUTPUT_LIMIT).read_to_end(&mut output).await?;
        }
        Ok((child.wait().await?, output))
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct DockerConfig {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

impl DockerConfig {
    /// The helper to run for a registry, and the name it knows it by.
    fn helper<'a>(&'a self, registry: &'a str) -> Option<(&'a str, &'a str)> {
        let key = if is_hub(registry) { HUB_KEY } else { registry };
        let own = self.cred_helpers.get(registry).or_else(|| self.cred_helpers.get(key));
        let helper = own.or(self.creds_store.as_ref()).filter(|h| !h.is_empty())?;
        Some((helper, key))
    }
}

impl Entry {
    /// `None`: it cannot be decoded. An empty entry (left by a credential store) is anonymous.
    fn credential(&self) -> Option<Credential> {
        let secret = |text: &str| Secret::new(text.to_owned());
        if !self.identitytoken.is_empty() {
            return Some(Credential::IdentityToken(secret(&self.identitytoken)));
        }
        if !self.registrytoken.is_empty() {
            return Some(Credential::RegistryToken(secret(&self.registrytoken)));
        }
        if !self.auth.is_empty() {
            let bytes = base64::engine::general_purpose::STANDARD
                .decode(self.auth.trim())
                .ok()?;
            let text = String::from_utf8(bytes).ok()?;
            let (username, password) = text.split_once(':')?;
            return Some(Credential::Basic {
                username: username.to_owned(),
                password: secret(password.trim_end_matches('\0')),
            });
        }
        if self.username.is_empty() {
            return Some(Credential::Anonymous);
        }
        Some(Credential::Basic {
            username: self.username.clone(),
            password: secret(&self.password),
        })
    }
}

async fn read(path: &Path) -> Result<Option<DockerConfig>, CredentialError> {
    let shown = || path.display().to_string();
    let unreadable = |source| CredentialError::Unreadable { path: shown(), source };
    let file = match tokio::fs::File::open(path).await {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(unreadable(e)),
    };
    let mut bytes = Vec::new();
    file.take(CONFIG_LIMIT)
        .read_to_end(&mut bytes)
        .await
        .map_err(unreadable)?;
    // serde_json's own text may quote a value, and values here are secrets.
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|e| CredentialError::Invalid {
            path: shown(),
            line: e.line(),
            column: e.column(),
        })
}

fn parse_output(output: &[u8]) -> Option<Credential> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct HelperOutput {
        username: String,
        secret: String,
    }
    let HelperOutput { username, secret } = serde_json::from_slice(output).ok()?;
    let secret = Secret::new(secret);
    Some(match username.as_str() {
        "<token>" => Credential::IdentityToken(secret),
        _ => Credential::Basic {
            username,
            password: secret,
        },
    })
}

fn is_hub(registry: &str) -> bool {
    ["docker.io", "index.docker.io", "registry-1.docker.io"].contains(&registry)
}

/// Old clients wrote keys as addresses, `https://host/v1/`.
fn same_host(key: &str, registry: &str) -> bool {
    let key = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key);
    let host = key.split('/').next().unwrap_or_default();
    host == registry || (is_hub(host) && is_hub(registry))
}

#[cfg(test)]
#[path = "credentials_tests.rs"]
mod tests;
