//! Docker's config file: `docker login` reference, "Credential stores"; keys with paths as containers-auth.json(5) has
//! them.

use super::keys;
use super::{Credential, CredentialError};
use base64::Engine as _;
use lowtide_model::secret::Secret;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use tokio::io::AsyncReadExt;

/// Docker's config file is some kilobytes.
const CONFIG_LIMIT: u64 = 1 << 20;
/// The key of Docker Hub in config files and helpers, from the time of its first API.
const HUB_KEY: &str = "https://index.docker.io/v1/";

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct DockerConfig {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

impl DockerConfig {
    /// The helper to run for a registry, and the name it knows it by.
    pub(super) fn helper<'a>(&'a self, registry: &'a str) -> Option<(&'a str, &'a str)> {
        let key = if keys::is_hub(registry) { HUB_KEY } else { registry };
        let own = self.cred_helpers.get(registry).or_else(|| self.cred_helpers.get(key));
        let helper = own.or(self.creds_store.as_ref()).filter(|h| !h.is_empty())?;
        Some((helper, key))
    }

    /// The entry for part of a registry that `name` is in. Docker knows none; Podman writes them.
    pub(super) fn part(&self, name: &str) -> Option<(&str, &Entry)> {
        let parts = self.auths.iter().filter(|(key, _)| keys::docker(key).contains('/'));
        // Credential stores leave empty entries behind.
        keys::longest(parts.filter(|(_, entry)| !entry.is_empty()), keys::docker, name)
    }

    /// The entry for the registry that `name` is in.
    pub(super) fn host(&self, name: &str) -> Option<(&str, &Entry)> {
        let hosts = self.auths.iter().filter(|(key, _)| !keys::docker(key).contains('/'));
        keys::longest(hosts, keys::docker, name)
    }
}

impl Entry {
    pub(super) fn is_empty(&self) -> bool {
        let Entry {
            auth,
            username,
            password,
            identitytoken,
            registrytoken,
        } = self;
        [auth, username, password, identitytoken, registrytoken]
            .iter()
            .all(|text| text.is_empty())
    }

    /// `None`: it cannot be decoded.
    pub(super) fn credential(&self) -> Option<Credential> {
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
        Some(Credential::Basic {
            username: self.username.clone(),
            password: secret(&self.password),
        })
    }
}

pub(super) async fn read(path: &Path) -> Result<Option<DockerConfig>, CredentialError> {
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
