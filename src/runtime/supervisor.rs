//! The supervisor: one consumer of everything that can happen, which looks at what is due, opens runs and rollouts, and
//! starts their drivers. It decides nothing itself: `decide::schedule` and `decide::app_state` do.

use super::bot::{Bot, InForce};
use super::control::OperatorRequest;
use super::drive_run::{DriveError, Interrupt};
use super::progress::{Left, Progress};
use super::{drive_rollout, drive_run};
use crate::clients::clock;
use crate::store::error::StoreError;
use crate::store::handover;
use crate::store::journal::Batch;
use jiff::{SignedDuration, Timestamp};
use lowtide_core::decide::app_state::{self, Promotion};
use lowtide_core::decide::family::{self, Families};
use lowtide_core::decide::schedule::{self, Calendar};
use lowtide_core::fleet::app::App;
use lowtide_core::fleet::app_state::AppEvent;
use lowtide_core::fleet::run::RunEvent;
use lowtide_model::failure::Failure;
use lowtide_model::handover::{Handover, StateOwner};
use lowtide_model::journal::Stream;
use lowtide_model::name::{AppName, RolloutId, RunId};
use lowtide_model::run::{Conclusion, Trigger};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

mod releases;
mod requests;

/// How long a shutdown waits for drivers to park: under the 10 s that `docker stop` grants by default.
const GRACE: Duration = Duration::from_secs(8);
/// A clock that goes back by more was wrong; by less it is set every day.
const CLOCK_SET: SignedDuration = SignedDuration::from_mins(10);
/// Longest time between two passes, even if nothing happens.
const LONGEST_REST: Duration = Duration::from_secs(300);

/// Which work a supervisor takes up by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// `serve`: opens scheduled runs, and continues every open run and rollout.
    All,
    /// A command without a bot: only the work it requests, and what follows from it.
    Requested,
}

/// What was done, or why not.
pub type RequestResult = Result<String, String>;

/// A request of an operator, with the channel for its result.
#[derive(Debug)]
pub struct Request {
    pub command: OperatorRequest,
    pub response: oneshot::Sender<RequestResult>,
}

/// Everything that can happen to the supervisor.
enum Event {
    Look,
    RunEnded(RunId, AppName, Option<Box<Conclusion>>),
    RolloutEnded(RolloutId, AppName),
    PromotionEnded(AppName, Box<Promotion>, Result<(), Failure>),
    Request(Request),
    Shutdown,
}

/// See the module.
pub struct Supervisor {
    bot: Arc<Bot>,
    scope: Scope,
    requests: mpsc::Receiver<Request>,
    ended: mpsc::Receiver<Event>,
    end: mpsc::Sender<Event>,
    shutdown: CancellationToken,
    runs: BTreeMap<RunId, (AppName, Interrupt)>,
    rollouts: BTreeMap<RolloutId, (AppName, Interrupt)>,
    /// Apps with a promotion in progress.
    promoting: BTreeSet<AppName>,
    /// Apps whose `run` someone follows.
    followed: BTreeSet<AppName>,
    families: Families,
    /// `Bot::bases_changes` at the time when `families` was computed; `None`: the configuration has changed since.
    bases_changes: Option<u64>,
    calendar: Calendar,
    /// `Bot::changes` as of the last pass.
    seen: u64,
    /// The configuration as of the last pass; `None`: there was none.
    known: Option<Arc<InForce>>,
    /// When the next pass is due though nothing changed.
    wake: Timestamp,
    /// When the clock was looked at last.
    looked: Timestamp,
}

impl Supervisor {
    /// Prepares a supervisor and the sender of its requests.
    #[must_use]
    pub fn new(bot: Arc<Bot>, scope: Scope, shutdown: CancellationToken) -> (Self, mpsc::Sender<Request>) {
        let (sender, requests) = mpsc::channel(64);
        let (end, ended) = mpsc::channel(1024);
        let supervisor = Self {
            bot,
            scope,
            requests,
            ended,
            end,
            shutdown,
            runs: BTreeMap::new(),
            rollouts: BTreeMap::new(),
            promoting: BTreeSet::new(),
            followed: BTreeSet::new(),
            families: Families::default(),
            bases_changes: None,
            calendar: Calendar::default(),
            seen: 0,
            known: None,
            wake: Timestamp::MIN,
            looked: Timestamp::MIN,
        };
        (supervisor, sender)
    }

