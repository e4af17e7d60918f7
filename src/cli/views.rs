//! What `--json` prints. Each answer is one JSON object with `"version": 1`; keys are added, never renamed or reused,
//! without a new version. Times are UTC (RFC 3339), lengths milliseconds. Triggers, conclusions, wait and halt reasons
//! have the journal's own shape.

use crate::model::failure::{HaltReason, WaitReason};
use crate::model::fleet::Mode;
use crate::model::inventory::Change;
use crate::model::rollout::{RolloutConclusion, Step};
use crate::model::run::{Conclusion, Stage, Trigger};
use crate::model::stages::resolve::Commit;
use crate::model::stages::test::TestReport;
use crate::report::terminal::{Progress, RolloutView, RunRow, RunView};
use crate::runtime::reading::{AppReading, OpenRollout, Reading};
use jiff::Timestamp;
use serde::Serialize;

/// Shape of everything in here.
pub(super) const VERSION: u32 = 1;

/// `status --json`.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    version: u32,
    now: Timestamp,
    paused: bool,
    /// Mails that wait for delivery.
    notices_pending: u64,
    apps: Vec<App>,
}

#[derive(Debug, Serialize)]
struct App {
    app: String,
    mode: Mode,
    /// `new`, `fresh`, `running`, `rolling`, `waiting`, `failing`, `halted`.
    state: &'static str,
    stage: Option<Stage>,
    release: Option<Release>,
    last_run: Option<Run>,
    next_run: Option<Timestamp>,
    failing_since: Option<Timestamp>,
    halted: Option<Halted>,
    rollouts: Vec<Rollout>,
}

#[derive(Debug, Serialize)]
struct Release {
    tag: String,
    digest: Option<String>,
    image: String,
    commit: String,
    run: String,
    at: Timestamp,
}

#[derive(Debug, Serialize)]
pub(super) struct Halted {
    since: Timestamp,
    reason: HaltReason,
}

/// An open rollout; `waits` is `null` while it is at work.
#[derive(Debug, Serialize)]
pub(super) struct Rollout {
    rollout: String,
    target: String,
    tag: String,
    waits: Option<WaitReason>,
}

/// A run in `history --json`.
#[derive(Debug, Serialize)]
pub(super) struct Run {
    run: String,
    app: String,
    started: Timestamp,
    /// `null` while it is under way, like `conclusion`.
    took_ms: Option<u64>,
    trigger: Trigger,
    conclusion: Option<Conclusion>,
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
    stages: Vec<Part<Stage>>,
    tests: Option<TestReport>,
    change: Option<Change>,
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

impl From<&Reading> for Status {
    fn from(reading: &Reading) -> Self {
        Self {
            version: VERSION,
            now: reading.now,
            paused: reading.paused,
            notices_pending: reading.notices,
            apps: reading.apps.iter().map(App::from).collect(),
        }
    }
}

impl From<&AppReading> for App {
    fn from(app: &AppReading) -> Self {
        Self {
            app: app.app.name.to_string(),
            mode: app.app.mode,
            state: app.state().word(),
            stage: app.running.and_then(|(_, stage)| stage),
            release: app.standing.current().map(|release| Release {
                tag: release.tag.clone(),
                digest: release.digest.as_ref().map(ToString::to_string),
                image: release.image.to_string(),
                commit: release.commit.clone(),
                run: release.run.to_string(),
                at: release.at,
            }),
            last_run: app.last_run.as_ref().map(Run::from),
            next_run: app.next_run,
            failing_since: app.standing.failing.as_ref().map(|failing| failing.since),
            halted: halted(app),
            rollouts: app.rollouts.iter().map(Rollout::from).collect(),
        }
    }
}

pub(super) fn halted(app: &AppReading) -> Option<Halted> {
    app.standing.halted.as_ref().map(|(since, reason)| Halted {
        since: *since,
        reason: reason.clone(),
    })
}

impl From<&OpenRollout> for Rollout {
    fn from(rollout: &OpenRollout) -> Self {
        Self {
            rollout: rollout.id.to_string(),
            target: rollout.target.to_string(),
            tag: rollout.tag.clone(),
            waits: rollout.waits.clone(),
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
            stages: view
                .stages
                .into_iter()
                .map(|row| part(row.stage, row.state, row.took_ms, row.note))
                .collect(),
            tests: view.tests,
            change: view.change,
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
