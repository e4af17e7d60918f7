//! The state of the fleet as the journal has it, for `status`, `plan`, the status page and the metrics. It may run
//! beside the bot: nothing is written, and what an open rollout waits for is predicted, not queried.

use super::blocking::run_blocking;
use super::bot::Bot;
use crate::clients::clock;
use crate::store::database::Store;
use crate::store::error::StoreError;
use crate::store::overview::{Glance, RunEnd};
use jiff::{SignedDuration, Timestamp};
use lowtide_core::decide::app_state::{self, AppState, Drifted, Failing, Refusal, Unpromoted};
use lowtide_core::decide::family::{self, Families};
use lowtide_core::decide::halt;
use lowtide_core::decide::rollout::{self, Outside, RolloutState};
use lowtide_core::decide::run as run_line;
use lowtide_core::decide::schedule::{self, Calendar, Progress};
use lowtide_core::decide::window::WindowState;
use lowtide_core::decide::{forecast, gates};
use lowtide_core::fleet::app::{App, Fleet};
use lowtide_core::fleet::rollout::RolloutEvent;
use lowtide_core::kinds::list::TargetPolicy;
use lowtide_core::report::views::{AppCondition, RunRow, StatusRow};
use lowtide_core::report::windows::Needs;
use lowtide_model::failure::{FailureKind, HaltReason, WaitReason};
use lowtide_model::halt::Exposure;
use lowtide_model::journal::{Recorded, Stream};
use lowtide_model::name::{AppName, ChannelName, RolloutId, RunId, TargetName};
use lowtide_model::policy::Mode;
use lowtide_model::preview::{Entry, RolloutPreview};
use lowtide_model::run::{Conclusion, Stage};
use lowtide_model::trouble::{RefusedRevision, Trouble};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Earlier runs that predict how long the next one will take.
const EARLIER: u32 = 20;

/// See the module.
#[derive(Debug, Clone)]
pub struct FleetStatus {
    pub now: Timestamp,
    /// Everything is paused.
    pub paused: bool,
    pub apps: Vec<AppStatus>,
    /// Notices that wait for delivery.
    pub notices: u64,
    /// Those the store knows of; from inside the bot also its own.
    pub troubles: Vec<Trouble>,
}

/// One configured app.
#[derive(Debug, Clone)]
pub struct AppStatus {
    pub app: Arc<App>,
    pub app_state: Arc<AppState>,
    /// Those whose release brings it, by name.
    pub parents: Vec<AppName>,
    pub next_run: Option<Timestamp>,
    pub last_run: Option<RunRow>,
    /// The stage of the run under way; `None` inside: between two.
    pub running: Option<(RunId, Option<Stage>)>,
    pub rollouts: Vec<OpenRollout>,
}

/// A rollout that is not over.
#[derive(Debug, Clone)]
pub struct OpenRollout {
    pub id: RolloutId,
    pub target: TargetName,
    pub tag: String,
    /// `None`: it is in progress.
    pub waits: Option<WaitReason>,
    /// It has waited for too long, since then.
    pub overdue: Option<Timestamp>,
    pub opened: Timestamp,
    pub entry: Entry,
    /// How much of an opening it may need, bake and way back included, and how many earlier ones say so.
    pub needs: (SignedDuration, usize),
    pub bake: SignedDuration,
    inputs: PreviewInputs,
}

/// What a preview is made from.
#[derive(Debug, Clone)]
struct PreviewInputs {
    state: RolloutState,
    events: Vec<Recorded<RolloutEvent>>,
    outside: Outside,
    app_state: Arc<AppState>,
    now: Timestamp,
}

impl OpenRollout {
    /// What it has moved and what comes next. Made when it is asked for: of a thousand rollouts that wait, a page shows a few, and metrics
    /// show none.
    #[must_use]
    pub fn preview(&self) -> RolloutPreview {
        let it = &self.inputs;
        rollout::preview(&it.state, &it.events, &it.outside, &it.app_state.releases, it.now)
    }
}

/// A run of the coming night that ends only after a target's window has opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Late {
    pub done: Timestamp,
    pub opens: Timestamp,
}

/// The moment that a status describes.
#[must_use]
pub fn now() -> Timestamp {
    clock::now()
}

