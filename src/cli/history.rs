//! `lowtide history`

use super::args::Global;
use super::exit::Exit;
use super::{live, open, operate, status, views};
use crate::runtime::fleet_status;
use lowtide_core::report::terminal;
use lowtide_core::report::words::no_such_app;

pub(super) async fn history(global: &Global, app: Option<&str>, limit: u32, json: bool) -> anyhow::Result<Exit> {
    open::named_state(global)?;
    let app = app.map(operate::name).transpose()?;
    let mut rows = Vec::new();
    if let Some(store) = open::reader(&global.state)? {
        for row in store.recent_runs(app.clone(), limit).await? {
            rows.extend(fleet_status::run_row(&row));
        }
    }
    if let Some(app) = app.filter(|_| rows.is_empty())
        && let Some(fleet) = status::fleet(global).await?
        && !fleet.apps.contains_key(&app)
    {
        eprintln!("{}", no_such_app(app.as_str(), fleet.apps.keys()));
        return Ok(Exit::Failed);
    }
    if json {
        live::print_line(&serde_json::to_string(&views::History::from(rows.as_slice()))?);
    } else {
        live::print(&terminal::history(&rows, fleet_status::now(), live::style()));
    }
    Ok(Exit::Done)
}
