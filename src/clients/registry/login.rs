//! Logging in: the challenge of `/v2/`, and the token server it may name (distribution's token and OAuth2
//! specifications). Done here and not by oci-client, because that takes a token server's silence for anonymity, asks
//! for one repository at a time, knows no identity tokens, and would send a password to any realm.

use super::error::RegistryError;
use super::quotas::Account;
use crate::clients::credentials::Credential;
use lowtide_model::image::Repository;
use lowtide_model::secret::Secret;
use reqwest::header::WWW_AUTHENTICATE;
use reqwest::{Client, RequestBuilder, Response, Url};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A token is some kilobytes at most.
const RESPONSE_LIMIT: usize = 256 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Pull,
    Push,
    Delete,
}

impl Action {
    pub(super) fn scope(self, path: &str) -> String {
        match self {
            Action::Pull => format!("repository:{path}:pull"),
            Action::Push => format!("repository:{path}:pull,push"),
            Action::Delete => format!("repository:{path}:pull,delete"),
        }
    }
}

/// What to send with each request.
pub(super) enum Granted {
    Free,
    Basic { username: String, password: Secret },
    Bearer(Secret),
}

/// One registry's entrance.
pub(super) struct Door<'a> {
    pub(super) http: &'a Client,
    pub(super) registry: &'a str,
    /// What it is entered for, when that is one repository.
    pub(super) repository: Option<&'a Repository>,
    /// `https://host/v2/`
    pub(super) base: String,
    pub(super) plain: bool,
    pub(super) account: &'a Account,
}

const WHAT: &str = "the login";

