//! `lowtide registry-tags`

use super::args::Global;
use super::exit::Exit;
use super::views::VERSION;
use super::{live, open, operate};
use crate::runtime::bot::InForce;
use crate::runtime::{fleet_status, registry_tags};
use lowtide_core::report::registry_tags as report;
use lowtide_core::report::words::no_such_app;
use lowtide_model::name::AppName;
use lowtide_model::registry_tag::{Expiry, Held, Verdict};
use serde::Serialize;
use std::collections::BTreeMap;

/// `registry-tags --json`.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    version: u32,
    /// Whether the bot removes what expires.
    delete: bool,
    repositories: Vec<ShownRepository<'a>>,
    /// Apps of which nothing is removed now, and why: `halted`, `rollout`, `drifted`, `doubtful`.
    held: &'a BTreeMap<AppName, Held>,
}

#[derive(Debug, Serialize)]
struct ShownRepository<'a> {
    repository: String,
    pushed: usize,
    /// `null`: not known.
    expired: Option<Vec<ShownTag<'a>>>,
    /// Why it is not known.
    error: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct ShownTag<'a> {
    app: &'a AppName,
    tag: &'a str,
    digest: &'a str,
    verdict: &'a Verdict,
}

/// Asks the registries and changes nothing: removing is up to the bot, once a day.
pub(super) async fn registry_tags(global: &Global, app: Option<&str>, json: bool) -> anyhow::Result<Exit> {
    open::named_state(global)?;
    let app = app.map(operate::name).transpose()?;
    let Some(open::Loaded { fleet, revision }) = open::configuration(global).await? else {
        return Ok(Exit::Problems);
    };
    if let Some(app) = app.as_ref().filter(|app| !fleet.apps.contains_key(*app)) {
        anyhow::bail!("{}", no_such_app(app.as_str(), fleet.apps.keys()));
    }
    let (app_states, pushed) = match open::reader(&global.state)? {
        Some(store) => (fleet_status::app_states(&store).await?, store.pushed_tags().await?),
        None => Default::default(),
    };
    let policy = fleet.retention.registry;
    let in_force = InForce::new(revision, fleet, open::docker_config(), &global.state)?;
    let now = fleet_status::now();
    let mut found = registry_tags::survey(&in_force.registry, &in_force.fleet, &app_states, &pushed, now).await;
    let mut held = registry_tags::held(&in_force.fleet, &app_states);
    if let Some(app) = &app {
        let of_app = |expiry: &Expiry| {
            pushed
                .iter()
                .any(|tag| tag.app == *app && tag.repository == expiry.repository)
        };
        found.retain(of_app);
        for expired in found.iter_mut().filter_map(|expiry| expiry.expired.as_mut().ok()) {
            expired.retain(|(tag, _)| tag.app == *app);
        }
        held.retain(|name, _| name == app);
    }
    if json {
        let shown = Shown {
            version: VERSION,
            delete: policy.delete,
            repositories: found.iter().map(repository).collect(),
            held: &held,
        };
        live::print_line(&serde_json::to_string(&shown)?);
    } else {
        live::print(&report::registry_tags(&found, &held, &policy, live::style()));
    }
    let known = found.iter().all(|expiry| expiry.expired.is_ok());
    Ok(if known { Exit::Done } else { Exit::Failed })
}

fn repository(expiry: &Expiry) -> ShownRepository<'_> {
    let expired = expiry.expired.as_ref().ok();
    let tags = expired.map(|expired| {
        let tags = expired.iter().map(|(tag, verdict)| ShownTag {
            app: &tag.app,
            tag: &tag.tag,
            digest: tag.digest.as_str(),
            verdict,
        });
        tags.collect()
    });
    ShownRepository {
        repository: expiry.repository.to_string(),
        pushed: expiry.pushed,
        expired: tags,
        error: expiry.expired.as_ref().err().map(String::as_str),
    }
}
