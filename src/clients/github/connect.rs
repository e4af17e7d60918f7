//! One client per pass over the outbox, so that each pass reads the current token.

use super::error::{GithubError, classify};
use crate::clients::{secrets, tls};
use lowtide_model::secret::SecretRef;
use octocrab::service::middleware::retry::RetryConfig;
use octocrab::{FromResponse, Octocrab};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// What production gives GitHub for each answer.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(10);

/// Entries of one page; GitHub's largest.
pub(super) const PAGE: usize = 100;
/// Pages read of any list.
pub(super) const PAGES: usize = 10;

/// A GitHub and the token for its requests.
pub struct Github {
    api: String,
    timeout: Duration,
    client: Octocrab,
}

#[derive(Debug, Deserialize)]
struct Repository {
    full_name: String,
}

impl Github {
    /// Nothing is sent. `timeout` bounds each request; production uses [`RESPONSE_TIMEOUT`]. Must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// `Secret` when the token cannot be read; `Unusable` for an address or token that fits no request.
    pub fn new(token: &SecretRef, api: &str, timeout: Duration) -> Result<Self, GithubError> {
        tls::ready();
        let api = api.trim_end_matches('/').to_owned();
        if !encrypted_or_local(&api) {
            return Err(GithubError::Unusable {
                message: "the token would leave this machine in plain text; api must begin with https://",
            });
        }
        let token = secrets::read(token)?;
        // octocrab panics on a token that fits no header.
        if token.expose().is_empty() || !token.expose().bytes().all(|b| b.is_ascii_graphic()) {
            return Err(GithubError::Unusable {
                message: "the token is empty, or has characters that no request may carry",
            });
        }
        let builder = Octocrab::builder()
            .base_uri(api.as_str())
            .map_err(|_| GithubError::Unusable {
                message: "api is not an address",
            })?
            .personal_token(token.expose().to_owned())
            // The outbox tries again, at the time that GitHub names; repeated at once, a write could happen twice.
            .add_retry_config(RetryConfig::None)
            .set_connect_timeout(Some(CONNECT))
            .set_read_timeout(Some(timeout));
        let client = builder.build().map_err(|_| GithubError::Unusable {
            message: "no client can be made for it",
        })?;
        Ok(Self { api, timeout, client })
    }

    /// Does the token see this repository? Its name as GitHub has it now.
    ///
    /// # Errors
    /// All of [`GithubError`].
    pub async fn repository(&self, repo: &str) -> Result<String, GithubError> {
        let what = format!("read {repo}");
        let seen: Repository = self.get(&what, &format!("/repos/{repo}"), &[("", ""); 0]).await?;
        Ok(seen.full_name)
    }

    pub(super) async fn get<T, P>(&self, what: &str, path: &str, parameters: &P) -> Result<T, GithubError>
    where
        T: FromResponse,
        P: Serialize + ?Sized,
    {
        self.bounded(what, self.client.get(self.url(path), Some(parameters)))
            .await
    }

    pub(super) async fn post<T, B>(&self, what: &str, path: &str, body: &B) -> Result<T, GithubError>
    where
        T: FromResponse,
        B: Serialize + ?Sized,
    {
        self.bounded(what, self.client.post(self.url(path), Some(body))).await
    }

    pub(super) async fn patch<T, B>(&self, what: &str, path: &str, body: &B) -> Result<T, GithubError>
    where
        T: FromResponse,
        B: Serialize + ?Sized,
    {
        self.bounded(what, self.client.patch(self.url(path), Some(body))).await
    }

    /// All pages of a list.
    ///
    /// # Errors
    /// `TooMany` when it is longer than anything of ours fills.
    pub(super) async fn list<T>(
        &self,
        what: &str,
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
            let entries: Vec<T> = self.get(what, path, query.as_slice()).await?;
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
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.api)
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

fn encrypted_or_local(api: &str) -> bool {
    let Some(rest) = api.strip_prefix("http://") else {
        return api.starts_with("https://");
    };
    let host = rest.split('/').next().unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
