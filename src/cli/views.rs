//! What `--json` prints. Each output is one JSON object with `"version": 1`; keys are added, never renamed or reused,
//! without a new version. Times are UTC (RFC 3339), lengths milliseconds. Triggers, conclusions, wait and halt reasons
//! have the journal's own shape.

use crate::runtime::fleet_status::{AppStatus, FleetStatus, OpenRollout};
use crate::runtime::inventory::compare::{Compared, Read};
use crate::runtime::progress::Left;
use jiff::Timestamp;
use lowtide_core::fleet::app_state::{AppEvent, FleetEvent, UnfixableUpdates};
use lowtide_core::kinds::list::Step;
use lowtide_core::report::json::Halted;
pub(super) use lowtide_core::report::json::VERSION;
use lowtide_core::report::views::{Progress, RolloutView, RunRow, RunView};
use lowtide_model::comparison::{
    ComparedImage, Comparison, ConfigDelta, FileDelta, LayerDelta, PackageDelta, Significance,
};
use lowtide_model::failure::WaitReason;
use lowtide_model::freshness::{Fix, Outdated, OutdatedHost, PendingPackage, RunningContainer, Unknown};
use lowtide_model::halt::{HaltPolicy, Incident, OpenIncident, OperatorRollback, Require};
use lowtide_model::image::ContentDigest;
use lowtide_model::inventory::{Change, ImageLayer, Package};
use lowtide_model::journal::Recorded;
use lowtide_model::name::AppName;
use lowtide_model::policy::Mode;
use lowtide_model::rollout::RolloutConclusion;
use lowtide_model::run::{Conclusion, Stage, Trigger};
use lowtide_model::stages::resolve::Commit;
use lowtide_model::stages::test::TestReport;
use lowtide_model::trouble::Trouble;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// `status --json`.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    version: u32,
    now: Timestamp,
    paused: bool,
    /// Mails that wait for delivery.
    notices_pending: u64,
    /// What is wrong around the bot: a revision of the configuration that was refused.
    troubles: Vec<Trouble>,
    apps: Vec<App>,
}

#[derive(Debug, Serialize)]
struct App {
    app: String,
    mode: Mode,
    /// `new`, `fresh`, `running`, `rolling`, `behind`, `waiting`, `refused`, `unpromoted`,
    /// `drifted`, `registry_drifted`, `failing`, `halted`.
    state: &'static str,
    stage: Option<Stage>,
    release: Option<Release>,
    last_run: Option<Run>,
    next_run: Option<Timestamp>,
    failing_since: Option<Timestamp>,
    halted: Option<Halted>,
    /// Rollouts that halted it and are not resumed yet.
    incidents: Vec<OpenIncident>,
    /// New releases that are still watched twice as long, of the target with the most.
    probation: u32,
    /// The same of each target; others are left out.
    probation_left: BTreeMap<String, u32>,
    /// Releases that did not come where they should be, with nothing wrong with them.
    left: Vec<Left>,
    /// Fixes that no rebuild can bring.
    unfixable: Option<ShownUnfixable>,
    rollouts: Vec<Rollout>,
}

#[derive(Debug, Serialize)]
struct Release {
    tag: String,
    digest: Option<String>,
    image: String,
    /// `null`: no run of ours built it.
    commit: Option<String>,
    run: String,
    at: Timestamp,
}

/// An open rollout; `waits` is `null` while it is in progress.
#[derive(Debug, Serialize)]
struct Rollout {
    rollout: String,
    target: String,
    tag: String,
    waits: Option<WaitReason>,
    /// It has waited for too long, since then; `null`: it has not.
    overdue: Option<Timestamp>,
}

/// A run in `history --json`.
#[derive(Debug, Serialize)]
struct Run {
    run: String,
    app: String,
    started: Timestamp,
    /// `null` while it is under way, like `conclusion`.
    took_ms: Option<u64>,
    trigger: Trigger,
    conclusion: Option<Conclusion>,
}

/// `audit --json`: the journal's events with their kind as `event`, but for the settings of an app that was halted.
#[derive(Debug, Serialize)]
pub(super) struct Audit {
    version: u32,
    entries: Vec<Audited>,
}

#[derive(Debug, Serialize)]
struct Audited {
    at: Timestamp,
    /// `None`: all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<AppName>,
    event: serde_json::Map<String, serde_json::Value>,
}