/// Are all rollouts and promotions paused? The mark is a file of the state directory.
#[must_use]
pub fn paused(state: &Path) -> bool {
    state.join("paused").exists()
}

/// Every app's state, folded from its stream.
///
/// # Errors
/// When the store cannot be read.
pub async fn app_states(store: &Store) -> Result<BTreeMap<AppName, Arc<AppState>>, StoreError> {
    let folded = store.fold_apps(|events| Arc::new(app_state::fold(events))).await?;
    Ok(folded.into_iter().collect())
}

/// The rollout that an app's halt is about, else the last one that ended badly or withdrew a release for an operator.
#[must_use]
pub fn incident_of(app_state: &AppState) -> Option<RolloutId> {
    let open = app_state.incidents.last().map(|incident| incident.rollout);
    let operator_rollback = app_state
        .operator_rollbacks
        .last()
        .and_then(|operator_rollback| operator_rollback.rollouts.last().copied());
    // Later ones have greater ids.
    open.or_else(|| app_state.halted_by.max(operator_rollback))
}

/// Since when the app waits for a resume after this rollout; `None`: it does not.
#[must_use]
pub fn halted_since(app_state: &AppState, rollout: RolloutId) -> Option<Timestamp> {
    let incident = app_state.incidents.iter().find(|open| open.rollout == rollout);
    incident.map(|incident| incident.at).or_else(|| {
        let last = app_state.operator_rollbacks.last()?;
        let (since, reason) = app_state.halted.as_ref()?;
        let rolled_back = matches!(reason, HaltReason::Withdrawn { .. });
        (rolled_back && last.rollouts.contains(&rollout)).then_some(*since)
    })
}

/// The part of a status that comes from the store. It does not depend on the configuration, so both can be read at the same time.
pub struct Stored {
    /// `None`: there is no state directory, so nothing has happened yet.
    known: Option<(BTreeMap<AppName, Arc<AppState>>, Glance)>,
}

impl Stored {
    /// A stream that cannot be folded is left out here and shown by `show`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn read(store: Option<&Store>) -> Result<Self, StoreError> {
        let known = match store {
            Some(store) => Some(tokio::try_join!(app_states(store), store.glance())?),
            None => None,
        };
        Ok(Self { known })
    }

    /// The reading of this fleet.
    #[must_use]
    pub fn fleet_status(self, fleet: &Fleet, paused: bool, now: Timestamp) -> FleetStatus {
        match self.known {
            Some((app_states, glance)) => gathered(glance, fleet, app_states, None, (paused, now)),
            None => untouched(fleet, paused, now),
        }
    }
}

/// Milliseconds of work where there are many apps. `only`: of this app alone.
fn gathered(
    glance: Glance,
    fleet: &Fleet,
    mut app_states: BTreeMap<AppName, Arc<AppState>>,
    only: Option<&AppName>,
    (paused, now): (bool, Timestamp),
) -> FleetStatus {
    let bases = |app: &AppName| app_states.get(app).map(|s| s.bases.clone()).unwrap_or_default();
    let families = family::of_apps(fleet.apps.values(), bases).unwrap_or_default();
    let newest = glance.newest.iter().filter_map(run_row);
    let mut last: BTreeMap<AppName, RunRow> = newest.map(|row| (row.app.clone(), row)).collect();
    let mut running: BTreeMap<AppName, (RunId, Option<Stage>)> = BTreeMap::new();
    for (row, id, events) in glance.runs {
        let stage = run_line::fold(id, &events).ok().and_then(|s| s.stage());
        running.insert(row.app, (id, stage));
    }
    let mut rollouts: BTreeMap<AppName, Vec<OpenRollout>> = BTreeMap::new();
    for (row, events) in glance.rollouts {
        let Stream::Rollout(id) = row.stream else { continue };
        if let Ok(state) = rollout::fold(id, &events) {
            let app_state = Arc::clone(app_states.entry(row.app.clone()).or_default());
            let outside = gates::outside(&state, &app_state, fleet.apps.get(&row.app).map(AsRef::as_ref), paused);
            let open = open_rollout(PreviewInputs {
                state,
                events,
                outside,
                app_state,
                now,
            });
            rollouts.entry(row.app).or_default().push(open);
        }
    }
    let mut calendar = Calendar::default();
    let apps = fleet
        .apps
        .values()
        .filter(|app| only.is_none_or(|only| app.name == *only))
        .map(|app| {
            let app_state = app_states.remove(&app.name).unwrap_or_default();
            AppStatus {
                next_run: next_run(app, &families, &app_state, &mut calendar, now),
                parents: families.place(&app.name).parents.into_iter().collect(),
                last_run: last.remove(&app.name),
                running: running.remove(&app.name),
                rollouts: rollouts.remove(&app.name).unwrap_or_default(),
                app: Arc::clone(app),
                app_state,
            }
        })
        .collect();
    FleetStatus {
        now,
        paused,
        apps,
        notices: glance.notices,
        troubles: refused(glance.refused),
    }
}

