//! One client per pass over the outbox, so that each pass reads the current token.

use super::error::{GithubError, classify};
use crate::clients::{secrets, tls};
use lowtide_model::github::{GithubApp, GithubLogin};
use octocrab::models::AppId;
use octocrab::service::middleware::retry::RetryConfig;
use octocrab::{DefaultOctocrabBuilderConfig, FromResponse, NoAuth, NoSvc, NotLayerReady, Octocrab, OctocrabBuilder};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;
use tokio::sync::Mutex;

/// What production gives GitHub for each answer.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(10);

/// Entries of one page; GitHub's largest.
pub(super) const PAGE: usize = 100;
/// Pages read of any list.
pub(super) const PAGES: usize = 10;

type Builder = OctocrabBuilder<NoSvc, DefaultOctocrabBuilderConfig, NoAuth, NotLayerReady>;

/// A GitHub, and as whom we are known to it.
pub struct Github {
    api: String,
    timeout: Duration,
    identity: Identity,
}

enum Identity {
    Token(Octocrab),
    App {
        /// Signs its requests with the App's key; GitHub takes them for the App's own affairs alone.
        app: Octocrab,
        /// By owner, lower case. A token lasts an hour, longer than a pass over the outbox.
        installations: Mutex<HashMap<String, Octocrab>>,
    },
}

/// An App where an account has installed it.
#[derive(Debug, Deserialize)]
pub struct Installation {
    id: u64,
    /// `checks` → `write`, …
    #[serde(default)]
    pub permissions: BTreeMap<String, String>,
    pub suspended_at: Option<String>,
}

#[derive(Deserialize)]
struct InstallationToken {
    token: String,
}

#[derive(Debug, Deserialize)]
struct Repository {
    full_name: String,
}

impl Github {
    /// Nothing is sent. `timeout` bounds each request; production uses [`RESPONSE_TIMEOUT`]. Must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// `Secret` when the token or key cannot be read; `Unusable` for an address, token or key that fits no request.
    pub fn new(login: &GithubLogin, api: &str, timeout: Duration) -> Result<Self, GithubError> {
        tls::ready();
        let api = api.trim_end_matches('/').to_owned();
        if !encrypted_or_local(&api) {
            return Err(GithubError::Unusable {
                message: "the token would leave this machine in plain text; api must begin with https://",
            });
        }
        let identity = match login {
            GithubLogin::Token(token) => Identity::Token(with_token(&api, timeout, secrets::read(token)?.expose())?),
            GithubLogin::App(app) => Identity::App {
                app: as_app(&api, timeout, app)?,
                installations: Mutex::default(),
            },
        };
        Ok(Self { api, timeout, identity })
    }

    /// The App's installation at a repository's owner; `None`: lowtide uses a token.
    ///
    /// # Errors
    /// All of [`GithubError`]; `NotFound` where the App is not installed.
    pub async fn installation(&self, repo: &str) -> Result<Option<Installation>, GithubError> {
        let Identity::App { app, .. } = &self.identity else {
            return Ok(None);
        };
        let what = format!("find where the App is installed for {repo}");
        // A relative path: octocrab signs nothing that goes to an absolute address of another host than api.github.com.
        let found = app.get(format!("/repos/{repo}/installation"), None::<&()>);
        self.bounded(&what, found).await.map(Some)
    }

    /// The client for one repository.
    async fn client(&self, repo: &str) -> Result<Octocrab, GithubError> {
        let (app, installations) = match &self.identity {
            Identity::Token(client) => return Ok(client.clone()),
            Identity::App { app, installations } => (app, installations),
        };
        let owner = repo.split('/').next().unwrap_or_default().to_ascii_lowercase();
        let mut installations = installations.lock().await;
        if let Some(client) = installations.get(&owner) {
            return Ok(client.clone());
        }
        let Some(Installation { id, .. }) = self.installation(repo).await? else {
            return Err(GithubError::NotFound {
                what: format!("find where the App is installed for {repo}"),
            });
        };
        let what = format!("get a token of the App for {owner}");
        let made = app.post(format!("/app/installations/{id}/access_tokens"), None::<&()>);
        let InstallationToken { token } = self.bounded(&what, made).await?;
        let client = with_token(&self.api, self.timeout, &token)?;
        installations.insert(owner, client.clone());
        Ok(client)
    }