/// `history --json`.
#[derive(Debug, Serialize)]
pub(super) struct History {
    version: u32,
    runs: Vec<Run>,
}

/// `show RUN --json`.
#[derive(Debug, Serialize)]
pub(super) struct ShownRun {
    version: u32,
    #[serde(flatten)]
    run: Run,
    revision: String,
    commit: Option<Commit>,
    /// The commit's page; `null`: none is known.
    link: Option<String>,
    stages: Vec<Part<Stage>>,
    tests: Option<TestReport>,
    change: Option<Change>,
    /// Paths of logs and kept artefacts on this machine.
    files: Vec<PathBuf>,
}

/// `show ROLLOUT --json`.
#[derive(Debug, Serialize)]
pub(super) struct ShownRollout {
    version: u32,
    rollout: String,
    app: String,
    target: String,
    tag: String,
    started: Timestamp,
    steps: Vec<Part<Step>>,
    conclusion: Option<RolloutConclusion>,
    incident: Incident,
}

/// `incident --json`.
#[derive(Debug, Serialize)]
pub(super) struct ShownIncident<'a> {
    version: u32,
    /// Since when the app waits for a resume after it; `null`: it does not.
    halted_since: Option<Timestamp>,
    require: Require,
    /// The operator's revert that it is part of.
    rolled_back: Option<&'a OperatorRollback>,
    #[serde(flatten)]
    incident: &'a Incident,
    /// YAML, to fill in.
    form: &'a str,
}

impl<'a> ShownIncident<'a> {
    pub(super) fn new(
        incident: &'a Incident,
        policy: &HaltPolicy,
        (since, rolled_back): (Option<Timestamp>, Option<&'a OperatorRollback>),
        form: &'a str,
    ) -> Self {
        Self {
            version: VERSION,
            halted_since: since,
            require: policy.require,
            rolled_back,
            incident,
            form,
        }
    }
}

/// A stage of a run, a step of a rollout.
#[derive(Debug, Serialize)]
struct Part<T> {
    what: T,
    /// `running`, `done`, `failed`, `abandoned`.
    state: &'static str,
    took_ms: Option<u64>,
    note: String,
}

/// `diff --json`: `{"version":1,"old":{…},"new":{…},"verdict":"none|cosmetic|security|functional","packages":[…],
/// "config":[…],"files":{"added","removed","changed","list":[…]},"layers":{"shared","old":[…],"new":[…]}}`; see
/// docs/diff.md.
#[derive(Debug, Serialize)]
pub(super) struct Diff<'a> {
    version: u32,
    old: &'a ComparedImage,
    new: &'a ComparedImage,
    verdict: Significance,
    packages: &'a [PackageDelta],
    config: &'a [ConfigDelta],
    files: DiffFiles<'a>,
    layers: &'a LayerDelta,
}

#[derive(Debug, Serialize)]
struct DiffFiles<'a> {
    added: usize,
    removed: usize,
    changed: usize,
    list: &'a [FileDelta],
}

impl<'a> From<&'a Compared> for Diff<'a> {
    fn from(compared: &'a Compared) -> Self {
        let Comparison {
            verdict,
            packages,
            config,
            files,
            layers,
        } = &compared.comparison;
        let [added, removed, changed] = FileDelta::counts(files);
        Self {
            version: VERSION,
            old: &compared.old,
            new: &compared.new,
            verdict: *verdict,
            packages,
            config,
            files: DiffFiles {
                added,
                removed,
                changed,
                list: files,
            },
            layers,
        }
    }
}

/// `inventory --json`: `{"version":1,"image":{…},"content","packages":[…],"layers":[…],"files","unknown":[PATH…]}`.
#[derive(Debug, Serialize)]
pub(super) struct ShownInventory<'a> {
    version: u32,
    image: &'a ComparedImage,
    content: &'a ContentDigest,
    packages: &'a [Package],
    layers: &'a [ImageLayer],
    /// How many.
    files: usize,
    /// Paths of package databases and sources that lead to files which were not kept.
    unknown: &'a [String],
}

impl<'a> From<&'a Read> for ShownInventory<'a> {
    fn from(read: &'a Read) -> Self {
        let Read {
            image, seen, content, ..
        } = read;
        Self {
            version: VERSION,
            image,
            content,
            packages: &seen.inventory.packages,
            layers: &seen.inventory.layers,
            files: seen.inventory.files.len(),
            unknown: &seen.uncaptured,
        }
    }
}