/// The bot's own fleet, now.
///
/// # Errors
/// When the store cannot be read.
pub async fn of_bot(bot: &Bot) -> Result<FleetStatus, StoreError> {
    let glance = bot.store.glance().await?;
    let mut fleet_status = of_glance(bot, glance, None).await;
    fleet_status.troubles.extend(bot.troubles.all());
    Ok(fleet_status)
}

/// The same of one app; `None`: it is not configured.
///
/// # Errors
/// When the store cannot be read.
pub async fn of_app(bot: &Bot, app: &AppName) -> Result<Option<FleetStatus>, StoreError> {
    if bot.app(app).is_none() {
        return Ok(None);
    }
    let glance = bot.store.glance_of(app.clone()).await?;
    let fleet_status = of_glance(bot, glance, Some(app.clone())).await;
    // It may have been taken out of the configuration meanwhile.
    Ok((!fleet_status.apps.is_empty()).then_some(fleet_status))
}

async fn of_glance(bot: &Bot, glance: Glance, only: Option<AppName>) -> FleetStatus {
    let fleet = bot.in_force();
    let apps = fleet.fleet.apps.keys();
    let app_states = apps.map(|app| (app.clone(), bot.app_state(app))).collect();
    let at = (bot.paused(), clock::now());
    run_blocking(move || gathered(glance, &fleet.fleet, app_states, only.as_ref(), at)).await
}

/// What is wrong around the bot.
///
/// # Errors
/// When the store cannot be read.
pub async fn troubles(bot: &Bot) -> Result<Vec<Trouble>, StoreError> {
    let mut troubles = refused(bot.store.refused().await?);
    troubles.extend(bot.troubles.all());
    Ok(troubles)
}

fn refused(refused: Option<RefusedRevision>) -> Vec<Trouble> {
    refused.map(Trouble::ConfigurationRefused).into_iter().collect()
}

/// The fleet before anything happened.
#[must_use]
pub fn untouched(fleet: &Fleet, paused: bool, now: Timestamp) -> FleetStatus {
    let mut calendar = Calendar::default();
    let apps = fleet.apps.values().map(|app| AppStatus {
        next_run: next_run(app, &Families::default(), &AppState::default(), &mut calendar, now),
        app: Arc::clone(app),
        app_state: Arc::default(),
        parents: Vec::new(),
        last_run: None,
        running: None,
        rollouts: Vec::new(),
    });
    FleetStatus {
        now,
        paused,
        apps: apps.collect(),
        notices: 0,
        troubles: Vec::new(),
    }
}

/// A run as `history` shows it; `None`: it does not say why it began.
#[must_use]
pub fn run_row(end: &RunEnd) -> Option<RunRow> {
    Some(RunRow {
        run: end.run,
        app: end.row.app.clone(),
        started: end.row.opened,
        took_ms: end.row.closed.map(|closed| millis(end.row.opened, closed)),
        trigger: end.row.cause.clone()?,
        conclusion: end.conclusion().cloned(),
    })
}

/// How long the last ended runs of each app usually took; those without any are left out.
///
/// # Errors
/// When the store cannot be read.
pub async fn usual_lengths(store: &Store, apps: Vec<AppName>) -> Result<BTreeMap<AppName, SignedDuration>, StoreError> {
    let lengths = store.run_lengths(apps, EARLIER).await?;
    let usual = lengths
        .into_iter()
        .filter_map(|(app, lengths)| Some((app, forecast::median(lengths)?)));
    Ok(usual.collect())
}

