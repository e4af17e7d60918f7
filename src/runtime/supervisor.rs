//! The supervisor: one consumer of everything that can happen, which looks at what is due, opens runs and rollouts, and
//! starts their drivers. It decides nothing itself: `decide::schedule` and `decide::standing` do.

use super::bot::Bot;
use super::drive_run::{DriveError, Interrupt};
use super::progress::Progress;
use super::{drive_rollout, drive_run};
use crate::clients::clock;
use crate::clients::registry::TagRule;
use crate::decide::family::{Families, Member, families};
use crate::decide::{schedule, standing};
use crate::model::fleet::{App, Channel, TargetPolicy};
use crate::model::image::{ManifestDigest, Reference, ServedDigest};
use crate::model::journal::Stream;
use crate::model::name::{AppName, RolloutId, RunId};
use crate::model::rollout::{Purpose, RolloutEvent};
use crate::model::run::{Conclusion, RunEvent, Trigger};
use crate::model::standing::{AppEvent, Release};
use crate::store::error::StoreError;
use crate::store::journal::Batch;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// How long a shutdown waits for drivers to park: under the 10 s that `docker stop` grants by default.
const GRACE: Duration = Duration::from_secs(8);
/// A promotion that failed is tried again after this.
const PROMOTE_RETRY: Duration = Duration::from_secs(60);

/// Which work a supervisor takes up by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// `serve`: schedules, and everything found open.
    All,
    /// A command without a bot: only what it asks for, and what that leads to.
    Asked,
}

/// What an operator asks of the one who holds the state.
#[derive(Debug)]
pub enum Command {
    Run { apps: Vec<AppName>, now: bool, by: String },
    Halt { app: AppName, by: String, why: String },
    Resume { app: AppName, by: String, why: String },
    Revert { app: AppName, by: String, why: String },
    Pause { on: bool },
    Cancel { run: RunId, by: String },
}

/// The answer to a command: what was done, or why not.
pub type Answer = Result<String, String>;

/// A command with the place for its answer.
#[derive(Debug)]
pub struct Request {
    pub command: Command,
    pub answer: oneshot::Sender<Answer>,
}

/// Everything that can happen to the supervisor.
enum Event {
    Look,
    RunEnded(RunId, AppName, Option<Box<Conclusion>>),
    RolloutEnded(RolloutId, AppName),
    PromotionEnded(AppName, Result<(), String>),
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
    promoting: BTreeMap<AppName, Option<Timestamp>>,
    /// Apps whose `run` somebody follows.
    followed: BTreeSet<AppName>,
    families: Families,
}

