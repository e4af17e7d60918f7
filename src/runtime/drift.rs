//! Checks whether targets still run what their last rollout left there. Changes nothing: drift is journalled and shown,
//! and fixed when an operator asks for it.

use super::bot::{Bot, InForce};
use super::kinds::effects;
use crate::runtime::kinds::containers::sight::Listing;
use crate::store::error::StoreError;
use crate::store::journal::Batch;
use futures_util::future::join_all;
use lowtide_core::decide::drift;
use lowtide_core::fleet::app::App;
use lowtide_core::kinds::list::TargetPolicy;
use lowtide_model::drift::Drift;
use lowtide_model::name::{AppName, HostName, TargetName};
use lowtide_model::policy::Mode;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;
use tracing::{debug, info, warn};

/// A drift is shown after two looks.
const EVERY: Duration = Duration::from_secs(120);
/// For one host's answers.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the last look found of each target that it could see.
pub type Looked = BTreeMap<(AppName, TargetName), Option<Drift>>;

/// Looks again and again, for ever.
///
/// # Errors
/// When the journal cannot be written.
pub async fn run(bot: &Bot) -> Result<Infallible, StoreError> {
    let mut before = Looked::new();
    loop {
        before = look(bot, &before).await?;
        tokio::time::sleep(EVERY).await;
    }
}

/// Checks all targets, the hosts side by side; journals a finding once the previous check had it as well.
///
/// # Errors
/// When the journal cannot be written.
pub async fn look(bot: &Bot, before: &Looked) -> Result<Looked, StoreError> {
    let fleet = bot.in_force();
    let mut hosts: BTreeMap<&HostName, Vec<(&App, &TargetPolicy)>> = BTreeMap::new();
    for app in fleet.fleet.apps.values().filter(|app| app.mode == Mode::Active) {
        let app_state = bot.app_state(&app.name);
        for target in &app.rollout {
            let state = app_state.targets.get(&target.settings.name);
            if state.is_some_and(|state| state.placed.is_some() && state.open.is_none()) {
                hosts.entry(&target.settings.host).or_default().push((app, target));
            }
        }
    }
    let looks = hosts.iter().map(|(host, targets)| look_at(bot, &fleet, host, targets));
    let found: Looked = join_all(looks).await.into_iter().flatten().collect();
    for ((app, target), now) in &found {
        // Read again: a rollout may have been opened, or have ended, while the engine answered.
        let app_state = bot.app_state(app);
        let Some(state) = app_state.targets.get(target) else {
            continue;
        };
        if let Some(fact) = drift::learnt(target, state, before.get(&(app.clone(), target.clone())), now) {
            match now {
                Some(drift) => warn!(%app, %target, ?drift, "the target no longer runs its release"),
                None => info!(%app, %target, "the target runs its release again"),
            }
            bot.commit(Batch::new(), app, &[fact], &[]).await?;
        }
    }
    Ok(found)
}

/// What one host's targets run; those that cannot be seen are left out.
async fn look_at(bot: &Bot, fleet: &InForce, host: &HostName, targets: &[(&App, &TargetPolicy)]) -> Looked {
    let look = async {
        let mut found = Looked::new();
        let engine = fleet.engine(host).map_err(|failure| failure.detail)?;
        let listing = Listing::fetch(engine).await.map_err(|e| e.to_string())?;
        for (app, target) in targets {
            let sighted = match effects::sight(engine, &listing, app, target).await {
                Ok(sighted) => sighted,
                // The others of this host are seen all the same.
                Err(error) => {
                    debug!(app = %app.name, target = %target.settings.name, error, "what the target runs cannot be looked at");
                    continue;
                }
            };
            let app_state = bot.app_state(&app.name);
            let placed = app_state
                .targets
                .get(&target.settings.name)
                .and_then(|s| s.placed.as_ref());
            if let (Some((_, placed)), Some(sighted)) = (placed, sighted) {
                let drift = drift::compare(placed, target.kind.name(), &sighted);
                found.insert((app.name.clone(), target.settings.name.clone()), drift);
            }
        }
        Ok::<_, String>(found)
    };
    match tokio::time::timeout(PATIENCE, look).await {
        Ok(Ok(found)) => found,
        // A problem of the engine is reported elsewhere, and says nothing about its containers.
        Ok(Err(error)) => {
            debug!(%host, error, "its containers cannot be looked at");
            Looked::new()
        }
        Err(_) => Looked::new(),
    }
}
