//! Opening what commands need: the configuration, the store, a bot.

use super::args::Global;
use crate::config::{diagnostic, validate};
use crate::model::fleet::Fleet;
use crate::runtime::bot::{Bot, InForce};
use crate::runtime::{config_watch, surroundings};
use crate::store::database::Store;
use crate::store::lock::{self, StateLock};
use crate::store::sealed::Sealed;
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A valid configuration and its revision.
pub(super) struct Loaded {
    pub(super) fleet: Fleet,
    pub(super) revision: String,
}

/// Reads and validates the configuration; problems are printed, and `None` comes back.
pub(super) async fn configuration(global: &Global) -> anyhow::Result<Option<Loaded>> {
    let source = config_watch::Place::parse(&global.config);
    let read = config_watch::read(&source, &global.state)
        .await
        .context("the configuration cannot be read")?;
    match validate::fleet(&read.text) {
        Ok(fleet) => Ok(Some(Loaded {
            fleet,
            revision: read.revision,
        })),
        Err(problems) => {
            let text = String::from_utf8_lossy(&read.text);
            eprint!("{}", diagnostic::terminal(&read.shown, &text, &problems));
            Ok(None)
        }
    }
}

/// The database, for reading beside whoever writes; `None` when there is none yet.
pub(super) fn reader(state: &Path) -> anyhow::Result<Option<Store>> {
    let path = database(state);
    if !path.exists() {
        return Ok(None);
    }
    Store::open(&path, false).map(Some).context("the state cannot be read")
}

/// Who holds the state.
pub(super) enum Holder {
    /// This process, from here on.
    Us(StateLock),
    /// A running bot or another command.
    Another,
}

pub(super) fn hold(state: &Path) -> anyhow::Result<Holder> {
    let locked = lock::acquire(state).context("the state directory cannot be used")?;
    Ok(locked.map_or(Holder::Another, Holder::Us))
}

/// A bot over the held state.
pub(super) async fn bot(global: &Global, loaded: Loaded, _lock: &StateLock) -> anyhow::Result<Arc<Bot>> {
    let store = Store::open(&database(&global.state), true).context("the state cannot be used")?;
    let sealed = Sealed::open(&global.state).context("the sealed files cannot be used")?;
    let instance = surroundings::instance(&global.state).context("the state directory cannot be used")?;
    let in_force = InForce::new(loaded.revision, loaded.fleet, docker_config())?;
    let via = surroundings::probe_path(&in_force, &instance).await;
    Ok(Arc::new(
        Bot::new(store, sealed, global.state.clone(), instance, via, in_force).await?,
    ))
}

fn database(state: &Path) -> PathBuf {
    state.join("lowtide.db")
}

/// Where Docker keeps its own configuration (docker CLI reference, "Configuration files").
pub(crate) fn docker_config() -> Option<PathBuf> {
    std::env::var_os("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker")))
}
