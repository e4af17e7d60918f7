//! `lowtide status`

use super::args::Global;
use super::exit::Exit;
use super::views;
use super::{live, open};
use crate::runtime::fleet_status::{self, FleetStatus, Stored};
use lowtide_core::fleet::app::Fleet;
use lowtide_core::report::{terminal, trouble};
use lowtide_model::name::AppName;
use std::collections::BTreeSet;
use std::mem::ManuallyDrop;

pub(super) async fn status(global: &Global, json: bool) -> anyhow::Result<Exit> {
    open::named_state(global)?;
    let (stored, fleet) = tokio::try_join!(stored(global), fleet(global))?;
    let Some(fleet) = fleet else {
        return Ok(Exit::Problems);
    };
    // Freeing what a thousand apps take would keep the caller waiting, and the process ends anyway.
    let fleet_status = ManuallyDrop::new(fleet_status(global, stored, &fleet));
    if json {
        live::print_line(&serde_json::to_string(&views::Status::from(&*fleet_status))?);
        return Ok(Exit::Done);
    }
    let rows: Vec<_> = fleet_status
        .apps
        .iter()
        .map(fleet_status::AppStatus::status_row)
        .collect();
    live::print(&terminal::status(
        &rows,
        fleet_status.now,
        &fleet.timezone,
        live::style(),
    ));
    for trouble in &fleet_status.troubles {
        live::print_line(&format!("Note: {}.", trouble::line(trouble, fleet_status.now)));
    }
    if fleet_status.paused {
        live::print_line("Rollouts and promotions are paused: `lowtide pause --all --off` resumes them.");
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

pub(super) async fn read(global: &Global, fleet: &Fleet) -> anyhow::Result<FleetStatus> {
    Ok(fleet_status(global, stored(global).await?, fleet))
}

/// Poll it before the configuration is read: that blocks the thread, and the store's own threads work meanwhile.
pub(super) async fn stored(global: &Global) -> anyhow::Result<Stored> {
    let store = open::reader(&global.state)?;
    Ok(Stored::read(store.as_ref()).await?)
}

pub(super) fn fleet_status(global: &Global, stored: Stored, fleet: &Fleet) -> FleetStatus {
    stored.fleet_status(fleet, fleet_status::paused(&global.state), fleet_status::now())
}

/// The zone in which times of these apps are shown: their own, where they share one, else the fleet's. Without a fleet
/// in force there are no times to show.
pub(super) async fn zone_of(global: &Global, apps: &[AppName]) -> String {
    let store = open::reader(&global.state).ok().flatten();
    let last = match store {
        Some(store) => store.last_revision().await.ok().flatten(),
        None => None,
    };
    let Some((_, fleet)) = last else {
        return "UTC".to_owned();
    };
    let zones: BTreeSet<&str> = apps
        .iter()
        .filter_map(|app| Some(fleet.apps.get(app)?.timezone.as_str()))
        .collect();
    match zones.iter().next() {
        Some(zone) if zones.len() == 1 => (*zone).to_owned(),
        Some(_) | None => fleet.timezone.clone(),
    }
}