pub(super) fn millis(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0)
}

fn open_rollout(inputs: PreviewInputs) -> OpenRollout {
    let (state, outside, now) = (&inputs.state, &inputs.outside, inputs.now);
    let waits = forecast::rollout_waits(state, outside, now);
    let timed = inputs
        .app_state
        .targets
        .get(&state.target.name)
        .map_or(0, |known| known.took.len());
    OpenRollout {
        id: state.id,
        target: state.target.name.clone(),
        tag: state.release.tag.clone(),
        overdue: state.window_progress.late_notice_sent.then_some(outside.waits.since),
        opened: state.opened,
        entry: forecast::entry(state, outside, waits.as_ref(), now),
        needs: (outside.needs, timed),
        bake: state.target.bake,
        waits,
        inputs,
    }
}

fn next_run(
    app: &App,
    families: &Families,
    app_state: &AppState,
    calendar: &mut Calendar,
    now: Timestamp,
) -> Option<Timestamp> {
    let progress = Progress {
        since: app_state.tracked.unwrap_or(now),
        last: app_state.schedule_fired,
    };
    let place = families.place(&app.name);
    // What is due already starts as soon as there is room.
    schedule::due(app, &place, progress, calendar, now)
        .map(|_| now)
        .or_else(|| schedule::next(app, &place, progress, calendar, now))
}

impl AppStatus {
    /// One line's worth: what needs attention first, then what moves, then what waits.
    #[must_use]
    pub fn state(&self) -> AppCondition {
        if let Some((since, _)) = &self.app_state.halted {
            return AppCondition::Halted {
                since: *since,
                exposure: self.exposure(),
            };
        }
        if let Some((_, stage)) = self.running {
            return AppCondition::Running {
                stage: stage.unwrap_or(Stage::Resolve),
            };
        }
        if let Some(rollout) = self.rollouts.iter().find(|r| r.waits.is_none()) {
            return AppCondition::Rolling {
                target: rollout.target.clone(),
            };
        }
        if let Some(failing) = &self.app_state.failing {
            let (stage, kind) = self.failed_at(failing);
            return AppCondition::Failing {
                stage,
                kind,
                since: failing.since,
            };
        }
        if let Some(refusal) = self.refusals().next() {
            return AppCondition::Refused {
                target: refusal.target.clone(),
                failure: Box::new(refusal.failure.clone()),
                since: refusal.since,
            };
        }
        if let Some((channel, failing)) = self.unpromoted().next() {
            return AppCondition::Unpromoted {
                channel: channel.clone(),
                failure: Box::new(failing.failure.clone()),
                since: failing.since,
                again: failing.due(),
            };
        }
        if let Some(drifted) = self.drifted().next() {
            return AppCondition::Drifted {
                target: drifted.target.clone(),
                tag: drifted.release.tag.clone(),
                since: drifted.since,
                drift: drifted.drift.clone(),
            };
        }
        if let Some(difference) = self.app_state.registry_differences(&self.app).first() {
            return AppCondition::RegistryDrifted {
                reference: difference.reference.clone(),
                since: difference.since,
                drift: difference.drift.clone(),
            };
        }
        for rollout in &self.rollouts {
            if let Some(why) = &rollout.waits {
                return AppCondition::Waiting {
                    target: rollout.target.clone(),
                    why: why.clone(),
                };
            }
        }
        match (&self.last_run, &self.app_state.unfixable) {
            (None, _) => AppCondition::New,
            (Some(_), None) => AppCondition::Fresh,
            (Some(_), Some((since, unfixable))) => AppCondition::Behind {
                since: *since,
                unfixable: Box::new(unfixable.clone()),
            },
        }
    }