    /// Runs until shutdown. Open rollouts are continued before open runs: a service may be down.
    ///
    /// # Errors
    /// When the journal cannot be used.
    pub async fn run(mut self) -> Result<(), StoreError> {
        if self.scope == Scope::All {
            self.take_up().await?;
        }
        self.pass().await?;
        loop {
            let event = tokio::select! {
                biased;
                () = self.shutdown.cancelled() => Event::Shutdown,
                Some(event) = self.ended.recv() => event,
                Some(request) = self.requests.recv() => Event::Request(request),
                () = self.bot.look.notified() => Event::Look,
            };
            let now = clock::now();
            if now + CLOCK_SET < self.looked {
                self.bot.clock_went_back().await?;
                self.wake = Timestamp::MIN;
            }
            self.looked = now;
            if matches!(event, Event::Shutdown) {
                break;
            }
            // The tick and journalled effects wake the supervisor often; without a change, mostly nothing is due.
            if matches!(event, Event::Look) && self.seen == self.bot.changes() && clock::now() < self.wake {
                continue;
            }
            self.take(event).await?;
            // A pass looks at every app, so all events that have arrived share one pass.
            while let Ok(event) = self.ended.try_recv() {
                self.take(event).await?;
            }
            self.pass().await?;
        }
        self.park().await;
        Ok(())
    }

    async fn take(&mut self, event: Event) -> Result<(), StoreError> {
        match event {
            Event::Look | Event::Shutdown => {}
            Event::RunEnded(id, app, conclusion) => self.run_ended(id, &app, conclusion.as_deref()).await?,
            Event::RolloutEnded(id, app) => {
                self.rollouts.remove(&id);
                self.bot.rollout_waits(id, false);
                info!(%app, rollout = %id, "rollout is off the list");
            }
            Event::PromotionEnded(app, promotion, done) => self.promotion_ended(&app, &promotion, done).await?,
            Event::Request(request) => self.respond(request).await?,
        }
        Ok(())
    }

    async fn take_up(&mut self) -> Result<(), StoreError> {
        // The clients of the earlier process are gone, but `run --now` stays in effect: follow these apps until they
        // settle.
        let apps = self.bot.in_force();
        let hurried = apps.fleet.apps.keys().filter(|app| self.bot.expedited(app));
        self.followed.extend(hurried.cloned());
        let open = self.bot.store.open_streams().await?;
        let rollouts_first = |row: &&crate::store::journal::StreamRow| matches!(row.stream, Stream::Rollout(_));
        for row in open
            .iter()
            .filter(rollouts_first)
            .chain(open.iter().filter(|row| !rollouts_first(row)))
        {
            match row.stream {
                Stream::Rollout(id) => self.start_rollout(id, row.app.clone()),
                Stream::Run(id) => self.start_run(id, row.app.clone()),
                Stream::App(_) => {}
            }
        }
        Ok(())
    }

    /// Looks at everything that may be due. Activation carries no input: a signal only means *look again*.
    async fn pass(&mut self) -> Result<(), StoreError> {
        // Lowtide is replacing itself: the end of that rollout triggers the next pass.
        if self.bot.work_lock.is_alone() {
            return Ok(());
        }
        // Read before deciding: a later change triggers another pass.
        self.seen = self.bot.changes();
        let fleet = self.bot.in_force();
        let apps = &fleet.fleet.apps;
        match self.scope {
            Scope::All => {
                self.track(apps).await?;
                self.retry_after_changes(&fleet).await?;
                self.open_due().await?;
                for app in apps.values() {
                    self.advance(app).await?;
                }
            }
            Scope::Requested => {
                for app in self.followed.clone() {
                    if let Some(app) = apps.get(&app) {
                        self.advance(app).await?;
                    }
                }
            }
        }
        self.settle(apps).await?;
        self.wake = self.next_wake(apps);
        Ok(())
    }

    /// When the next schedule slot or promotion retry is due; at most `LONGEST_REST` ahead, because the clock may be
    /// set.
    fn next_wake(&mut self, apps: &BTreeMap<AppName, Arc<App>>) -> Timestamp {
        let now = clock::now();
        let mut wake = now + LONGEST_REST;
        if self.scope == Scope::All {
            for app in apps.values() {
                let Some(progress) = self.progress(&app.name) else {
                    continue;
                };
                let place = self.families.place(&app.name);
                let slot = schedule::next(app, &place, progress, &mut self.calendar, now);
                wake = slot.map_or(wake, |slot| wake.min(slot));
            }
        }
        let retries = apps
            .values()
            .filter_map(|app| app_state::wakes(app, &self.bot.app_state(&app.name)))
            // A retry that is due and was not started waits for something other than time.
            .filter(|at| *at > now);
        retries.fold(wake, Timestamp::min)
    }

