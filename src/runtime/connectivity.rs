//! Is everything there that the configuration names? Asks each outside system once, changing nothing.

use super::kinds::effects;
use crate::clients::clock;
use crate::clients::credentials::Credentials;
use crate::clients::engine::connect::Engine;
use crate::clients::git::remote::Git;
use crate::clients::github::{self, connect::Github};
use crate::clients::registry::connect::{Login, Registry, Timeouts};
use crate::clients::secrets;
use crate::clients::smtp::{ANSWER, Smtp};
use crate::config::validate;
use crate::fleet::app::{App, Fleet};
use crate::kinds::list::TargetPolicy;
use crate::model::notice::Mail;
use crate::model::policy::{EmailPolicy, GithubPolicy, Host};
use crate::model::secret::SecretRef;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// One question and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// `engine build`, `registry ghcr.io`, `git web`, `mail`, `target web/front`, `github example/web`.
    pub what: String,
    /// A few words, or why not.
    pub answer: Result<String, String>,
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

/// Checks engines, registries, git remotes, the mail server, targets of rollouts and GitHub's repositories, in this
/// order; `each` gets every result at once. `mail`: an address that gets a test mail.
pub async fn everything(
    fleet: &Fleet,
    docker_config: Option<PathBuf>,
    mirrors: PathBuf,
    mail: Option<&str>,
    mut each: impl FnMut(&Reached),
) -> Vec<Reached> {
    let mut all = Vec::new();
    let mut add = |what: String, answer: Result<String, String>| {
        let reached = Reached { what, answer };
        each(&reached);
        all.push(reached);
    };
    for (name, host) in &fleet.hosts {
        add(format!("engine {name}"), engine(host).await);
    }
    let credentials = Credentials::new(fleet.registries.clone(), docker_config);
    match Registry::new(fleet.registries.clone(), credentials, Timeouts::default()) {
        Ok(registry) => {
            for name in registries(fleet) {
                let answer = registry.check_login(&name).await;
                add(
                    format!("registry {name}"),
                    said(answer.map(|login| logged_in(login).to_owned())),
                );
            }
        }
        Err(error) => add("registries".to_owned(), Err(chain(&error))),
    }
    let git = Git::new(mirrors);
    for app in fleet.apps.values() {
        let tip = git.ask(&app.source).await;
        let short = |id: String| id.chars().take(12).collect();
        add(format!("git {}", app.name), said(tip.map(short)));
    }
    match &fleet.email {
        Some(policy) => add("mail".to_owned(), mail_server(policy, mail).await),
        None if mail.is_some() => add("mail".to_owned(), Err("no notify.email is configured".to_owned())),
        None => {}
    }
    for app in fleet.apps.values() {
        for target in &app.rollout {
            add(
                format!("target {}/{}", app.name, target.settings.name),
                self::target(fleet, app, target).await,
            );
        }
    }
    if let Some(policy) = &fleet.github {
        let repos: BTreeSet<&str> = fleet
            .apps
            .values()
            .filter_map(|app| app.github_repo.as_deref())
            .collect();
        for repo in repos {
            add(format!("github {repo}"), github(policy, repo).await);
        }
    }
    all
}

async fn github(policy: &GithubPolicy, repo: &str) -> Result<String, String> {
    let github = said(Github::new(policy, github::connect::ANSWER))?;
    let name = said(github.repository(repo).await)?;
    if name.eq_ignore_ascii_case(repo) {
        Ok("the token sees it".to_owned())
    } else {
        Err(format!("it is called {name} now; write that name"))
    }
}

async fn engine(host: &Host) -> Result<String, String> {
    let engine = said(Engine::connect(&host.address))?;
    let version = said(engine.version().await)?;
    Ok(format!(
        "{}, API {}, {}/{}",
        version.version, version.api, version.os, version.arch
    ))
}

fn logged_in(login: Login) -> &'static str {
    match login {
        Login::Accepted => "logged in",
        Login::NotAsked => "answers, and asks for no login",
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

/// Those with a credential of their own, and those that releases go to.
fn registries(fleet: &Fleet) -> BTreeSet<String> {
    let published = fleet
        .apps
        .values()
        .filter_map(|app| app.publish.as_ref())
        .flat_map(|p| {
            std::iter::once(&p.image.registry)
                .chain(p.channels.iter().map(|c| &c.image.registry))
                .cloned()
        });
    fleet.registries.keys().cloned().chain(published).collect()
}

async fn mail_server(policy: &EmailPolicy, to: Option<&str>) -> Result<String, String> {
    let smtp = said(Smtp::new(policy, ANSWER))?;
    let Some(to) = to else {
        return said(
            smtp.check()
                .await
                .map(|()| "the server accepts mail from us".to_owned()),
        );
    };
    let sent = said(smtp.send(&test_mail(policy), &[to.to_owned()]).await)?;
    match sent.refused.first() {
        None => Ok(format!("a test mail is on its way to {to}")),
        Some(refusal) => Err(refusal.message.clone()),
    }
}

fn test_mail(policy: &EmailPolicy) -> Mail {
    let domain = policy
        .from
        .rsplit('@')
        .next()
        .unwrap_or("localhost")
        .trim_end_matches('>');
    let now = clock::now();
    Mail {
        message_id: format!("<check-{}@{domain}>", now.as_millisecond()),
        in_reply_to: None,
        references: Vec::new(),
        list_id: format!("lowtide <check.{domain}>"),
        date: now,
        subject: "[lowtide] test mail".to_owned(),
        text: "lowtide check --connect --mail sent this. Mail works.\n".to_owned(),
        html: "<p>lowtide check --connect --mail sent this. Mail works.</p>".to_owned(),
    }
}

/// The answer; an error with its causes, on one line.
pub(super) fn said<T, E: std::error::Error>(answer: Result<T, E>) -> Result<T, String> {
    answer.map_err(|error| chain(&error))
}

/// An error with its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
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