impl Door<'_> {
    pub(super) async fn login(
        &self,
        credential: Option<&Credential>,
        scopes: &[String],
    ) -> Result<Granted, RegistryError> {
        if let Some(Credential::RegistryToken(token)) = credential {
            return Ok(Granted::Bearer(token.clone()));
        }
        let response = self.send(self.http.get(&self.base)).await?;
        let status = response.status().as_u16();
        let mut challenges = response.headers().get_all(WWW_AUTHENTICATE).iter();
        match status {
            200..300 => return Ok(Granted::Free),
            401 => {}
            _ => return Err(RegistryError::status(self.registry, WHAT, status, "")),
        }
        match (challenges.find_map(|c| challenge(c.to_str().ok()?)), credential) {
            (Some(Challenge::Bearer { realm, service }), _) => {
                self.token(self.realm(&realm)?, service, credential, scopes).await
            }
            (Some(Challenge::Basic), Some(Credential::Basic { username, password })) => Ok(Granted::Basic {
                username: username.clone(),
                password: password.clone(),
            }),
            (Some(Challenge::Basic), None) => Err(self.denied("access")),
            (Some(Challenge::Basic), Some(Credential::IdentityToken(_) | Credential::RegistryToken(_))) => {
                Err(self.denied("the login by token (it takes passwords)"))
            }
            (None, _) => Err(self.unreadable("it names no way to log in that is known")),
        }
    }

    /// Is the password right? Basic authentication has no other way to tell than to use it.
    pub(super) async fn verify(&self, username: &str, password: &Secret) -> Result<(), RegistryError> {
        let request = self.http.get(&self.base).basic_auth(username, Some(password.expose()));
        let response = self.send(request).await?;
        match response.status().as_u16() {
            200..300 => Ok(()),
            status => Err(RegistryError::status(self.registry, WHAT, status, "")),
        }
    }

    /// The token server must have an https address, unless the registry itself is plain http: a registry must not be
    /// able to make us send a password in the clear.
    fn realm(&self, realm: &str) -> Result<Url, RegistryError> {
        match Url::parse(realm) {
            Ok(url) if url.scheme() == "https" || (self.plain && url.scheme() == "http") => Ok(url),
            Ok(_) | Err(_) => Err(self.unreadable("its token server has no https address")),
        }
    }

    async fn token(
        &self,
        mut realm: Url,
        service: Option<String>,
        credential: Option<&Credential>,
        scopes: &[String],
    ) -> Result<Granted, RegistryError> {
        let mut query = Url::parse("http://form/").map_err(|_| self.unreadable("form"))?;
        query
            .query_pairs_mut()
            .extend_pairs(service.iter().map(|s| ("service", s)));
        let request = match credential {
            Some(Credential::IdentityToken(token)) => {
                query
                    .query_pairs_mut()
                    .append_pair("grant_type", "refresh_token")
                    .append_pair("client_id", "lowtide")
                    .append_pair("refresh_token", token.expose())
                    .append_pair("scope", &scopes.join(" "));
                let form = query.query().unwrap_or_default().to_owned();
                let kind = (reqwest::header::CONTENT_TYPE, "application/x-www-form-urlencoded");
                self.http.post(realm).header(kind.0, kind.1).body(form)
            }
            Some(Credential::Basic { .. } | Credential::RegistryToken(_)) | None => {
                query
                    .query_pairs_mut()
                    .extend_pairs(scopes.iter().map(|s| ("scope", s)));
                let pairs: Vec<(String, String)> = query.query_pairs().into_owned().collect();
                realm.query_pairs_mut().extend_pairs(pairs);
                let request = self.http.get(realm);
                match credential {
                    Some(Credential::Basic { username, password }) => {
                        request.basic_auth(username, Some(password.expose()))
                    }
                    Some(Credential::IdentityToken(_) | Credential::RegistryToken(_)) | None => request,
                }
            }
        };
        let response = self.send(request).await?;
        match response.status().as_u16() {
            200 => self.granted(response).await,
            // Token servers say 400 or 404 to a credential they do not know.
            400 | 401 | 403 | 404 => Err(self.denied(WHAT)),
            status => Err(RegistryError::status(self.registry, WHAT, status, "")),
        }
    }

    async fn granted(&self, mut response: Response) -> Result<Granted, RegistryError> {
        #[derive(Deserialize)]
        struct Token {
            token: Option<String>,
            access_token: Option<String>,
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.sent(e))? {
            body.extend_from_slice(&chunk);
            if body.len() > RESPONSE_LIMIT {
                return Err(self.unreadable("its token is too long"));
            }
        }
        let found = serde_json::from_slice::<Token>(&body)
            .ok()
            .and_then(|t| t.token.or(t.access_token));
        // It goes into a header.
        match found.filter(|t| !t.is_empty() && t.bytes().all(|b| b.is_ascii_graphic())) {
            Some(token) => Ok(Granted::Bearer(Secret::new(token))),
            None => Err(self.unreadable("there is no token in it")),
        }
    }

    /// To the registry or its token server: a limit of either is the registry's.
    async fn send(&self, request: RequestBuilder) -> Result<Response, RegistryError> {
        self.account.admit()?;
        let response = request.send().await.map_err(|e| self.sent(e))?;
        self.account.hear_refusal(&response)?;
        Ok(response)
    }

    fn sent(&self, error: reqwest::Error) -> RegistryError {
        RegistryError::from_reqwest(self.registry, WHAT, error)
    }
    fn denied(&self, what: &str) -> RegistryError {
        let what = match self.repository {
            Some(repository) => format!("{what} to {repository}"),
            None => what.to_owned(),
        };
        RegistryError::status(self.registry, &what, 401, "")
    }
    fn unreadable(&self, why: &str) -> RegistryError {
        RegistryError::Unreadable {
            registry: self.registry.to_owned(),
            what: WHAT.to_owned(),
            why: why.to_owned(),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String> },
}

/// One `WWW-Authenticate` value (RFC 9110 §11.6.1) with a single challenge in it, as registries send it.
fn challenge(value: &str) -> Option<Challenge> {
    let (scheme, mut rest) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let mut fields = BTreeMap::new();
    while let Some((key, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let (value, remaining) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_once(',').unwrap_or((after, "")),
        };
        fields.insert(key.trim().to_ascii_lowercase(), value.to_owned());
        rest = remaining.trim_start().trim_start_matches(',');
    }
    Some(Challenge::Bearer {
        realm: fields.remove("realm")?,
        service: fields.remove("service"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer {
                realm: realm.to_owned(),
                service: service.map(ToOwned::to_owned),
            })
        };
        for (value, read) in [
            ("Basic realm=\"x\"", Some(Challenge::Basic)),
            (
                "Bearer realm=\"https://a.example.org/token\",service=\"r\",scope=\"repository:a/b:pull,push\"",
                bearer("https://a.example.org/token", Some("r")),
            ),
            (
                "bearer scope=\"a,b\" , realm=https://a.example.org/t",
                bearer("https://a.example.org/t", None),
            ),
            ("Bearer service=\"r\"", None),
            ("Bearer realm=\"open", None),
            ("Negotiate", None),
            ("", None),
        ] {
            assert_eq!(challenge(value), read, "{value}");
        }
    }
}
