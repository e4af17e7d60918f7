//! Cleaning of our own leftovers: what a killed run left on its engine and in its directory.

use super::bot::Bot;
use lowtide_core::decide::run::RunState;
use lowtide_model::name::RunId;
use std::collections::BTreeMap;
use tracing::{info, warn};

/// Labels by which everything of one run is found again.
#[must_use]
pub fn run_labels(instance: &str, run: RunId) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("io.lowtide.instance".to_owned(), instance.to_owned()),
        ("io.lowtide.run".to_owned(), run.to_string()),
    ])
}

/// Removes what one run left behind. Trouble is logged and does not stop the run: it sweeps again at its next stage.
pub async fn run(bot: &Bot, state: &RunState) {
    let fleet = bot.in_force();
    let Ok(engine) = fleet.engine(state.app.host()) else {
        return;
    };
    let selector: Vec<(String, String)> = run_labels(&bot.instance, state.id).into_iter().collect();
    match engine.sweep(&selector).await {
        Ok(swept) if swept.containers + swept.networks + swept.volumes > 0 => info!(?swept, "swept"),
        Ok(_) => {}
        Err(error) => warn!(%error, "leftovers of an earlier attempt could not be removed yet"),
    }
    for tree in ["source", "stack"] {
        let tree = bot.run_directory(state.id).join(tree);
        if tree.exists()
            && let Err(error) = std::fs::remove_dir_all(&tree)
        {
            warn!(%error, "an old work tree could not be removed yet");
        }
    }
}