#[derive(Debug, Serialize)]
struct ShownUnfixable {
    since: Timestamp,
    #[serde(flatten)]
    unfixable: UnfixableUpdates,
}

/// `outdated --json`.
#[derive(Debug, Serialize)]
pub(super) struct ShownOutdated<'a> {
    version: u32,
    images: Vec<OutdatedImage<'a>>,
}

#[derive(Debug, Serialize)]
struct OutdatedImage<'a> {
    image: &'a str,
    /// `null`: it was not found.
    digest: Option<&'a str>,
    os: Option<&'a str>,
    pending: Vec<PendingItem<'a>>,
    unknown: Vec<Cow<'a, Unknown>>,
}

#[derive(Debug, Serialize)]
struct PendingItem<'a> {
    package: &'a str,
    architecture: &'a str,
    /// `null`: it would come anew.
    installed: Option<&'a str>,
    candidate: &'a str,
    origin: &'a str,
    security: bool,
    /// `null`: it is not known how the image is built.
    fixable: Option<bool>,
    fix: &'a Fix,
}

impl<'a> From<&'a [Outdated]> for ShownOutdated<'a> {
    fn from(images: &'a [Outdated]) -> Self {
        Self {
            version: VERSION,
            images: images.iter().map(outdated).collect(),
        }
    }
}

/// `outdated --running --json`: `images[].digest` is the `image_id` of the containers that run it.
#[derive(Debug, Serialize)]
pub(super) struct ShownRunning<'a> {
    version: u32,
    containers: &'a [RunningContainer],
    images: Vec<OutdatedImage<'a>>,
}

impl<'a> From<&'a OutdatedHost> for ShownRunning<'a> {
    fn from(host: &'a OutdatedHost) -> Self {
        Self {
            version: VERSION,
            containers: &host.containers,
            images: host.images.iter().map(outdated).collect(),
        }
    }
}

fn outdated(image: &Outdated) -> OutdatedImage<'_> {
    let survey = &image.survey;
    let unseen = survey.unseen.iter().map(|why| {
        Cow::Owned(Unknown {
            source: "the image".to_owned(),
            why: why.clone(),
        })
    });
    OutdatedImage {
        image: &image.image,
        digest: image.digest.as_deref(),
        os: image.os.as_deref(),
        pending: survey.pending.iter().map(pending).collect(),
        unknown: survey.unknown.iter().map(Cow::Borrowed).chain(unseen).collect(),
    }
}

fn pending(pending: &PendingPackage) -> PendingItem<'_> {
    PendingItem {
        package: &pending.package,
        architecture: &pending.architecture,
        installed: pending.installed.as_deref(),
        candidate: &pending.candidate,
        origin: &pending.origin,
        security: pending.security,
        fixable: match pending.fix {
            Fix::Rebuild => Some(true),
            Fix::Perhaps { .. } => None,
            Fix::Base { .. } | Fix::Pin { .. } => Some(false),
        },
        fix: &pending.fix,
    }
}

impl From<&FleetStatus> for Status {
    fn from(fleet_status: &FleetStatus) -> Self {
        Self {
            version: VERSION,
            now: fleet_status.now,
            paused: fleet_status.paused,
            notices_pending: fleet_status.notices,
            troubles: fleet_status.troubles.clone(),
            apps: fleet_status.apps.iter().map(App::from).collect(),
        }
    }
}

impl From<&AppStatus> for App {
    fn from(app: &AppStatus) -> Self {
        Self {
            app: app.app.name.to_string(),
            mode: app.app.mode,
            state: app.state().word(),
            stage: app.running.and_then(|(_, stage)| stage),
            release: app.app_state.current().map(|release| Release {
                tag: release.tag.clone(),
                digest: release.digest.as_ref().map(ToString::to_string),
                image: release.images.first().image.to_string(),
                commit: release.commit.clone(),
                run: release.run.to_string(),
                at: release.at,
            }),
            last_run: app.last_run.as_ref().map(Run::from),
            next_run: app.next_run,
            failing_since: app.app_state.failing.as_ref().map(|failing| failing.since),
            halted: app
                .app_state
                .halted
                .as_ref()
                .map(|halted| Halted::new(halted, app.exposure())),
            incidents: app.app_state.incidents.clone(),
            probation: app.probation().into_iter().map(|(_, left)| left).max().unwrap_or(0),
            probation_left: app
                .probation()
                .into_iter()
                .map(|(target, left)| (target.to_string(), left))
                .collect(),
            left: Left::of(&app.app, &app.app_state),
            unfixable: app
                .app_state
                .unfixable
                .as_ref()
                .map(|(since, unfixable)| ShownUnfixable {
                    since: *since,
                    unfixable: unfixable.clone(),
                }),
            rollouts: app.rollouts.iter().map(Rollout::from).collect(),
        }
    }
}

