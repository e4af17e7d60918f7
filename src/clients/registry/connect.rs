//! Reaching registries: which scheme, which credential, and how long.

use super::error::RegistryError;
use super::login::{self, Action, Granted};
use super::quotas::{Account, Quotas};
use crate::clients::credentials::{Credential, Credentials, Found, Origin};
use crate::clients::tls;
use lowtide_model::image::{Reference, Repository, ServedDigest};
use lowtide_model::policy::RegistryAccess;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::token_cache::{RegistryToken, RegistryTokenType};
use oci_client::{Client, RegistryOperation};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long a registry may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    pub connect: Duration,
    /// One call that moves no blob, login included; also the longest silence inside a blob.
    pub response: Duration,
    /// One blob, from the first byte to the last.
    pub blob: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            response: Duration::from_secs(60),
            blob: Duration::from_mins(60),
        }
    }
}

/// All registries. Cheap to use often: connections are kept.
pub struct Registry {
    registries: BTreeMap<String, RegistryAccess>,
    credentials: Credentials,
    pub(super) timeouts: Timeouts,
    /// Created at first use, because the one for TLS reads the system's certificates.
    plain: OnceLock<Client>,
    tls: OnceLock<Client>,
    http: reqwest::Client,
    quotas: Arc<Quotas>,
}

/// The result of a login check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    Accepted,
    /// The registry lets everybody in.
    NotRequired,
    /// We have none, and the registry's token server gives tokens to anyone.
    Anonymous,
    /// A token that is sent as it is: only a request for a repository would tell.
    Untried,
}

/// A repository that has been logged in to.
pub(super) struct Session<'a> {
    pub(super) client: &'a Client,
    /// Host and port as the configuration names it.
    pub(super) registry: String,
    host: String,
    pub(super) path: String,
    limit: Duration,
    pub(super) http: &'a reqwest::Client,
    /// `https://host/v2/`
    pub(super) base: String,
    pub(super) granted: Granted,
    pub(super) account: Account,
    /// Where the credential was found.
    origin: Option<Origin>,
}

