//! Opening what commands need: the configuration, the store, a bot.

use super::args::Global;
use crate::runtime::bot::{Bot, InForce};
use crate::runtime::inventory::tables::Tables;
use crate::runtime::{config_watch, self_container};
use crate::store::database::Store;
use crate::store::error::StoreError;
use crate::store::handover;
use crate::store::layer_cache::LayerCache;
use crate::store::lock::{self, StateLock};
use crate::store::sealed::Sealed;
use anyhow::Context;
use lowtide_core::config::validate::Provenance;
use lowtide_core::config::{engine, validate};
use lowtide_core::fleet::app::Fleet;
use lowtide_core::yaml::diagnostic;
use lowtide_model::name::AppName;
use lowtide_model::policy::EngineAddress;
use lowtide_model::secret::SecretRef;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A valid configuration and its revision.
pub(super) struct Loaded {
    pub(super) fleet: Fleet,
    pub(super) revision: String,
}

/// Reads and validates the configuration; problems are printed, and `None` comes back.
pub(super) async fn configuration(global: &Global) -> anyhow::Result<Option<Loaded>> {
    let found = found(global).await?;
    let fleet = report_problems(&found, validate::fleet_beside(&found.text, &found.beside));
    Ok(fleet.map(|fleet| Loaded {
        fleet,
        revision: found.revision,
    }))
}

/// As [`configuration`], with the origin of every setting of this app.
pub(super) async fn configuration_with_provenance(
    global: &Global,
    app: &AppName,
) -> anyhow::Result<Option<(Fleet, Provenance)>> {
    let found = found(global).await?;
    let is_wanted = |name: &str| app.as_str() == name;
    Ok(report_problems(
        &found,
        validate::fleet_with_provenance(&found.text, &found.beside, &is_wanted),
    ))
}

