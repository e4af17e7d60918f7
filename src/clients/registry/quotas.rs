//! The quotas of all registries, shared by the whole fleet and by each revision of its configuration. In memory only:
//! after a start, the first request finds out again.

use super::error::RegistryError;
use super::quota::{Answer, Change, Quota};
use crate::clients::clock;
use crate::clients::credentials::Credential;
use jiff::Timestamp;
use reqwest::{Response, StatusCode};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tracing::warn;

/// See the module.
#[derive(Debug, Default)]
pub struct Quotas {
    accounts: Mutex<BTreeMap<(String, Who), Quota>>,
}

/// By whom a registry counts. A new password is the same user.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Anonymous,
    User(String),
    /// The hash of a token.
    Token([u8; 32]),
}

/// A registry's quota as the metrics show it: of several accounts there, the worst.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RegistryQuota {
    /// It takes no requests of an account now.
    pub held: bool,
    /// By its last answers; `None`: it does not say.
    pub remaining: Option<u64>,
}

/// Who asks which registry.
pub(super) struct Account {
    quotas: Arc<Quotas>,
    /// As the configuration names it.
    registry: String,
    key: (String, Who),
}

impl Quotas {
    /// By registry. Only those that have limited us, or said how much remains.
    #[must_use]
    pub fn all(&self, now: Timestamp) -> BTreeMap<String, RegistryQuota> {
        let mut all: BTreeMap<String, RegistryQuota> = BTreeMap::new();
        for ((registry, _), quota) in self.lock().iter().filter(|(_, quota)| !quota.is_blank(now)) {
            let shown = all.entry(registry.clone()).or_default();
            shown.held |= quota.held(now).is_some();
            let remaining = quota.remaining(now).map(|remaining| remaining.requests);
            shown.remaining = shown.remaining.into_iter().chain(remaining).min();
        }
        all
    }

    pub(super) fn account(self: &Arc<Self>, registry: &str, credential: Option<&Credential>) -> Account {
        let who = match credential {
            None => Who::Anonymous,
            Some(Credential::Basic { username, .. }) => Who::User(username.clone()),
            Some(Credential::IdentityToken(token) | Credential::RegistryToken(token)) => {
                Who::Token(Sha256::digest(token.expose()).into())
            }
        };
        let host = match registry {
            "index.docker.io" | "registry-1.docker.io" => "docker.io",
            other => other,
        };
        Account {
            quotas: Arc::clone(self),
            registry: registry.to_owned(),
            key: (host.to_owned(), who),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, Who), Quota>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    /// May a request be sent?
    ///
    /// # Errors
    /// `Busy`.
    pub(super) fn admit(&self) -> Result<(), RegistryError> {
        let held = self.quotas.lock().get(&self.key).and_then(|q| q.held(clock::now()));
        held.map_or(Ok(()), |until| Err(self.busy(until)))
    }

    /// Takes note of what an answer says.
    ///
    /// # Errors
    /// `Busy` for a 429.
    pub(super) fn hear(&self, response: &Response) -> Result<(), RegistryError> {
        let now = clock::now();
        self.note(&Answer::read(response.status(), response.headers(), now), now)
    }

    /// As [`Self::hear`], and takes note of nothing else: a registry that refuses manifests still answers a login.
    ///
    /// # Errors
    /// `Busy` for a 429.
    pub(super) fn hear_refusal(&self, response: &Response) -> Result<(), RegistryError> {
        match response.status() {
            StatusCode::TOO_MANY_REQUESTS => self.hear(response),
            _ => Ok(()),
        }
    }

    /// Takes note of a 429 of which only the status is known.
    pub(super) fn refused(&self) -> RegistryError {
        let now = clock::now();
        match self.note(&Answer::refusal(), now) {
            Err(busy) => busy,
            Ok(()) => self.busy(now),
        }
    }

    fn note(&self, answer: &Answer, now: Timestamp) -> Result<(), RegistryError> {
        let mut accounts = self.quotas.lock();
        if answer.is_silent() && !accounts.contains_key(&self.key) {
            return Ok(());
        }
        if !accounts.contains_key(&self.key) {
            // A token lives a few hours, and is never seen again.
            accounts.retain(|_, quota| !quota.is_blank(now));
        }
        let quota = accounts.entry(self.key.clone()).or_default();
        let change = quota.hear(answer, now);
        let held = quota.held(now).unwrap_or(now);
        drop(accounts);
        let registry = &self.registry;
        match change {
            Some(Change::Held(until)) => {
                warn!(registry, %until, "the registry's request limit is reached; it gets no requests until then");
            }
            Some(Change::Few(few)) => {
                let (remaining, limit) = (few.requests, few.limit);
                warn!(registry, remaining, limit, "the registry will soon refuse requests");
            }
            None => {}
        }
        if answer.is_refusal() {
            return Err(self.busy(held));
        }
        Ok(())
    }

    fn busy(&self, until: Timestamp) -> RegistryError {
        RegistryError::Busy {
            registry: self.registry.clone(),
            until,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowtide_model::secret::Secret;

    fn basic(username: &str, password: &str) -> Credential {
        Credential::Basic {
            username: username.to_owned(),
            password: Secret::new(password.to_owned()),
        }
    }

    #[test]
    fn only_the_same_account_of_the_same_registry_is_held() {
        let quotas = Arc::new(Quotas::default());
        let token = |text: &str| Credential::IdentityToken(Secret::new(text.to_owned()));
        let _ = quotas.account("docker.io", Some(&basic("hub", "old"))).refused();
        let _ = quotas.account("r.example.org", Some(&token("a"))).refused();
        for (registry, credential, held) in [
            ("docker.io", Some(basic("hub", "old")), true),
            ("docker.io", Some(basic("hub", "new")), true),
            ("index.docker.io", Some(basic("hub", "old")), true),
            ("docker.io", Some(basic("other", "old")), false),
            ("docker.io", None, false),
            ("ghcr.io", Some(basic("hub", "old")), false),
            ("r.example.org", Some(token("a")), true),
            ("r.example.org", Some(token("b")), false),
            ("r.example.org:5000", Some(token("a")), false),
        ] {
            let admitted = quotas.account(registry, credential.as_ref()).admit();
            assert_eq!(admitted.is_err(), held, "{registry} {credential:?}");
        }
        let all = quotas.all(clock::now());
        assert_eq!(all.keys().collect::<Vec<_>>(), ["docker.io", "r.example.org"]);
        assert!(all.values().all(|quota| quota.held && quota.remaining.is_none()));
    }
}