impl Registry {
    /// # Errors
    /// `Unreachable` when TLS cannot be set up.
    pub fn new(
        registries: BTreeMap<String, RegistryAccess>,
        credentials: Credentials,
        timeouts: Timeouts,
    ) -> Result<Self, RegistryError> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::client())
            .connect_timeout(timeouts.connect)
            .user_agent(USER_AGENT)
            .build()
            .map_err(|e| RegistryError::from_reqwest("(all)", "set up TLS", e))?;
        Ok(Self {
            plain: OnceLock::new(),
            tls: OnceLock::new(),
            http,
            registries,
            credentials,
            timeouts,
            quotas: Arc::default(),
        })
    }

    /// Shares what is known of the registries' limits with other clients.
    #[must_use]
    pub fn with_quotas(mut self, quotas: Arc<Quotas>) -> Self {
        self.quotas = quotas;
        self
    }

    /// Logs in with the credential for `name`, a repository or registry or something between them, changing nothing there.
    ///
    /// # Errors
    /// `Denied` for a wrong credential, `Unreachable`, `Credential`.
    pub async fn check_login(&self, name: &str) -> Result<Login, RegistryError> {
        let (credential, origin) = apart(self.credentials.lookup(name).await?);
        let registry = name.split('/').next().unwrap_or_default();
        let account = self.quotas.account(registry, credential.as_ref());
        let door = self.door(registry, None, &account);
        let granted = self.in_time(registry, door.login(credential.as_ref(), &[])).await;
        match granted.map_err(|e| e.sent_with(origin.as_ref()))? {
            Granted::Free => Ok(Login::NotRequired),
            Granted::Basic { username, password } => {
                let verified = self.in_time(registry, door.verify(&username, &password)).await;
                verified.map_err(|e| e.sent_with(origin.as_ref()))?;
                Ok(Login::Accepted)
            }
            Granted::Bearer(_) => Ok(match credential {
                None => Login::Anonymous,
                Some(Credential::RegistryToken(_)) => Login::Untried,
                Some(Credential::Basic { .. } | Credential::IdentityToken(_)) => Login::Accepted,
            }),
        }
    }

    /// Logs in for reading a repository, at the mirror of its registry if it has one.
    pub(super) async fn open(&self, repository: &Repository) -> Result<Session<'_>, RegistryError> {
        let at = self.read_at(repository);
        let found = self.credential(&at).await?;
        self.open_with(found, &at, Action::Pull, None).await
    }

    /// Where a repository is read. Registries with a mirror are never written to (the configuration refuses it), so what was written is read
    /// back where it was written.
    pub(super) fn read_at<'r>(&self, repository: &'r Repository) -> Cow<'r, Repository> {
        let access = self.registries.get(&repository.registry);
        let Some(mirror) = access.and_then(|access| access.mirror.as_deref()) else {
            return Cow::Borrowed(repository);
        };
        let (registry, path) = match mirror.split_once('/') {
            Some((registry, prefix)) => (registry, format!("{prefix}/{}", repository.path)),
            None => (mirror, repository.path.clone()),
        };
        Cow::Owned(Repository {
            registry: registry.to_owned(),
            path,
        })
    }

    pub(super) async fn credential(&self, repository: &Repository) -> Result<Option<Found>, RegistryError> {
        Ok(self.credentials.find(repository).await?)
    }

    /// Logs in for `action` on a repository, and for reading `source` as well (a mount needs both).
    pub(super) async fn open_with(
        &self,
        found: Option<Found>,
        repository: &Repository,
        action: Action,
        source: Option<&Repository>,
    ) -> Result<Session<'_>, RegistryError> {
        let mut scopes = vec![action.scope(&repository.path)];
        scopes.extend(source.map(|s| Action::Pull.scope(&s.path)));
        let (credential, origin) = apart(found);
        let account = self.quotas.account(&repository.registry, credential.as_ref());
        let door = self.door(&repository.registry, Some(repository), &account);
        let login = door.login(credential.as_ref(), &scopes);
        let granted = self.in_time(&repository.registry, login).await;
        let granted = granted.map_err(|e| e.sent_with(origin.as_ref()))?;
        let session = Session {
            client: self.client(&repository.registry)?,
            registry: repository.registry.clone(),
            host: api_host(&repository.registry).to_owned(),
            path: repository.path.clone(),
            limit: self.timeouts.response,
            http: &self.http,
            base: self.base(&repository.registry),
            granted,
            account,
            origin,
        };
        session.admit(action).await;
        Ok(session)
    }

    fn client(&self, registry: &str) -> Result<&Client, RegistryError> {
        let (cell, protocol) = if self.is_plain(registry) {
            (&self.plain, ClientProtocol::Http)
        } else {
            (&self.tls, ClientProtocol::Https)
        };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        tls::ready();
        let made = Client::try_from(ClientConfig {
            protocol,
            // A single PUT with the blob streamed through: chunks would be a request for each read.
            use_monolithic_push: true,
            connect_timeout: Some(self.timeouts.connect),
            user_agent: USER_AGENT,
            ..ClientConfig::default()
        });
        let made = made.map_err(|e| RegistryError::from_oci(registry, "set up TLS", e))?;
        Ok(cell.get_or_init(|| made))
    }

    async fn in_time<T>(
        &self,
        registry: &str,
        login: impl Future<Output = Result<T, RegistryError>>,
    ) -> Result<T, RegistryError> {
        let limit = self.timeouts.response;
        let done = tokio::time::timeout(limit, login).await;
        done.unwrap_or_else(|_| Err(timeout(registry, "the login", limit)))
    }

    fn door<'a>(
        &'a self,
        registry: &'a str,
        repository: Option<&'a Repository>,
        account: &'a Account,
    ) -> login::Door<'a> {
        login::Door {
            http: &self.http,
            registry,
            repository,
            base: self.base(registry),
            plain: self.is_plain(registry),
            account,
        }
    }

    fn base(&self, registry: &str) -> String {
        let scheme = if self.is_plain(registry) { "http" } else { "https" };
        format!("{scheme}://{}/v2/", api_host(registry))
    }

    fn is_plain(&self, registry: &str) -> bool {
        is_loopback(registry) || self.registries.get(registry).is_some_and(|access| access.plain_http)
    }
}

const USER_AGENT: &str = concat!("lowtide/", env!("CARGO_PKG_VERSION"));