/// The fleet of the current configuration. A revision that the state has in force is not parsed again: that takes most
/// of the time of a command about a thousand apps.
pub(super) async fn fleet(global: &Global) -> anyhow::Result<Option<Fleet>> {
    let found = found(global).await?;
    let in_force = match reader(&global.state)? {
        Some(store) => store.revision(found.revision.clone()).await,
        None => Ok(None),
    };
    match in_force {
        Ok(Some(fleet)) => return Ok(Some(fleet)),
        // Unreadable: a bot of another version stored it. Parse the configuration instead.
        Ok(None) | Err(StoreError::Unreadable { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(report_problems(
        &found,
        validate::fleet_beside(&found.text, &found.beside),
    ))
}

/// The current configuration, not parsed yet.
pub(super) async fn found(global: &Global) -> anyhow::Result<config_watch::Found> {
    let place = config_watch::Place::parse(&global.config);
    let scratch = Scratch::new()?;
    config_watch::read_apart(&place, scratch.path().join("mirrors"))
        .await
        .context("the configuration cannot be read")
}

/// A temporary git directory of this process: the mirrors in the state directory belong to the process that holds its
/// lock.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> anyhow::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let path = std::env::temp_dir().join(format!("lowtide-{}", ulid::Ulid::generate()));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Leftovers are removed when the system cleans its temporary directory.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn report_problems<T>(found: &config_watch::Found, read: Result<T, Vec<diagnostic::Problem>>) -> Option<T> {
    match read {
        Ok(value) => Some(value),
        Err(problems) => {
            let text = String::from_utf8_lossy(&found.text);
            eprint!("{}", diagnostic::terminal(&found.shown, &text, &problems));
            None
        }
    }
}

/// The database, opened for reading while another process may write; `None` when there is none yet.
pub(super) fn reader(state: &Path) -> anyhow::Result<Option<Store>> {
    let path = database(state);
    if !path.exists() {
        return Ok(None);
    }
    Store::open(&path, false).map(Some).context("the state cannot be read")
}

/// Checks that a state directory named on the command line is there.
///
/// # Errors
/// When it has no database: for a mistyped path, "nothing has happened yet" would be wrong.
pub(super) fn named_state(global: &Global) -> anyhow::Result<()> {
    if global.said.state && !database(&global.state).exists() {
        anyhow::bail!("there is no state of lowtide in {}", global.state.display());
    }
    Ok(())
}

/// Outcome of [`hold`].
pub(super) enum LockAttempt {
    /// This process, from here on.
    Us(StateLock),
    /// A running bot or another command.
    Another,
}

/// Takes the lock of the state, but not while lowtide is being replaced: between two owners the lock is free, and a
/// command must not take it.
pub(super) fn hold(state: &Path) -> anyhow::Result<LockAttempt> {
    if handover::read(state)
        .context("the state directory cannot be used")?
        .is_some()
    {
        return Ok(LockAttempt::Another);
    }
    let locked = lock::acquire(state).context("the state directory cannot be used")?;
    Ok(locked.map_or(LockAttempt::Another, LockAttempt::Us))
}

/// A bot over the held state.
pub(super) async fn bot(global: &Global, loaded: Loaded, _lock: &StateLock) -> anyhow::Result<Arc<Bot>> {
    let store = Store::open(&database(&global.state), true).context("the state cannot be used")?;
    let sealed = Sealed::open(&global.state).context("the sealed files cannot be used")?;
    let instance = self_container::instance(&global.state).context("the state directory cannot be used")?;
    let in_force = InForce::new(loaded.revision, loaded.fleet, docker_config(), &global.state)?;
    let via = self_container::probe_path(&in_force, &instance).await;
    Ok(Arc::new(
        Bot::new(store, sealed, global.state.clone(), instance, via, in_force).await?,
    ))
}

pub(super) fn database(state: &Path) -> PathBuf {
    state.join("lowtide.db")
}

/// The engine that the docker CLI would use: `DOCKER_HOST`, else the default of Docker.
pub(super) fn default_engine() -> anyhow::Result<EngineAddress> {
    match std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty()) {
        Some(host) => engine(&host).context("DOCKER_HOST"),
        None => Ok(EngineAddress::Unix("/var/run/docker.sock".into())),
    }
}

/// An engine by its address alone. Certificates are docker's own: in `DOCKER_CERT_PATH`, else beside its configuration
/// (docker CLI reference, "Environment variables").
pub(super) fn engine(text: &str) -> anyhow::Result<EngineAddress> {
    let mut address = engine::address(text).map_err(|problem| {
        let hint = problem.hint.map(|hint| format!(": {hint}")).unwrap_or_default();
        anyhow::anyhow!("{}{hint}", problem.message)
    })?;
    if let EngineAddress::Tls(tls) = &mut address {
        let folder = std::env::var_os("DOCKER_CERT_PATH")
            .map(PathBuf::from)
            .or_else(docker_config);
        let there = |name: &str| {
            folder
                .as_ref()
                .map(|folder| folder.join(name))
                .filter(|path| path.exists())
        };
        tls.ca = there("ca.pem");
        if let (Some(cert), Some(key)) = (there("cert.pem"), there("key.pem")) {
            tls.cert = Some(cert);
            tls.key = Some(SecretRef::File(key));
        }
    }
    Ok(address)
}

/// Tables of layers: the bot's own where this is its state directory, else in the user's cache (XDG Base Directory
/// Specification).
pub(super) fn tables(global: &Global) -> Tables {
    cache(global).map_or_else(Tables::none, |directory| {
        Tables::new(LayerCache::new(directory.join("layers")))
    })
}

/// The cache directory, for data that can be fetched again.
pub(super) fn cache(global: &Global) -> Option<PathBuf> {
    let ours = database(&global.state).exists().then(|| global.state.clone());
    let cache = || {
        std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let users = || cache().or_else(home).map(|cache| cache.join("lowtide"));
    ours.or_else(users)
}

/// Where Docker keeps its own configuration (docker CLI reference, "Configuration files").
pub(crate) fn docker_config() -> Option<PathBuf> {
    std::env::var_os("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker")))
}
