//! `lowtide status`

use super::args::Global;
use super::exit::Exit;
use super::views;
use super::{live, open};
use crate::model::fleet::Fleet;
use crate::report::terminal;
use crate::runtime::reading::{self, Reading};
use std::collections::BTreeMap;

pub(super) async fn status(global: &Global, json: bool) -> anyhow::Result<Exit> {
    let Some(fleet) = fleet(global).await? else {
        return Ok(Exit::Problems);
    };
    let reading = read(global, &fleet).await?;
    if json {
        live::print_line(&serde_json::to_string(&views::Status::from(&reading))?);
        return Ok(Exit::Done);
    }
    let rows: Vec<_> = reading.apps.iter().map(reading::AppReading::status_row).collect();
    live::print(&terminal::status(&rows, reading.now, &zone(&fleet), live::style()));
    if reading.paused {
        live::print_line("Rollouts and promotions are paused: `lowtide pause --all --off` lets them go on.");
    }
    Ok(Exit::Done)
}

/// The fleet in force: what a bot last took up, else what the configuration says now.
pub(super) async fn fleet(global: &Global) -> anyhow::Result<Option<Fleet>> {
    if let Some(store) = open::reader(&global.state)?
        && let Some((_, fleet)) = store.last_revision().await?
    {
        return Ok(Some(fleet));
    }
    Ok(open::configuration(global).await?.map(|loaded| loaded.fleet))
}

/// Without a state directory nothing has happened yet.
pub(super) async fn read(global: &Global, fleet: &Fleet) -> anyhow::Result<Reading> {
    let now = reading::now();
    let paused = reading::paused(&global.state);
    let Some(store) = open::reader(&global.state)? else {
        return Ok(reading::untouched(fleet, paused, now));
    };
    let standings = reading::standings(&store).await?;
    Ok(reading::read(&store, fleet, standings, paused, now).await?)
}

/// Times of the whole fleet are shown in the operators' zone, which is that of their digest.
pub(super) fn zone(fleet: &Fleet) -> String {
    let zones: BTreeMap<&str, usize> = fleet.apps.values().fold(BTreeMap::new(), |mut zones, app| {
        *zones.entry(app.timezone.as_str()).or_default() += 1;
        zones
    });
    match &fleet.email {
        Some(email) => email.timezone.clone(),
        None => zones.into_keys().next().unwrap_or("UTC").to_owned(),
    }
}
