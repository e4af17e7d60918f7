//! `lowtide show`

use super::args::Global;
use super::exit::Exit;
use super::{live, open, views};
use crate::runtime::detail;
use crate::store::database::Store;
use anyhow::Context;
use lowtide_core::report::terminal;
use lowtide_model::journal::Stream;
use std::path::Path;

/// Matches that are named when the end of an id is not enough.
const NAMED: u32 = 5;

pub(super) async fn show(global: &Global, id: &str, json: bool) -> anyhow::Result<Exit> {
    let Some(store) = open::reader(&global.state)? else {
        eprintln!("there is no state in {}", global.state.display());
        return Ok(Exit::Failed);
    };
    let mut found = store.streams_ending(id, NAMED + 1).await?;
    let Some(row) = found.pop() else {
        eprintln!("no run or rollout ends in {id}");
        return Ok(Exit::Failed);
    };
    if !found.is_empty() {
        eprintln!("more than one run or rollout ends in {id}:");
        for row in std::iter::once(row).chain(found).take(NAMED as usize) {
            eprintln!("  {} ({})", row.stream, row.app);
        }
        return Ok(Exit::Failed);
    }
    let zone = match store.last_revision().await? {
        Some((_, fleet)) => fleet
            .apps
            .get(&row.app)
            .map_or_else(|| fleet.timezone.clone(), |app| app.timezone.clone()),
        None => "UTC".to_owned(),
    };
    live::print(&text(&store, &global.state, &row.stream, (&zone, json)).await?);
    Ok(Exit::Done)
}

async fn text(store: &Store, state: &Path, stream: &Stream, (zone, json): (&str, bool)) -> anyhow::Result<String> {
    match stream {
        Stream::Run(id) => {
            let mut view = detail::run(*id, &store.run_events(*id).await?).context("this run's journal is broken")?;
            view.files = detail::files(state, *id);
            if json {
                return Ok(serde_json::to_string(&views::ShownRun::from(view))? + "\n");
            }
            Ok(terminal::show_run(&view, zone, live::style()))
        }
        Stream::Rollout(id) => {
            let events = store.rollout_events(*id).await?;
            let view = detail::rollout(*id, &events).context("this rollout's journal is broken")?;
            if json {
                return Ok(serde_json::to_string(&views::ShownRollout::from(view))? + "\n");
            }
            Ok(terminal::show_rollout(&view, zone, live::style()))
        }
        Stream::App(_) => Ok(String::new()),
    }
}