    fn progress(&self, app: &AppName) -> Option<schedule::Progress> {
        let app_state = self.bot.app_state(app);
        Some(schedule::Progress {
            since: app_state.tracked?,
            last: app_state.schedule_fired,
        })
    }

    /// Journals when new apps were first seen: schedule slots before that never fire.
    async fn track(&mut self, apps: &BTreeMap<AppName, Arc<App>>) -> Result<(), StoreError> {
        let new: Vec<AppName> = apps
            .keys()
            .filter(|name| self.bot.app_state(name).tracked.is_none())
            .cloned()
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        self.bot.track(&new).await
    }

    async fn open_due(&mut self) -> Result<(), StoreError> {
        let fleet = self.bot.in_force();
        let bases_changes = Some(self.bot.bases_changes());
        if self.bases_changes != bases_changes {
            self.families = self.find_families(&fleet.fleet.apps);
            self.bases_changes = bases_changes;
        }
        let progress: BTreeMap<AppName, schedule::Progress> = fleet
            .fleet
            .apps
            .keys()
            .filter_map(|name| Some((name.clone(), self.progress(name)?)))
            .collect();
        let running: BTreeSet<AppName> = self.runs.values().map(|(app, _)| app.clone()).collect();
        let (families, calendar) = (&self.families, &mut self.calendar);
        for due in schedule::due_apps(&fleet.fleet, families, &progress, &running, calendar, clock::now()) {
            if let Some(app) = fleet.fleet.apps.get(&due.app) {
                self.open_run(app, Trigger::Schedule { slot: due.slot }, Vec::new())
                    .await?;
            }
        }
        Ok(())
    }

    fn find_families(&self, apps: &BTreeMap<AppName, Arc<App>>) -> Families {
        family::of_apps(apps.values(), |app| self.bot.app_state(app).bases.clone()).unwrap_or_else(|looped| {
            warn!(%looped, "apps that build on each other are scheduled as if they did not");
            Families::default()
        })
    }

    /// Opens a run together with `facts` of the same cause.
    async fn open_run(&mut self, app: &App, trigger: Trigger, mut facts: Vec<AppEvent>) -> Result<RunId, StoreError> {
        let id = RunId(ulid::Ulid::generate());
        if let Trigger::Schedule { slot } = trigger {
            facts.push(AppEvent::ScheduleFired { slot, run: id });
        }
        let app_state = self.bot.app_state(&app.name);
        let event = RunEvent::Opened {
            app: Box::new(app.clone()),
            trigger,
            revision: self.bot.in_force().revision.clone(),
            last: app_state.current().cloned().map(Box::new),
            quarantine: app_state.quarantine.clone(),
            judged: app_state.judged.clone().map(Box::new),
            seen: app_state.seen.clone(),
        };
        self.bot
            .commit(Batch::new().run(&app.name, id, 0, &event), &app.name, &facts, &[])
            .await?;
        self.bot.watchers.publish(Progress::RunOpened {
            app: app.name.clone(),
            run: id,
        });
        self.start_run(id, app.name.clone());
        Ok(id)
    }

    fn start_run(&mut self, id: RunId, app: AppName) {
        let interrupt = self.interrupt();
        self.runs.insert(id, (app.clone(), interrupt.clone()));
        let (bot, end) = (Arc::clone(&self.bot), self.end.clone());
        tokio::spawn(async move {
            let done = tokio::spawn(drive_run::drive(bot, id, interrupt)).await;
            let conclusion = drained(done, "run", &id.to_string()).flatten().map(Box::new);
            // The supervisor is gone only when the process ends.
            let _ = end.send(Event::RunEnded(id, app, conclusion)).await;
        });
    }

    fn start_rollout(&mut self, id: RolloutId, app: AppName) {
        let interrupt = self.interrupt();
        self.rollouts.insert(id, (app.clone(), interrupt.clone()));
        let (bot, end) = (Arc::clone(&self.bot), self.end.clone());
        tokio::spawn(async move {
            let done = tokio::spawn(drive_rollout::drive(Arc::clone(&bot), id, interrupt)).await;
            let held = drained(done, "rollout", &id.to_string()).is_none();
            // A process that was handed the state for this rollout and cannot drive it has to exit, so that another one
            // may take over. The old lowtide, which had the state before, goes on with its other work.
            let brought = |record: Handover| record.rollout == id && record.to != StateOwner::Old;
            if held && handover::read(&bot.state).is_ok_and(|record| record.is_some_and(brought)) {
                bot.unfit.cancel();
            }
            bot.work_lock.release(id);
            let _ = end.send(Event::RolloutEnded(id, app)).await;
        });
    }