impl Supervisor {
    /// Prepares a supervisor and the way to ask it.
    #[must_use]
    pub fn new(bot: Arc<Bot>, scope: Scope, shutdown: CancellationToken) -> (Self, mpsc::Sender<Request>) {
        let (ask, requests) = mpsc::channel(64);
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
            promoting: BTreeMap::new(),
            followed: BTreeSet::new(),
            families: Families::default(),
        };
        (supervisor, ask)
    }

    /// Runs until shutdown. Rollouts that were open come first: somebody's service may be down.
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
            match event {
                Event::Look => {}
                Event::RunEnded(id, app, conclusion) => self.run_ended(id, &app, conclusion.as_deref()).await?,
                Event::RolloutEnded(id, app) => {
                    self.rollouts.remove(&id);
                    self.bot.rollout_waits(id, false);
                    info!(%app, rollout = %id, "rollout is off the list");
                }
                Event::PromotionEnded(app, done) => self.promotion_ended(app, done),
                Event::Request(request) => self.answer(request).await?,
                Event::Shutdown => break,
            }
            self.pass().await?;
        }
        self.park().await;
        Ok(())
    }

    async fn take_up(&mut self) -> Result<(), StoreError> {
        // Nobody follows any more, but what was asked for goes on as it was asked for.
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
        let fleet = self.bot.in_force();
        if self.scope == Scope::All {
            self.track(&fleet.fleet.apps).await?;
            self.open_due().await?;
        }
        let apps: Vec<App> = match self.scope {
            Scope::All => fleet.fleet.apps.values().cloned().collect(),
            Scope::Asked => self
                .followed
                .iter()
                .filter_map(|name| fleet.fleet.apps.get(name).cloned())
                .collect(),
        };
        for app in apps {
            self.advance(&app).await?;
        }
        self.settle(&fleet.fleet.apps).await
    }

    /// First sight of new apps: what lies before now never fires.
    async fn track(&mut self, apps: &BTreeMap<AppName, App>) -> Result<(), StoreError> {
        for name in apps.keys() {
            if self.bot.standing(name).tracked.is_none() {
                self.bot
                    .commit(Batch::new(), name, &[AppEvent::Tracked], Vec::new())
                    .await?;
            }
        }
        Ok(())
    }

    async fn open_due(&mut self) -> Result<(), StoreError> {
        let fleet = self.bot.in_force();
        self.families = self.find_families(&fleet.fleet.apps);
        let progress: BTreeMap<AppName, schedule::Progress> = fleet
            .fleet
            .apps
            .keys()
            .filter_map(|name| {
                let standing = self.bot.standing(name);
                Some((
                    name.clone(),
                    schedule::Progress {
                        since: standing.tracked?,
                        last: standing.fired,
                    },
                ))
            })
            .collect();
        let running: BTreeSet<AppName> = self.runs.values().map(|(app, _)| app.clone()).collect();
        for due in schedule::due_apps(&fleet.fleet, &self.families, &progress, &running, clock::now()) {
            if let Some(app) = fleet.fleet.apps.get(&due.app) {
                self.open_run(app, Trigger::Schedule { slot: due.slot }, Vec::new())
                    .await?;
            }
        }
        Ok(())
    }

    fn find_families(&self, apps: &BTreeMap<AppName, App>) -> Families {
        let members: Vec<Member> = apps
            .values()
            .map(|app| Member {
                app: app.name.clone(),
                bases: self.bot.standing(&app.name).bases,
                publishes: app
                    .publish
                    .iter()
                    .flat_map(|p| std::iter::once(&p.image).chain(p.channels.iter().map(|c| &c.image)))
                    .cloned()
                    .collect(),
            })
            .collect();
        families(&members).unwrap_or_else(|looped| {
            warn!(%looped, "apps that build on each other are scheduled as if they did not");
            Families::default()
        })
    }

    /// Opens a run together with `facts` of the same cause.
    async fn open_run(&mut self, app: &App, trigger: Trigger, mut facts: Vec<AppEvent>) -> Result<RunId, StoreError> {
        let id = RunId(ulid::Ulid::generate());
        if let Trigger::Schedule { slot } = trigger {
            facts.push(AppEvent::Fired { slot, run: id });
        }
        let standing = self.bot.standing(&app.name);
        let event = RunEvent::Opened {
            app: Box::new(app.clone()),
            trigger,
            revision: self.bot.in_force().revision.clone(),
            last: standing.current().cloned().map(Box::new),
            quarantine: standing.quarantine.clone(),
        };
        self.bot
            .commit(
                Batch::new().run(&app.name, id, 0, &event),
                &app.name,
                &facts,
                Vec::new(),
            )
            .await?;
        self.bot.watchers.tell(Progress::RunOpened {
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
            let done = tokio::spawn(drive_rollout::drive(bot, id, interrupt)).await;
            drained(done, "rollout", &id.to_string());
            let _ = end.send(Event::RolloutEnded(id, app)).await;
        });
    }

    fn interrupt(&self) -> Interrupt {
        Interrupt {
            cancel: CancellationToken::new(),
            shutdown: self.shutdown.child_token(),
        }
    }

    async fn run_ended(&mut self, id: RunId, app: &AppName, conclusion: Option<&Conclusion>) -> Result<(), StoreError> {
        self.runs.remove(&id);
        let Some(Conclusion::Released { .. }) = conclusion else {
            return Ok(());
        };
        if self.scope == Scope::Asked {
            return Ok(());
        }
        // A released parent brings its children the same night.
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

    /// Promotions and rollouts that an app's releases ask for.
    async fn advance(&mut self, app: &App) -> Result<(), StoreError> {
        if self.bot.paused()
            || self
                .promoting
                .get(&app.name)
                .is_some_and(|until| until.is_none_or(|t| t > clock::now()))
        {
            return Ok(());
        }
        match standing::next(app, &self.bot.standing(&app.name)) {
            standing::Next::Idle => Ok(()),
            standing::Next::Promote {
                channel,
                release,
                digest,
            } => self.promote(app, channel, *release, digest).await,
            standing::Next::OpenRollout { target, release } => {
                self.open_rollout(app, *target, *release, Purpose::Release).await
            }
        }
    }

    async fn open_rollout(
        &mut self,
        app: &App,
        target: TargetPolicy,
        mut release: Release,
        purpose: Purpose,
    ) -> Result<(), StoreError> {
        let id = RolloutId(ulid::Ulid::generate());
        let channels = app.publish.as_ref().map(|p| p.channels.as_slice()).unwrap_or_default();
        let channel = channels
            .iter()
            .find(|channel| Some(&channel.name) == target.channel.as_ref());
        release.reference = standing::channel_reference(channel, &release);
        let run = release.run;
        let event = RolloutEvent::Opened {
            app: app.name.clone(),
            target: Box::new(target.clone()),
            timezone: app.timezone.clone(),
            release: Box::new(release),
            window_ignored: self.bot.expedited(&app.name),
            purpose,
        };
        let opened = AppEvent::RolloutOpened {
            target: target.name.clone(),
            release: run,
            rollout: id,
        };
        let batch = Batch::new().rollout(&app.name, id, 0, &event);
        self.bot.commit(batch, &app.name, &[opened], Vec::new()).await?;
        self.bot.watchers.tell(Progress::RolloutOpened {
            app: app.name.clone(),
            target: target.name,
            rollout: id,
            run,
        });
        self.start_rollout(id, app.name.clone());
        Ok(())
    }

    /// The digest goes to the channel; nothing is built. Journalled before, so that a kill repeats it: repeating is harmless.
    async fn promote(
        &mut self,
        app: &App,
        channel: Channel,
        release: Release,
        digest: ManifestDigest,
    ) -> Result<(), StoreError> {
        let started = AppEvent::PromoteStarted {
            channel: channel.name.clone(),
            release: release.run,
            reference: Reference::tagged(&channel.image, &channel.tag),
            digest: digest.clone(),
        };
        self.bot.commit(Batch::new(), &app.name, &[started], Vec::new()).await?;
        self.promoting.insert(app.name.clone(), None);
        let (bot, end, name) = (Arc::clone(&self.bot), self.end.clone(), app.name.clone());
        tokio::spawn(async move {
            let done = promote(&bot, &name, &channel, &release, &digest).await;
            let _ = end.send(Event::PromotionEnded(name, done)).await;
        });
        Ok(())
    }

    fn promotion_ended(&mut self, app: AppName, done: Result<(), String>) {
        match done {
            Ok(()) => {
                self.promoting.remove(&app);
            }
            Err(why) => {
                error!(%app, why, "promotion failed; it is tried again");
                let again = clock::now() + PROMOTE_RETRY;
                self.promoting.insert(app, Some(again));
            }
        }
    }

    /// Tells followers when nothing more will happen by itself.
    async fn settle(&mut self, apps: &BTreeMap<AppName, App>) -> Result<(), StoreError> {
        let settled: Vec<AppName> = self
            .followed
            .iter()
            .filter(|name| {
                let busy = self.runs.values().any(|(app, _)| app == *name)
                    || self.promoting.get(*name).is_some_and(Option::is_none)
                    || self
                        .rollouts
                        .iter()
                        .any(|(id, (app, _))| app == *name && !self.bot.is_waiting(*id));
                let idle = apps
                    .get(*name)
                    .is_none_or(|app| matches!(standing::next(app, &self.bot.standing(name)), standing::Next::Idle));
                let stuck = self.promoting.get(*name).is_some_and(Option::is_some) || self.bot.paused();
                !busy && (idle || stuck)
            })
            .cloned()
            .collect();
        for app in settled {
            self.followed.remove(&app);
            if self.bot.expedited(&app) {
                self.bot
                    .commit(Batch::new(), &app, &[AppEvent::Settled], Vec::new())
                    .await?;
            }
            self.bot.watchers.tell(Progress::Settled { app });
        }
        Ok(())
    }

    async fn answer(&mut self, request: Request) -> Result<(), StoreError> {
        let answer = self.obey(request.command).await?;
        // Whoever asked may have gone.
        let _ = request.answer.send(answer);
        Ok(())
    }

    async fn obey(&mut self, command: Command) -> Result<Answer, StoreError> {
        match command {
            Command::Run { apps, now, by } => self.run_apps(apps, now, &by).await,
            Command::Halt { app, by, why } => super::operator::halt(&self.bot, &app, by, why).await,
            Command::Resume { app, by, why } => super::operator::resume(&self.bot, &app, &by, &why).await,
            Command::Revert { app, by, why } => self.revert(&app, by, why).await,
            Command::Pause { on } => {
                self.bot.pause(on)?;
                Ok(Ok(if on {
                    "rollouts and promotions are paused"
                } else {
                    "rollouts and promotions go on"
                }
                .to_owned()))
            }
            Command::Cancel { run, by } => Ok(match self.runs.get(&run) {
                Some((_, interrupt)) => {
                    info!(%run, by, "cancelled");
                    interrupt.cancel.cancel();
                    Ok(format!("run {run} is being cancelled"))
                }
                None => Err(format!("run {run} is not under way")),
            }),
        }
    }

    async fn run_apps(&mut self, apps: Vec<AppName>, now: bool, by: &str) -> Result<Answer, StoreError> {
        let fleet = self.bot.in_force();
        let unknown: Vec<String> = apps
            .iter()
            .filter(|app| !fleet.fleet.apps.contains_key(*app))
            .map(ToString::to_string)
            .collect();
        if !unknown.is_empty() {
            return Ok(Err(format!("no such app: {}", unknown.join(", "))));
        }
        for name in &apps {
            self.followed.insert(name.clone());
            if self.scope == Scope::Asked {
                self.take_up_app(name).await?;
            }
            let busy = self.runs.values().any(|(running, _)| running == name);
            // Journalled, so that a kill does not leave a rollout waiting for a window nobody wanted.
            let expedited = now.then(|| AppEvent::Expedited { by: by.to_owned() });
            let facts = expedited.into_iter().collect();
            match fleet.fleet.apps.get(name).filter(|_| !busy) {
                Some(app) => {
                    self.open_run(app, Trigger::Manual { by: by.to_owned() }, facts).await?;
                }
                None => self.bot.commit(Batch::new(), name, &facts, Vec::new()).await?,
            }
        }
        Ok(Ok(format!(
            "running {}",
            apps.iter().map(AppName::as_str).collect::<Vec<_>>().join(", ")
        )))
    }

    /// Without a bot, what an earlier command left open of this app is taken up with it.
    async fn take_up_app(&mut self, app: &AppName) -> Result<(), StoreError> {
        for row in self
            .bot
            .store
            .open_streams()
            .await?
            .into_iter()
            .filter(|row| row.app == *app)
        {
            match row.stream {
                Stream::Rollout(id) if !self.rollouts.contains_key(&id) => self.start_rollout(id, row.app),
                Stream::Run(id) if !self.runs.contains_key(&id) => self.start_run(id, row.app),
                Stream::Rollout(_) | Stream::Run(_) | Stream::App(_) => {}
            }
        }
        Ok(())
    }

    /// Back to the release before, on every target that has one; the app is halted and its current release quarantined.
    async fn revert(&mut self, name: &AppName, by: String, why: String) -> Result<Answer, StoreError> {
        let Some(app) = self.bot.app(name) else {
            return Ok(Err(format!("no such app: {name}")));
        };
        let standing = self.bot.standing(name);
        let back: Vec<(TargetPolicy, Release)> = app
            .rollout
            .iter()
            .filter_map(|target| {
                let state = standing.targets.get(&target.name)?;
                Some((target.clone(), standing.release(state.before?)?.clone()))
            })
            .collect();
        if back.is_empty() {
            return Ok(Err(format!("{name} has no earlier release on any target")));
        }
        let told = super::operator::revert(&self.bot, name, &standing, by, why).await?;
        self.followed.insert(name.clone());
        for (target, release) in back {
            self.open_rollout(&app, target, release, Purpose::Revert).await?;
        }
        Ok(Ok(told))
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
                "parked in mid-effect; the next start goes on"
            );
        }
    }
}

async fn promote(
    bot: &Bot,
    app: &AppName,
    channel: &Channel,
    release: &Release,
    digest: &ManifestDigest,
) -> Result<(), String> {
    let fleet = bot.in_force();
    let served: ServedDigest = digest.to_string().try_into().map_err(|e| format!("{e}"))?;
    let from = &release.reference.repository;
    let registry = &fleet.registry;
    // The immutable tag travels along: the channel's repository then says which release it holds.
    let copied = registry
        .copy(from, &served, &channel.image, &release.tag, TagRule::Immutable)
        .await;
    copied.map_err(|e| e.to_string())?;
    let moved = registry
        .copy(from, &served, &channel.image, &channel.tag, TagRule::Moving)
        .await;
    moved.map_err(|e| e.to_string())?;
    let promoted = AppEvent::Promoted {
        channel: channel.name.clone(),
        release: release.run,
    };
    bot.commit(Batch::new(), app, &[promoted], Vec::new())
        .await
        .map_err(|e| e.to_string())?;
    bot.watchers.tell(Progress::Promoted {
        app: app.clone(),
        channel: channel.name.to_string(),
        tag: release.tag.clone(),
    });
    Ok(())
}

/// A driver that failed or panicked holds its own stream; the process lives.
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
