//! `lowtide outdated`

use super::args::{Global, default_platform};
use super::exit::Exit;
use super::{diff, live, open, operate, screen, status, views};
use crate::runtime::archives::visit::Archives;
use crate::runtime::{fleet_status, outdated};
use anyhow::Context;
use lowtide_core::report::outdated as words;
use lowtide_core::report::words::no_such_app;
use lowtide_model::freshness::Outdated;
use lowtide_model::name::AppName;
use lowtide_model::release::Release;
use std::collections::BTreeMap;

/// What someone wants to know of.
#[derive(Debug, clap::Args)]
pub(super) struct OutdatedArgs {
    /// Images by name.
    #[arg(group = "what", value_name = "IMAGE")]
    images: Vec<String>,
    /// The last release of every app.
    #[arg(long, group = "what")]
    all: bool,
    /// The last release of this app.
    #[arg(long, value_name = "APP", group = "what")]
    app: Vec<String>,
    /// The images of all running containers of an engine, also of those that lowtide did not start. Changes nothing.
    #[arg(long, group = "what", conflicts_with_all = ["images", "all", "app"])]
    running: bool,
    /// With --running: the engine; without it, that of DOCKER_HOST or of this machine.
    #[arg(
        short = 'H',
        long = "host",
        value_name = "unix://…|ssh://…|tcp://…",
        requires = "running"
    )]
    host: Option<String>,
    /// Of an image for several platforms in a registry, this one.
    #[arg(long, value_name = "OS/ARCH", default_value_t = default_platform())]
    platform: String,
    /// As one JSON object, for programs.
    #[arg(long)]
    json: bool,
}

/// Images need no configuration; apps need the one in force.
pub(super) async fn outdated(global: &Global, args: &OutdatedArgs) -> anyhow::Result<Exit> {
    if args.running {
        return running(global, args).await;
    }
    let scratch = open::Scratch::new()?;
    let cache = open::cache(global).unwrap_or_else(|| scratch.path().to_owned());
    let now = fleet_status::now();
    let apps = if args.all || !args.app.is_empty() {
        match apps(global, args).await? {
            Some(apps) => apps,
            None => return Ok(Exit::Problems),
        }
    } else {
        Apps::default()
    };
    let archives = outdated::archives(apps.access, &cache)?;
    let mut found = Vec::new();
    if !args.images.is_empty() {
        let places = diff::places(global, &args.platform)?;
        let judging = outdated::images(&places, &archives, &args.images, now);
        let what = || words::looking(args.images.len());
        found.extend(screen::with_progress(what, judging).await);
    }
    found.extend(released(global, &archives, &apps.releases).await?);
    if args.json {
        live::print_line(&serde_json::to_string(&views::ShownOutdated::from(found.as_slice()))?);
    } else {
        live::print(&words::outdated(&found, live::style()));
    }
    Ok(exit(&found))
}

/// Needs no configuration. `host`: the engine's address.
async fn running(global: &Global, args: &OutdatedArgs) -> anyhow::Result<Exit> {
    let engine = match args.host.as_deref() {
        Some(host) => open::engine(host).context("-H")?,
        None => open::default_engine()?,
    };
    let scratch = open::Scratch::new()?;
    let cache = open::cache(global).unwrap_or_else(|| scratch.path().to_owned());
    let places = diff::places_of(global, &engine, &args.platform)?;
    let archives = outdated::archives(outdated::Access::default(), &cache)?;
    let judging = outdated::running(&places, &archives, fleet_status::now());
    let found = screen::with_progress(words::looking_at_containers, judging).await?;
    if args.json {
        live::print_line(&serde_json::to_string(&views::ShownRunning::from(&found))?);
    } else {
        live::print(&words::running(&found, live::style()));
    }
    Ok(exit(&found.images))
}

#[derive(Default)]
struct Apps {
    releases: BTreeMap<AppName, Option<Release>>,
    access: outdated::Access,
}

/// `None`: the configuration has problems, which were told.
async fn apps(global: &Global, args: &OutdatedArgs) -> anyhow::Result<Option<Apps>> {
    let Some(fleet) = status::fleet(global).await? else {
        return Ok(None);
    };
    let names: Vec<AppName> = args
        .app
        .iter()
        .map(|name| operate::name(name))
        .collect::<Result<_, _>>()?;
    if let Some(stranger) = names.iter().find(|name| !fleet.apps.contains_key(name)) {
        anyhow::bail!("{}", no_such_app(stranger.as_str(), fleet.apps.keys()));
    }
    let fleet_status = status::read(global, &fleet).await?;
    let wanted = |name: &AppName| args.all || names.contains(name);
    let releases = fleet_status.apps.iter().filter(|app| wanted(&app.app.name));
    Ok(Some(Apps {
        releases: releases
            .map(|app| (app.app.name.clone(), app.app_state.current().cloned()))
            .collect(),
        access: outdated::access(&fleet),
    }))
}

async fn released(
    global: &Global,
    archives: &Archives,
    releases: &BTreeMap<AppName, Option<Release>>,
) -> anyhow::Result<Vec<Outdated>> {
    if releases.is_empty() {
        return Ok(Vec::new());
    }
    let store = open::reader(&global.state)?;
    let judging = outdated::releases(store.as_ref(), archives, releases, fleet_status::now());
    Ok(screen::with_progress(|| words::looking(releases.len()), judging).await?)
}

fn exit(found: &[Outdated]) -> Exit {
    if found.iter().any(|image| !image.survey.pending.is_empty()) {
        return Exit::Pending;
    }
    let known = |image: &Outdated| image.survey.unknown.is_empty() && image.survey.unseen.is_none();
    if found.iter().all(known) {
        Exit::Done
    } else {
        Exit::Failed
    }
}
