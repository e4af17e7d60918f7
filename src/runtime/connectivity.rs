//! Is everything there that the configuration names? Probes each outside system once, changing nothing.

use super::channels::courier;
use super::kinds::effects;
use crate::clients::credentials::Credentials;
use crate::clients::engine::connect::Engine;
use crate::clients::git::remote::Git;
use crate::clients::registry::connect::{Login, Registry, Timeouts};
use crate::clients::registry::error::RegistryError;
use crate::clients::secrets;
use lowtide_core::config::validate;
use lowtide_core::decide::follow::TAGS;
use lowtide_core::fleet::app::{App, Fleet};
use lowtide_core::fleet::tags::Tags;
use lowtide_core::kinds::list::TargetPolicy;
use lowtide_model::failure::Failure;
use lowtide_model::image::{Reference, Repository};
use lowtide_model::name::AppName;
use lowtide_model::policy::{FollowPolicy, Host, ImageOrigin, PublishPolicy};
use lowtide_model::secret::{Secret, SecretRef};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One check and its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// `engine build`, `registry ghcr.io`, `image db`, `git web`, `mail`, `target web/front`, `github example/web`.
    pub what: String,
    /// A few words, or why not.
    pub result: Result<String, String>,
}

/// A secret as it is now.
///
/// # Errors
/// `SecretMissing`, or as our machine fails.
pub fn secret(reference: &SecretRef) -> Result<Secret, Failure> {
    secrets::read(reference)
}

/// Secrets that cannot be read here, once each, and why.
#[must_use]
pub fn unreadable_secrets(fleet: &Fleet) -> Vec<(SecretRef, String)> {
    let mut unreadable: Vec<(SecretRef, String)> = Vec::new();
    for (_, secret) in validate::secrets(fleet) {
        if unreadable.iter().any(|(known, _)| *known == secret) {
            continue;
        }
        if let Err(failure) = secrets::read(&secret) {
            unreadable.push((secret, failure.detail));
        }
    }
    unreadable
}

/// Checks engines, registries, followed images, git remotes, targets of rollouts and the channels of `notify`, in this
/// order; `each` gets every result at once. `mail`: an address that gets a test mail.
pub async fn everything(
    fleet: &Fleet,
    docker_config: Option<PathBuf>,
    mirrors: PathBuf,
    mail: Option<&str>,
    mut each: impl FnMut(&Reached),
) -> Vec<Reached> {
    let mut all = Vec::new();
    let mut add = |what: String, result: Result<String, String>| {
        let reached = Reached { what, result };
        each(&reached);
        all.push(reached);
    };
    for (name, host) in &fleet.hosts {
        add(format!("engine {name}"), engine(host).await);
    }
    let credentials = || Credentials::new(fleet.registries.clone(), docker_config.clone());
    match Registry::new(fleet.registries.clone(), credentials(), Timeouts::default()) {
        Ok(registry) => {
            for (name, (entered_for, user)) in registries(fleet, &credentials()) {
                let login = registry.check_login(&entered_for).await;
                add(format!("registry {name}"), entered(login, user));
            }
            for (name, policy) in followed(fleet) {
                add(format!("image {name}"), newest(&registry, policy).await);
            }
        }
        Err(error) => add("registries".to_owned(), Err(chain(&error))),
    }
    let git = Git::new(mirrors);
    for app in fleet.apps.values() {
        let Some(source) = app.source() else { continue };
        let tip = git.probe(source).await;
        let short = |id: String| id.chars().take(12).collect();
        add(format!("git {}", app.name), said(tip.map(short)));
    }
    for app in fleet.apps.values() {
        for target in &app.rollout {
            add(
                format!("target {}/{}", app.name, target.settings.name),
                self::target(fleet, app, target).await,
            );
        }
    }
    if mail.is_some() && fleet.channels.email.is_none() {
        add("mail".to_owned(), Err("no notify.email is configured".to_owned()));
    }
    for Reached { what, result } in courier::check(fleet, mail).await {
        add(what, result);
    }
    all
}

async fn engine(host: &Host) -> Result<String, String> {
    let engine = said(Engine::connect(&host.address))?;
    let version = said(engine.version().await)?;
    Ok(format!(
        "{}, API {}, {}/{}",
        version.version, version.api, version.os, version.arch
    ))
}

/// Who sends requests to a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RegistryUser {
    Lowtide,
    /// Hosts pull from it, and lowtide's own requests go elsewhere.
    HostsOnly,
}

fn entered(login: Result<Login, RegistryError>, user: RegistryUser) -> Result<String, String> {
    match (login, user) {
        // It may have an address that only hosts reach.
        (Err(RegistryError::Unreachable { .. } | RegistryError::Timeout { .. }), RegistryUser::HostsOnly) => {
            Ok("does not answer lowtide; only hosts pull from it".to_owned())
        }
        (login, RegistryUser::Lowtide | RegistryUser::HostsOnly) => {
            said(login.map(|login| logged_in(login).to_owned()))
        }
    }
}

fn logged_in(login: Login) -> &'static str {
    match login {
        Login::Accepted => "logged in",
        Login::NotRequired => "answers, and needs no login",
        Login::Anonymous => "answers; no login is configured",
        Login::Untried => "answers; a token is configured, which only a request for a repository tries",
    }
}