    fn interrupt(&self) -> Interrupt {
        Interrupt {
            cancel: CancellationToken::new(),
            cancelled_by: Arc::default(),
            shutdown: self.shutdown.child_token(),
        }
    }

    async fn run_ended(&mut self, id: RunId, app: &AppName, conclusion: Option<&Conclusion>) -> Result<(), StoreError> {
        self.runs.remove(&id);
        let Some(Conclusion::Released { .. }) = conclusion else {
            return Ok(());
        };
        if self.scope == Scope::Requested {
            return Ok(());
        }
        // A release of a parent triggers runs of its children the same night.
        let fleet = self.bot.in_force();
        for child in self.families.children(app) {
            let busy = self.runs.values().any(|(running, _)| *running == child);
            if let Some(child) = fleet.fleet.apps.get(&child).filter(|_| !busy) {
                let trigger = Trigger::ParentReleased {
                    parent: app.to_string(),
                };
                self.open_run(child, trigger, Vec::new()).await?;
            }
        }
        Ok(())
    }

    /// Notifies followers when nothing more will happen by itself.
    async fn settle(&mut self, apps: &BTreeMap<AppName, Arc<App>>) -> Result<(), StoreError> {
        let completed: Vec<AppName> = self
            .followed
            .iter()
            .filter(|name| {
                let busy = self.runs.values().any(|(app, _)| app == *name)
                    || self.promoting.contains(*name)
                    || self
                        .rollouts
                        .iter()
                        .any(|(id, (app, _))| app == *name && !self.bot.is_waiting(*id));
                let idle = apps
                    .get(*name)
                    .is_none_or(|app| self.is_idle(&app_state::next(app, &self.bot.app_state(name), clock::now())));
                !busy && (idle || self.bot.paused())
            })
            .cloned()
            .collect();
        for app in completed {
            self.followed.remove(&app);
            if self.bot.expedited(&app) {
                self.bot
                    .commit(Batch::new(), &app, &[AppEvent::RequestCompleted], &[])
                    .await?;
            }
            let left = apps
                .get(&app)
                .map(|configured| Left::of(configured, &self.bot.app_state(&app)));
            let left = left.unwrap_or_default();
            self.bot.watchers.publish(Progress::RequestCompleted { app, left });
        }
        Ok(())
    }

    fn is_idle(&self, next: &app_state::Next) -> bool {
        match next {
            app_state::Next::Idle => true,
            app_state::Next::OpenRollout { target, .. } | app_state::Next::GoBack { target, .. } => {
                self.scope == Scope::Requested && target.is_own_container()
            }
            app_state::Next::Promote(_) | app_state::Next::TakeBack(_) => false,
        }
    }

    async fn park(&mut self) {
        let parked = async {
            while !self.runs.is_empty() || !self.rollouts.is_empty() {
                match self.ended.recv().await {
                    Some(Event::RunEnded(id, ..)) => drop(self.runs.remove(&id)),
                    Some(Event::RolloutEnded(id, _)) => drop(self.rollouts.remove(&id)),
                    Some(Event::Look | Event::PromotionEnded(..) | Event::Request(_) | Event::Shutdown) => {}
                    None => break,
                }
            }
        };
        if tokio::time::timeout(GRACE, parked).await.is_err() {
            warn!(
                runs = self.runs.len(),
                rollouts = self.rollouts.len(),
                "stopped during a step; the next start continues it"
            );
        }
    }
}

/// Logs a driver that failed or panicked, and returns `None`: only its own stream is held; the process continues.
fn drained<T>(done: Result<Result<T, DriveError>, tokio::task::JoinError>, what: &'static str, id: &str) -> Option<T> {
    match done {
        Ok(Ok(value)) => Some(value),
        Ok(Err(error)) => {
            error!(%error, source = ?std::error::Error::source(&error), what, id, "held");
            None
        }
        Err(panicked) => {
            error!(error = %panicked, what, id, "held after a panic");
            None
        }
    }
}