impl Session<'_> {
    /// The client keeps one token per repository and operation; each session puts its own in place.
    async fn admit(&self, action: Action) {
        self.client
            .store_auth_if_needed(&self.host, &RegistryAuth::Anonymous)
            .await;
        let token = match &self.granted {
            Granted::Free => return,
            Granted::Basic { username, password } => {
                RegistryTokenType::Basic(username.clone(), password.expose().to_owned())
            }
            Granted::Bearer(token) => RegistryTokenType::Bearer(RegistryToken::Token {
                token: token.expose().to_owned(),
            }),
        };
        let any = self.tagged("latest");
        if action == Action::Push {
            self.client
                .tokens
                .insert(&any, RegistryOperation::Push, token.clone())
                .await;
        }
        self.client.tokens.insert(&any, RegistryOperation::Pull, token).await;
    }

    pub(super) fn tagged(&self, tag: &str) -> oci_client::Reference {
        oci_client::Reference::with_tag(self.host.clone(), self.path.clone(), tag.to_owned())
    }

    pub(super) fn pinned(&self, digest: &ServedDigest) -> oci_client::Reference {
        oci_client::Reference::with_digest(self.host.clone(), self.path.clone(), digest.to_string())
    }

    /// The digest counts when there is one; neither means `latest`, as for Docker.
    pub(super) fn named(&self, reference: &Reference) -> oci_client::Reference {
        match (&reference.digest, &reference.tag) {
            (Some(digest), _) => self.pinned(digest),
            (None, tag) => self.tagged(tag.as_deref().unwrap_or("latest")),
        }
    }

    /// The error, classified, of a call that was answered.
    pub(super) fn failed(&self, what: &str, error: OciDistributionError) -> RegistryError {
        let error = RegistryError::from_oci(&self.registry, what, error);
        if matches!(error, RegistryError::Refused { status: 429, .. }) {
            return self.account.refused();
        }
        error.sent_with(self.origin.as_ref())
    }

    /// One call within the response's limit, its error classified.
    pub(super) async fn call<T>(
        &self,
        what: &str,
        call: impl Future<Output = Result<T, OciDistributionError>>,
    ) -> Result<T, RegistryError> {
        self.call_within(self.limit, what, call).await
    }

    /// Something of several steps within the response's limit.
    pub(super) async fn within<T>(
        &self,
        what: &str,
        steps: impl Future<Output = Result<T, RegistryError>>,
    ) -> Result<T, RegistryError> {
        let done = tokio::time::timeout(self.limit, steps).await;
        done.unwrap_or_else(|_| Err(timeout(&self.registry, what, self.limit)))
    }

    pub(super) async fn call_within<T>(
        &self,
        limit: Duration,
        what: &str,
        call: impl Future<Output = Result<T, OciDistributionError>>,
    ) -> Result<T, RegistryError> {
        self.account.admit()?;
        match tokio::time::timeout(limit, call).await {
            Ok(done) => done.map_err(|e| self.failed(what, e)),
            Err(_) => Err(timeout(&self.registry, what, limit)),
        }
    }
}

fn apart(found: Option<Found>) -> (Option<Credential>, Option<Origin>) {
    found.map(|found| (found.credential, found.origin)).unzip()
}

fn timeout(registry: &str, what: &str, limit: Duration) -> RegistryError {
    RegistryError::Timeout {
        registry: registry.to_owned(),
        what: what.to_owned(),
        limit,
    }
}

/// Docker Hub's API does not live under the name its images carry.
fn api_host(registry: &str) -> &str {
    match registry {
        "docker.io" | "index.docker.io" => "registry-1.docker.io",
        other => other,
    }
}

/// Docker, too, speaks plain HTTP with these.
fn is_loopback(registry: &str) -> bool {
    let host = match registry.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => registry.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_spoken_to_in_the_clear() {
        for plain in [
            "localhost",
            "localhost:5000",
            "127.0.0.1:5000",
            "127.9.9.9",
            "[::1]:5000",
        ] {
            assert!(is_loopback(plain), "{plain}");
        }
        for tls in [
            "docker.io",
            "127.0.0.1.example.org",
            "localhost.example.org",
            "10.0.0.1:5000",
            "[::2]",
        ] {
            assert!(!is_loopback(tls), "{tls}");
        }
        assert_eq!(api_host("docker.io"), "registry-1.docker.io");
    }
}
