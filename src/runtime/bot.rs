//! What every driver shares: the store, the clients, the fleet in force, and the state of each app.

use super::archives::visit::Archives;
use super::bases::Bases;
use super::inventory::tables::Tables;
use super::metrics::counters::Counters;
use super::outdated;
use super::progress::Watchers;
use super::rollout_slots::{RolloutSlot, RolloutSlots};
use super::run_slots::RunSlots;
use super::troubles::Troubles;
use super::wakeups::Wakeups;
use super::work_lock::WorkLock;
use crate::clients::archive::fetch::ArchiveClient;
use crate::clients::clock;
use crate::clients::credentials::Credentials;
use crate::clients::engine::connect::Engine;
use crate::clients::engine::probe::ProbePath;
use crate::clients::git::remote::Git;
use crate::clients::registry::connect::{Registry, Timeouts};
use crate::clients::registry::quotas::Quotas;
use crate::store::archives::ArchiveCache;
use crate::store::database::Store;
use crate::store::error::StoreError;
use crate::store::journal::Batch;
use crate::store::layer_cache::LayerCache;
use crate::store::sealed::Sealed;
use crate::store::survey_cache::SurveyCache;
use jiff::Timestamp;
use lowtide_core::decide::app_state::{self, AppState};
use lowtide_core::decide::gates;
use lowtide_core::decide::rollout::{Outside, RolloutState};
use lowtide_core::fleet::app::{App, Fleet};
use lowtide_core::fleet::app_state::AppEvent;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::journal::Recorded;
use lowtide_model::message::Message;
use lowtide_model::name::{AppName, HostName, RolloutId, RunId};
use lowtide_model::policy::Unhealthy;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// See the module.
pub struct Bot {
    pub store: Store,
    pub sealed: Sealed,
    pub git: Git,
    pub watchers: Watchers,
    /// What this process has committed, for monitoring.
    pub counters: Arc<Counters>,
    pub bases: Bases,
    /// What registries said of their limits, whichever revision asked.
    pub quotas: Arc<Quotas>,
    /// Tables of layers that were read before.
    pub tables: Tables,
    /// State directory: database, mirrors, layer tables, logs, work trees.
    pub state: PathBuf,
    /// Labels everything of ours; a sweep touches only its own.
    pub instance: String,
    /// Where HTTP probes are sent from.
    pub via: ProbePath,
    /// Something changed: the supervisor should look again.
    pub look: Notify,
    /// Wakes waiting rollouts.
    pub wakeups: Wakeups,
    /// A notice was enqueued.
    pub outbox_look: Notify,
    /// Somebody who may says that the configuration has changed.
    pub config_look: Notify,
    pub work_lock: WorkLock,
    /// What is wrong around it.
    pub troubles: Troubles,
    /// Cancelled when another lowtide is to take the state: this process releases it.
    pub let_go: CancellationToken,
    /// Cancelled when this process was handed the state and cannot go on with that rollout: it exits, and another one
    /// may take over.
    pub unfit: CancellationToken,
    fleet: RwLock<Arc<InForce>>,
    app_states: Mutex<BTreeMap<AppName, Arc<AppState>>>,
    changes: AtomicU64,
    bases_changes: AtomicU64,
    paused: RwLock<bool>,
    rollout_slots: Arc<RolloutSlots>,
    /// Runs at work.
    pub run_slots: Arc<RunSlots>,
    waiting: Mutex<BTreeSet<RolloutId>>,
}

/// One configuration revision and the clients made for it.
pub struct InForce {
    pub revision: String,
    pub fleet: Fleet,
    pub registry: Registry,
    pub credentials: Credentials,
    /// Package archives, queried once for all images.
    pub archives: Archives,
    /// Connected at first use: an engine that is away holds up its own apps, not the bot.
    engines: BTreeMap<HostName, OnceLock<Engine>>,
}

impl InForce {
    /// `state`: the state directory, where archives are stored.
    ///
    /// # Errors
    /// When no TLS client can be made.
    pub fn new(revision: String, fleet: Fleet, docker_config: Option<PathBuf>, state: &Path) -> Result<Self, Failure> {
        let credentials = || Credentials::new(fleet.registries.clone(), docker_config.clone());
        let registry =
            Registry::new(fleet.registries.clone(), credentials(), Timeouts::default()).map_err(|e| e.failure())?;
        let credentials = credentials();
        let archives = ArchiveClient::new(outdated::access(&fleet))
            .map_err(|e| Failure::new(FailureKind::Invariant, e.to_string()))?;
        let engines = fleet.hosts.keys().map(|host| (host.clone(), OnceLock::new())).collect();
        Ok(Self {
            revision,
            fleet,
            registry,
            credentials,
            archives: Archives::new(archives, ArchiveCache::of(state), SurveyCache::of(state)),
            engines,
        })
    }

    fn sharing(mut self, quotas: &Arc<Quotas>) -> Self {
        self.registry = self.registry.with_quotas(Arc::clone(quotas));
        self
    }