    /// Configured targets that have not taken the current release, with nothing wrong with it.
    pub fn refusals(&self) -> impl Iterator<Item = Refusal<'_>> {
        let active = self.app.mode == Mode::Active;
        let configured = |refusal: &Refusal<'_>| {
            self.app
                .rollout
                .iter()
                .any(|target| target.settings.name == *refusal.target)
        };
        self.app_state
            .refusals()
            .filter(move |refusal| active && configured(refusal))
    }

    /// Configured targets that no longer run their last release.
    pub fn drifted(&self) -> impl Iterator<Item = Drifted<'_>> {
        let active = self.app.mode == Mode::Active;
        let configured = |drifted: &Drifted<'_>| {
            self.app
                .rollout
                .iter()
                .any(|target| target.settings.name == *drifted.target)
        };
        self.app_state
            .drifted()
            .filter(move |drifted| active && configured(drifted))
    }

    /// Channels that do not get their release.
    pub fn unpromoted(&self) -> impl Iterator<Item = (&ChannelName, &Unpromoted)> {
        let active = self.app.mode == Mode::Active;
        self.app_state.unpromoted(&self.app).filter(move |_| active)
    }

    /// Rollouts of each target that are still watched twice as long; targets without any are left out.
    #[must_use]
    pub fn probation(&self) -> Vec<(TargetName, u32)> {
        let left = |target: &TargetPolicy| {
            (
                target.settings.name.clone(),
                self.app_state.probation.left(&target.settings.name),
            )
        };
        let targets = self.app.rollout.iter().map(left);
        targets.filter(|(_, left)| *left > 0).collect()
    }

    /// How old what runs is, and what it lacks.
    #[must_use]
    pub fn exposure(&self) -> Exposure {
        halt::exposure(&self.app_state)
    }

    #[must_use]
    pub fn status_row(&self) -> StatusRow {
        StatusRow {
            app: self.app.name.clone(),
            mode: self.app.mode,
            release: self.app_state.current().map(|release| release.tag.clone()),
            last_run: self.last_run.as_ref().map(|run| run.started),
            next_run: self.next_run,
            state: self.state(),
            probation: self.probation(),
        }
    }

    /// When the target's window is open next.
    #[must_use]
    pub fn window(&self, target: &TargetPolicy, now: Timestamp) -> Window {
        match forecast::target_window(target, &self.app.timezone, now) {
            WindowState::Open { until } => Window::Open { until },
            WindowState::Closed { opens } => Window::Closed { opens },
            WindowState::Frozen => Window::Frozen,
            WindowState::NoWindow => Window::Never,
            WindowState::Never => Window::NeverOpens,
        }
    }

    /// What the next rollout of a target may take, and how many earlier ones say so.
    #[must_use]
    pub fn estimate(&self, target: &TargetPolicy) -> (SignedDuration, usize) {
        gates::estimate(target, &self.app_state)
    }

    /// How much of an opening must be left for a rollout of the target to begin: the open one, else the next one.
    #[must_use]
    pub fn needs(&self, target: &TargetPolicy) -> Needs {
        if let Some(cutoff) = target.settings.window.as_ref().and_then(|window| window.cutoff) {
            return Needs::Cutoff(cutoff);
        }
        let open = self
            .rollouts
            .iter()
            .find(|rollout| rollout.target == target.settings.name);
        let (lasts, rollouts) = open.map_or_else(|| self.estimate(target), |open| open.needs);
        Needs::Estimate { lasts, rollouts }
    }

    /// Does the coming night end too late for the target's window, going by the usual length of a run?
    #[must_use]
    pub fn late(&self, target: &TargetPolicy, usual: Option<SignedDuration>) -> Option<Late> {
        let late = forecast::too_late(&self.app, target, self.next_run?, usual?)?;
        Some(Late {
            done: late.done,
            opens: late.opens,
        })
    }

    fn failed_at(&self, failing: &Failing) -> (Stage, FailureKind) {
        if let Some(Conclusion::Failed { stage, failure }) = self.last_run.as_ref().and_then(|r| r.conclusion.as_ref())
        {
            return (*stage, failure.kind);
        }
        // The run is forgotten; its cause is not (`decide::notify::cause`).
        let part = |text: &str| serde_json::Value::from(text);
        let mut parts = failing.cause.split('/');
        let stage = parts.clone().find_map(|p| serde_json::from_value(part(p)).ok());
        let kind = parts.find_map(|p| serde_json::from_value(part(p)).ok());
        (stage.unwrap_or(Stage::Resolve), kind.unwrap_or(FailureKind::Invariant))
    }
}

/// A target's window as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    Open {
        until: Timestamp,
    },
    Closed {
        opens: Timestamp,
    },
    Frozen,
    /// There is one, and it never opens.
    NeverOpens,
    /// There is none.
    Never,
}