/// Is what a rollout would move there? Only looked at.
async fn target(fleet: &Fleet, app: &App, target: &TargetPolicy) -> Result<String, String> {
    let connect = || {
        let host = fleet.hosts.get(&target.settings.host);
        said(Engine::connect(&host.ok_or("its host is not configured")?.address))
    };
    effects::check(&connect, app, target).await
}

/// Those with a credential of their own, those that hosts pull releases from, and those that releases go to; each with
/// the name its credential is looked up by.
fn followed(fleet: &Fleet) -> impl Iterator<Item = (&AppName, &FollowPolicy)> {
    fleet.apps.values().filter_map(|app| match &app.origin {
        ImageOrigin::Followed(policy) => Some((&app.name, policy)),
        ImageOrigin::Built { .. } => None,
    })
}

/// The newest tag of a followed image. Whether it has our platform, its run finds out.
async fn newest(registry: &Registry, policy: &FollowPolicy) -> Result<String, String> {
    let rule = said(Tags::parse(&policy.tags))?;
    if let Some(only) = rule.only() {
        let there = said(registry.digest(&Reference::tagged(&policy.image, only)).await)?;
        let there = there.ok_or_else(|| format!("{} has no tag {only}", policy.image))?;
        return Ok(format!("{only} is {}", there.short()));
    }
    let all = said(registry.tags(&policy.image, TAGS).await)?;
    let found = rule.newest(all.iter().map(String::as_str));
    let newest = found.first();
    let newest = newest.ok_or_else(|| format!("{} has no tag that `{}` matches", policy.image, policy.tags))?;
    Ok(format!(
        "{newest} is the newest of {} that `{}` matches",
        found.len(),
        policy.tags
    ))
}

fn registries(fleet: &Fleet, credentials: &Credentials) -> BTreeMap<String, (String, RegistryUser)> {
    let publishing = || fleet.apps.values().filter_map(|app| app.publish.as_ref());
    let named = |user: RegistryUser| {
        move |repository: &Repository| {
            let name = credentials.key(repository).unwrap_or(&repository.registry);
            (name.to_owned(), (repository.to_string(), user))
        }
    };
    let keys = fleet.registries.iter().map(|(key, access)| {
        let read_at = access.mirror.as_ref().unwrap_or(key);
        (key.clone(), (read_at.clone(), RegistryUser::Lowtide))
    });
    let pulled = publishing()
        .flat_map(PublishPolicy::names)
        .map(named(RegistryUser::HostsOnly));
    let pushed = publishing()
        .flat_map(PublishPolicy::pushed)
        .map(named(RegistryUser::Lowtide));
    // The last one of a name counts.
    keys.chain(pulled).chain(pushed).collect()
}

/// The answer; an error with its causes, on one line.
pub(super) fn said<T, E: std::error::Error>(result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| chain(&error))
}

/// An error with its causes, on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_registry_is_asked_by_whoever_uses_it() {
        let text = "version: 1
registries:
  ghcr.io: {}
  cache.example.org/acme: { username: puller, password: { env: CACHE } }
apps:
  web:
    source: { repo: 'https://git.example.org/web.git' }
    publish:
      image: ghcr.io/acme/web
      channels:
        - { name: staging, pull: cdn.example.org/web }
        - { name: production, image: registry.example.org/web, pull: cache.example.org/acme/web }
        - { name: elsewhere, image: registry.example.org/web, pull: ghcr.io/acme/web }
";
        let fleet = validate::fleet(text.as_bytes()).unwrap();
        let credentials = Credentials::new(fleet.registries.clone(), None);
        let rows: Vec<String> = registries(&fleet, &credentials)
            .into_iter()
            .map(|(name, (entered_for, user))| format!("{name}: {entered_for}, {user:?}"))
            .collect();
        insta::assert_snapshot!(rows.join("\n"), @"
        cache.example.org/acme: cache.example.org/acme/web, HostsOnly
        cdn.example.org: cdn.example.org/web, HostsOnly
        ghcr.io: ghcr.io/acme/web, Lowtide
        registry.example.org: registry.example.org/web, Lowtide
        ");
    }

    #[test]
    fn a_registry_that_only_hosts_reach_is_no_error() {
        let timeout = || {
            Err(RegistryError::Timeout {
                registry: "cache.example.org".to_owned(),
                what: "the login".to_owned(),
                limit: std::time::Duration::from_secs(60),
            })
        };
        let denied = Err(RegistryError::Denied {
            registry: "cache.example.org".to_owned(),
            what: "the login".to_owned(),
            credential: None,
        });
        let shown = [
            entered(timeout(), RegistryUser::HostsOnly),
            entered(timeout(), RegistryUser::Lowtide),
            entered(denied, RegistryUser::HostsOnly),
            entered(Ok(Login::Accepted), RegistryUser::HostsOnly),
        ];
        insta::assert_snapshot!(shown.map(|result| format!("{result:?}")).join("\n"), @r#"
        Ok("does not answer lowtide; only hosts pull from it")
        Err("the registry cache.example.org did not finish within 60s: the login")
        Err("the registry cache.example.org denies the login without a credential")
        Ok("logged in")
        "#);
    }
}