impl From<&OpenRollout> for Rollout {
    fn from(rollout: &OpenRollout) -> Self {
        Self {
            rollout: rollout.id.to_string(),
            target: rollout.target.to_string(),
            tag: rollout.tag.clone(),
            waits: rollout.waits.clone(),
            overdue: rollout.overdue,
        }
    }
}

impl From<&RunRow> for Run {
    fn from(row: &RunRow) -> Self {
        Self {
            run: row.run.to_string(),
            app: row.app.to_string(),
            started: row.started,
            took_ms: row.took_ms,
            trigger: row.trigger.clone(),
            conclusion: row.conclusion.clone(),
        }
    }
}

/// An event as one object: the journal has `{kind: {fields}}`, and programs get the kind as the field `event`.
fn flat(event: &impl Serialize) -> serde_json::Map<String, serde_json::Value> {
    let event = serde_json::to_value(event).unwrap_or_default();
    let mut flat = serde_json::Map::new();
    if let Some(kind) = event.as_str() {
        flat.insert("event".to_owned(), kind.into());
    }
    for (kind, fields) in event.as_object().into_iter().flatten() {
        flat.insert("event".to_owned(), kind.as_str().into());
        flat.extend(fields.as_object().cloned().unwrap_or_default());
    }
    flat
}

impl Audit {
    pub(super) fn of(of_apps: Vec<(AppName, Recorded<AppEvent>)>, of_all: Vec<Recorded<FleetEvent>>) -> Self {
        let of_apps = of_apps.into_iter().map(|(app, mut recorded)| {
            if let AppEvent::Halted { settings, .. } = &mut recorded.event {
                *settings = None;
            }
            Audited {
                at: recorded.at,
                app: Some(app),
                event: flat(&recorded.event),
            }
        });
        let of_all = of_all.into_iter().map(|recorded| Audited {
            at: recorded.at,
            app: None,
            event: flat(&recorded.event),
        });
        let mut entries: Vec<Audited> = of_apps.chain(of_all).collect();
        entries.sort_by_key(|entry| entry.at);
        Self {
            version: VERSION,
            entries,
        }
    }
}

impl From<&[RunRow]> for History {
    fn from(rows: &[RunRow]) -> Self {
        Self {
            version: VERSION,
            runs: rows.iter().map(Run::from).collect(),
        }
    }
}

impl From<RunView> for ShownRun {
    fn from(view: RunView) -> Self {
        Self {
            version: VERSION,
            run: Run::from(&view.row),
            revision: view.revision,
            commit: view.commit,
            link: view.link,
            stages: view
                .stages
                .into_iter()
                .map(|row| part(row.stage, row.state, row.took_ms, row.note))
                .collect(),
            tests: view.tests,
            change: view.change,
            files: view.files,
        }
    }
}

impl From<RolloutView> for ShownRollout {
    fn from(view: RolloutView) -> Self {
        Self {
            version: VERSION,
            rollout: view.rollout.to_string(),
            app: view.app.to_string(),
            target: view.target.to_string(),
            tag: view.tag,
            started: view.started,
            steps: view
                .steps
                .into_iter()
                .map(|row| part(row.step, row.state, row.took_ms, row.note))
                .collect(),
            conclusion: view.conclusion,
            incident: view.incident,
        }
    }
}

fn part<T>(what: T, state: Progress, took_ms: Option<u64>, note: String) -> Part<T> {
    Part {
        what,
        state: match state {
            Progress::Running => "running",
            Progress::Done => "done",
            Progress::Failed => "failed",
            Progress::Abandoned => "abandoned",
        },
        took_ms,
        note,
    }
}
