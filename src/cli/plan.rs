//! `lowtide plan`

use super::args::Global;
use super::exit::Exit;
use super::{live, open, operate, status};
use crate::config::validate::Provenance;
use crate::model::name::AppName;
use crate::report::{json, plan as words};
use crate::runtime::planning;
use std::collections::BTreeMap;

/// The plan is made from the configuration as it stands now, so that a change can be looked at before it is in force.
pub(super) async fn plan(global: &Global, app: Option<&str>, as_json: bool) -> anyhow::Result<Exit> {
    let app = app.map(operate::name).transpose()?;
    let Some((fleet, provenance)) = open::configuration_with_provenance(global).await? else {
        return Ok(Exit::Problems);
    };
    // Families need everybody; only what is shown is narrowed.
    let mut reading = status::read(global, &fleet).await?;
    if let Some(app) = &app {
        if !fleet.apps.contains_key(app) {
            eprintln!("no such app: {app}");
            return Ok(Exit::Failed);
        }
        reading.apps.retain(|reading| reading.app.name == *app);
    }
    let usual = match open::reader(&global.state)? {
        Some(store) => planning::usual(&store, &reading).await?,
        None => BTreeMap::new(),
    };
    let rows = planning::rows(&reading, &usual);
    let settings = app.as_ref().map(|app| settings(&provenance, app));
    if as_json {
        let view = json::plan(&rows, reading.paused, reading.now, settings.as_deref());
        live::print_line(&serde_json::to_string(&view)?);
        return Ok(Exit::Done);
    }
    let style = live::style();
    live::print(&words::plan(&rows, reading.paused, reading.now, style));
    if let Some(settings) = settings {
        for row in &rows {
            live::print(&words::steps(row, reading.now, style));
        }
        live::print_line("\nsettings in force");
        live::print(&words::settings(&settings, style));
    }
    Ok(Exit::Done)
}

fn settings(provenance: &Provenance, app: &AppName) -> Vec<words::Setting> {
    let of = provenance.get(app).into_iter().flatten();
    of.map(|s| (s.key.clone(), s.value.clone(), s.origin.to_string()))
        .collect()
}