    /// # Errors
    /// `EngineUnreachable` when its socket is not there; `Invariant` for a host that is not configured.
    pub fn engine(&self, host: &HostName) -> Result<&Engine, Failure> {
        let unknown = || {
            Failure::new(
                FailureKind::Invariant,
                format!("host {host} is not configured any more"),
            )
        };
        let cell = self.engines.get(host).ok_or_else(unknown)?;
        if let Some(engine) = cell.get() {
            return Ok(engine);
        }
        let address = &self.fleet.hosts.get(host).ok_or_else(unknown)?.address;
        let engine = Engine::connect(address).map_err(|e| e.failure())?;
        Ok(cell.get_or_init(|| engine))
    }

    /// The engines that can be reached now.
    pub fn engines(&self) -> impl Iterator<Item = (&HostName, &Engine)> {
        self.engines
            .keys()
            .filter_map(|host| Some((host, self.engine(host).ok()?)))
    }
}

impl Bot {
    /// Folds every app's stream and takes the fleet in force.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn new(
        store: Store,
        sealed: Sealed,
        state: PathBuf,
        instance: String,
        via: ProbePath,
        in_force: InForce,
    ) -> Result<Self, StoreError> {
        store
            .store_revision(in_force.revision.clone(), &in_force.fleet, clock::now())
            .await?;
        let ahead = store.forget_the_future(clock::now()).await?;
        if ahead > 0 {
            warn!(
                times = ahead,
                "the clock was ahead once: times in the future count as now"
            );
        }
        let quotas = Arc::default();
        let folded = store.fold_apps(|events| Arc::new(app_state::fold(events))).await?;
        Ok(Self {
            git: Git::new(state.join("mirrors")),
            paused: RwLock::new(state.join("paused").exists()),
            store,
            sealed,
            watchers: Watchers::default(),
            counters: Arc::default(),
            bases: Bases::default(),
            tables: Tables::new(LayerCache::new(state.join("layers"))),
            state,
            instance,
            via,
            look: Notify::new(),
            wakeups: Wakeups::default(),
            outbox_look: Notify::new(),
            config_look: Notify::new(),
            work_lock: WorkLock::default(),
            troubles: Troubles::default(),
            let_go: CancellationToken::new(),
            unfit: CancellationToken::new(),
            run_slots: Arc::default(),
            rollout_slots: Arc::default(),
            waiting: Mutex::default(),
            fleet: RwLock::new(Arc::new(in_force.sharing(&quotas))),
            quotas,
            app_states: Mutex::new(folded.into_iter().collect()),
            changes: AtomicU64::new(0),
            bases_changes: AtomicU64::new(0),
        })
    }

    /// The fleet in force now. A caller keeps the one it got.
    #[must_use]
    pub fn in_force(&self) -> Arc<InForce> {
        Arc::clone(&self.fleet.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Swaps the fleet whole.
    pub fn put_in_force(&self, in_force: InForce) {
        let in_force = in_force.sharing(&self.quotas);
        *self.fleet.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(in_force);
        self.changed();
        self.rollout_slots.look_again();
        // Rollouts that wait for a window follow the configuration in force.
        self.wakeups.wake_all();
        self.look.notify_one();
    }

    #[must_use]
    pub fn app_state(&self, app: &AppName) -> Arc<AppState> {
        self.app_states
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(app)
            .cloned()
            .unwrap_or_default()
    }

    /// Apps that have a state, also those that are no longer configured.
    #[must_use]
    pub fn tracked(&self) -> Vec<AppName> {
        let app_states = self.app_states.lock().unwrap_or_else(PoisonError::into_inner);
        app_states.keys().cloned().collect()
    }

    /// What a rollout is given from outside, as of now.
    #[must_use]
    pub fn outside(&self, state: &RolloutState) -> Outside {
        let fleet = self.in_force();
        let app = fleet.fleet.apps.get(&state.app).map(AsRef::as_ref);
        gates::outside(state, &self.app_state(&state.app), app, self.paused())
    }

    /// Waits for one of the slots for rollouts that move something on this host, by the limits in force.
    pub async fn rollout_slot(&self, host: &HostName) -> RolloutSlot {
        self.rollout_slots.take(host, || self.in_force().fleet.limits).await
    }

    /// Notes whether a rollout waits for something that only a person or the clock brings.
    pub fn rollout_waits(&self, rollout: RolloutId, waits: bool) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = if waits {
            waiting.insert(rollout)
        } else {
            waiting.remove(&rollout)
        };
        drop(waiting);
        if changed {
            self.changed();
            self.look.notify_one();
        }
    }

    #[must_use]
    pub fn is_waiting(&self, rollout: RolloutId) -> bool {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&rollout)
    }

    /// Do windows of the app's rollouts not matter now (`run --now`)?
    #[must_use]
    pub fn expedited(&self, app: &AppName) -> bool {
        self.haste(app).is_some()
    }

    /// With `run --now`: how to treat a container that is not healthy; `None`: windows apply.
    #[must_use]
    pub fn haste(&self, app: &AppName) -> Option<Unhealthy> {
        let app_states = self.app_states.lock().unwrap_or_else(PoisonError::into_inner);
        app_states.get(app)?.expedited
    }

    /// Pauses (or lets go on) every rollout and promotion. The mark is a file: it survives restarts and is seen by eye.
    ///
    /// # Errors
    /// When the mark cannot be written.
    pub fn pause(&self, paused: bool) -> Result<(), StoreError> {
        let path = self.state.join("paused");
        let done = if paused {
            // An empty file, so that a full disk cannot leave half of it. Mode 0600, like every file of the state directory.
            let mut options = std::fs::OpenOptions::new();
            options
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&path)
                .map(drop)
        } else {
            match std::fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
                Ok(()) | Err(_) => Ok(()),
            }
        };
        done.map_err(|source| StoreError::File {
            path: path.display().to_string(),
            source,
        })?;
        *self.paused.write().unwrap_or_else(PoisonError::into_inner) = paused;
        self.changed();
        self.ring();
        self.wakeups.wake_all();
        Ok(())
    }

    #[must_use]
    pub fn paused(&self) -> bool {
        *self.paused.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Commits a batch together with facts about `app` and the notices of `messages`, then folds the facts into its state.
    ///
    /// # Errors
    /// As the store refuses; nothing is folded then.
    pub async fn commit(
        &self,
        batch: Batch,
        app: &AppName,
        facts: &[AppEvent],
        messages: &[Message],
    ) -> Result<(), StoreError> {
        let now = clock::now();
        let fleet = self.in_force();
        let notices = messages.iter().flat_map(|message| fleet.fleet.route(message));
        let batch = facts
            .iter()
            .fold(batch, |batch, fact| batch.app(app, fact))
            .notices(notices);
        self.store.commit(batch, now).await?;
        self.learn(facts.iter().map(|fact| (app, fact)), now);
        self.ring();
        self.wakeups.wake(app);
        Ok(())
    }

    /// Notifies of something that is no event of the journal.
    ///
    /// # Errors
    /// As the store refuses.
    pub async fn notify(&self, message: &Message) -> Result<(), StoreError> {
        let notices = self.in_force().fleet.route(message);
        self.store.commit(Batch::new().notices(notices), clock::now()).await?;
        self.outbox_look.notify_one();
        Ok(())
    }

    /// Notes the first sight of apps, all in one transaction.
    ///
    /// # Errors
    /// As the store refuses; nothing is folded then.
    pub async fn track(&self, apps: &[AppName]) -> Result<(), StoreError> {
        let now = clock::now();
        let batch = apps
            .iter()
            .fold(Batch::new(), |batch, app| batch.app(app, &AppEvent::Tracked));
        self.store.commit(batch, now).await?;
        self.learn(apps.iter().map(|app| (app, &AppEvent::Tracked)), now);
        Ok(())
    }

    /// Folds what was just committed.
    fn learn<'a>(&self, facts: impl Iterator<Item = (&'a AppName, &'a AppEvent)>, at: Timestamp) {
        let mut app_states = self.app_states.lock().unwrap_or_else(PoisonError::into_inner);
        for (app, fact) in facts {
            self.counters.fact(fact);
            if matches!(fact, AppEvent::BasesKnown { .. }) {
                self.bases_changes.fetch_add(1, Ordering::AcqRel);
            }
            let event = fact.clone();
            Arc::make_mut(app_states.entry(app.clone()).or_default()).apply(&Recorded { seq: 0, at, event });
            self.changed();
        }
    }

    /// Grows whenever something changes that the supervisor decides by: states of apps, fleet, pauses, waiting rollouts.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Grows whenever a run has found which images an app is built on.
    #[must_use]
    pub fn bases_changes(&self) -> u64 {
        self.bases_changes.load(Ordering::Acquire)
    }

    fn changed(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    fn ring(&self) {
        self.look.notify_one();
        self.outbox_look.notify_one();
    }

    /// Called when the clock was set back: times in the future count as now, so that nothing waits until the clock gets
    /// there again.
    ///
    /// # Errors
    /// As the store refuses.
    pub async fn clock_went_back(&self) -> Result<(), StoreError> {
        let now = clock::now();
        let times = self.store.forget_the_future(now).await?;
        warn!(times, "the clock was set back: times in the future count as now");
        let mut app_states = self.app_states.lock().unwrap_or_else(PoisonError::into_inner);
        for app_state in app_states.values_mut() {
            Arc::make_mut(app_state).forget_the_future(now);
        }
        drop(app_states);
        self.changed();
        self.ring();
        self.wakeups.wake_all();
        Ok(())
    }

    /// The app as configured now, if it still is.
    #[must_use]
    pub fn app(&self, name: &AppName) -> Option<Arc<App>> {
        self.in_force().fleet.apps.get(name).cloned()
    }

    /// Directory of a run's log files and kept artefacts.
    #[must_use]
    pub fn run_directory(&self, run: RunId) -> PathBuf {
        self.state.join("runs").join(run.to_string())
    }
}
