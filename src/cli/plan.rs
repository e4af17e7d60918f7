//! `lowtide plan`

use super::args::Global;
use super::exit::Exit;
use super::{live, open, operate, status};
use crate::runtime::planning;
use lowtide_core::config::validate::Provenance;
use lowtide_core::fleet::app::Fleet;
use lowtide_core::report::words::no_such_app;
use lowtide_core::report::{json, plan as words};
use lowtide_model::name::AppName;
use std::collections::BTreeMap;
use std::mem::ManuallyDrop;

/// Plans from the named configuration in its current form, so that a change can be checked before it is in force; if
/// only a state directory is named, from the configuration that its bot has in force.
pub(super) async fn plan(global: &Global, app: Option<&str>, as_json: bool) -> anyhow::Result<Exit> {
    let app = app.map(operate::name).transpose()?;
    let (stored, planned) = tokio::try_join!(status::stored(global), planned(global, app.as_ref()))?;
    let Some((fleet, provenance)) = planned else {
        return Ok(Exit::Problems);
    };
    // Families need everybody; only what is shown is narrowed. Freeing what a thousand apps take would keep the caller waiting, and the
    // process ends anyway.
    let mut fleet_status = ManuallyDrop::new(status::fleet_status(global, stored, &fleet));
    if let Some(app) = &app {
        if !fleet.apps.contains_key(app) {
            eprintln!("{}", no_such_app(app.as_str(), fleet.apps.keys()));
            return Ok(Exit::Failed);
        }
        fleet_status.apps.retain(|fleet_status| fleet_status.app.name == *app);
    }
    let usual = match open::reader(&global.state)? {
        Some(store) => planning::usual(&store, &fleet_status).await?,
        None => BTreeMap::new(),
    };
    let rows = planning::rows(&fleet_status, &usual);
    let explained = app.as_ref().zip(provenance.as_ref());
    let settings = explained.map(|(app, provenance)| settings(provenance, app));
    if as_json {
        let view = json::plan(&rows, fleet_status.paused, fleet_status.now, settings.as_deref());
        live::print_line(&serde_json::to_string(&view)?);
        return Ok(Exit::Done);
    }
    let style = live::style();
    live::print(&words::plan(&rows, fleet_status.paused, fleet_status.now, style));
    if app.is_some() {
        for row in &rows {
            live::print(&words::steps(row, fleet_status.now, style));
        }
    }
    if let Some(settings) = settings {
        live::print_line("\neffective settings");
        live::print(&words::settings(&settings, style));
    }
    Ok(Exit::Done)
}

/// What the plan is made from. `None`: the configuration has problems, which were printed.
async fn planned(global: &Global, app: Option<&AppName>) -> anyhow::Result<Option<(Fleet, Option<Provenance>)>> {
    if let Some(fleet) = in_force(global).await? {
        return Ok(Some((fleet, None)));
    }
    // Only the configuration file shows where the settings of an app come from.
    if let Some(app) = app {
        let configured = open::configuration_with_provenance(global, app).await?;
        return Ok(configured.map(|(fleet, provenance)| (fleet, Some(provenance))));
    }
    Ok(open::fleet(global).await?.map(|fleet| (fleet, None)))
}

/// The fleet that the named state has in force. `None`: a configuration is named too, or no state is.
pub(super) async fn in_force(global: &Global) -> anyhow::Result<Option<Fleet>> {
    if global.said.config || !global.said.state {
        return Ok(None);
    }
    open::named_state(global)?;
    let last = match open::reader(&global.state)? {
        Some(store) => store.last_revision().await?,
        None => None,
    };
    Ok(last.map(|(_, fleet)| fleet))
}

fn settings(provenance: &Provenance, app: &AppName) -> Vec<words::Setting> {
    let of = provenance.get(app).into_iter().flatten();
    of.map(|s| (s.key.clone(), s.value.clone(), s.origin.to_string()))
        .collect()
}