    /// Does the token see this repository? Its name as GitHub has it now.
    ///
    /// # Errors
    /// All of [`GithubError`].
    pub async fn repository(&self, repo: &str) -> Result<String, GithubError> {
        let what = format!("read {repo}");
        let seen: Repository = self.get(&what, repo, "", &[("", ""); 0]).await?;
        Ok(seen.full_name)
    }

    /// `path` is below the repository's, as in all requests here.
    pub(super) async fn get<T, P>(&self, what: &str, repo: &str, path: &str, parameters: &P) -> Result<T, GithubError>
    where
        T: FromResponse,
        P: Serialize + ?Sized,
    {
        let client = self.client(repo).await?;
        self.bounded(what, client.get(self.url(repo, path), Some(parameters)))
            .await
    }

    pub(super) async fn post<T, B>(&self, what: &str, repo: &str, path: &str, body: &B) -> Result<T, GithubError>
    where
        T: FromResponse,
        B: Serialize + ?Sized,
    {
        let client = self.client(repo).await?;
        self.bounded(what, client.post(self.url(repo, path), Some(body))).await
    }

    pub(super) async fn patch<T, B>(&self, what: &str, repo: &str, path: &str, body: &B) -> Result<T, GithubError>
    where
        T: FromResponse,
        B: Serialize + ?Sized,
    {
        let client = self.client(repo).await?;
        self.bounded(what, client.patch(self.url(repo, path), Some(body))).await
    }

    /// All pages of a list.
    ///
    /// # Errors
    /// `TooMany` when it is longer than anything of ours fills.
    pub(super) async fn list<T>(
        &self,
        what: &str,
        repo: &str,
        path: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Vec<T>, GithubError>
    where
        Vec<T>: FromResponse,
    {
        let mut found = Vec::new();
        for page in 1..=PAGES {
            let (size, page) = (PAGE.to_string(), page.to_string());
            let mut query = parameters.to_vec();
            query.extend([("per_page", size.as_str()), ("page", page.as_str())]);
            let entries: Vec<T> = self.get(what, repo, path, query.as_slice()).await?;
            let last = entries.len() < PAGE;
            found.extend(entries);
            if last {
                return Ok(found);
            }
        }
        Err(GithubError::TooMany {
            what: what.to_owned(),
            limit: PAGE * PAGES,
        })
    }

    /// Absolute: octocrab leaves the base's path out when the request's path happens to begin with it.
    fn url(&self, repo: &str, path: &str) -> String {
        format!("{}/repos/{repo}{path}", self.api)
    }

    async fn bounded<T>(
        &self,
        what: &str,
        request: impl Future<Output = octocrab::Result<T>>,
    ) -> Result<T, GithubError> {
        match tokio::time::timeout(self.timeout, request).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(classify(&self.api, what, error)),
            Err(_) => Err(GithubError::Timeout {
                api: self.api.clone(),
                seconds: self.timeout.as_secs(),
            }),
        }
    }
}

impl fmt::Debug for Github {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Github").field("api", &self.api).finish_non_exhaustive()
    }
}

fn with_token(api: &str, timeout: Duration, token: &str) -> Result<Octocrab, GithubError> {
    // octocrab panics on a token that fits no header.
    if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(GithubError::Unusable {
            message: "the token is empty, or has characters that no request may carry",
        });
    }
    finished(builder(api, timeout)?.personal_token(token.to_owned()))
}

fn as_app(api: &str, timeout: Duration, app: &GithubApp) -> Result<Octocrab, GithubError> {
    let key = secrets::read(&app.key)?;
    let signing = builder(api, timeout)?.app_from_rsa_pem(AppId(app.id), key.expose());
    finished(signing.map_err(|_| GithubError::Unusable {
        message: "app.key is no RSA private key in PEM form",
    })?)
}

fn builder(api: &str, timeout: Duration) -> Result<Builder, GithubError> {
    let builder = Octocrab::builder().base_uri(api).map_err(|_| GithubError::Unusable {
        message: "api is not an address",
    })?;
    Ok(builder
        // The outbox tries again, at the time that GitHub names; repeated at once, a write could happen twice.
        .add_retry_config(RetryConfig::None)
        .set_connect_timeout(Some(CONNECT))
        .set_read_timeout(Some(timeout)))
}

fn finished(builder: Builder) -> Result<Octocrab, GithubError> {
    builder.build().map_err(|_| GithubError::Unusable {
        message: "no client can be made for it",
    })
}

fn encrypted_or_local(api: &str) -> bool {
    let Some(rest) = api.strip_prefix("http://") else {
        return api.starts_with("https://");
    };
    let host = rest.split('/').next().unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
