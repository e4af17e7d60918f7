//! What is shown of apps, runs and rollouts: by a terminal, the pages and the metrics.

use crate::fleet::app_state::UnfixableUpdates;
use crate::kinds::list::Step;
use jiff::Timestamp;
use lowtide_model::drift::Drift;
use lowtide_model::failure::{Failure, FailureKind, WaitReason};
use lowtide_model::freshness::Because;
use lowtide_model::halt::{Exposure, Incident};
use lowtide_model::image::Reference;
use lowtide_model::inventory::Change;
use lowtide_model::name::{AppName, ChannelName, RolloutId, RunId, TargetName};
use lowtide_model::policy::Mode;
use lowtide_model::registry_tag::RegistryDrift;
use lowtide_model::rollout::RolloutConclusion;
use lowtide_model::run::{Conclusion, Stage, Trigger};
use lowtide_model::stages::resolve::Commit;
use lowtide_model::stages::test::TestReport;
use std::path::PathBuf;

/// One app in `status`.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusRow {
    pub app: AppName,
    pub mode: Mode,
    /// Tag of the last release.
    pub release: Option<String>,
    pub last_run: Option<Timestamp>,
    pub next_run: Option<Timestamp>,
    pub state: AppCondition,
    /// Rollouts of each target that are still watched twice as long; targets without any are left out.
    pub probation: Vec<(TargetName, u32)>,
}

/// What there is to know of an app at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppCondition {
    /// Nothing has run yet.
    New,
    /// The last run succeeded and nothing waits.
    Fresh,
    /// The last run succeeded, but there are fixes that no rebuild can bring.
    Behind {
        since: Timestamp,
        unfixable: Box<UnfixableUpdates>,
    },
    Running {
        stage: Stage,
    },
    Rolling {
        target: TargetName,
    },
    Waiting {
        target: TargetName,
        why: WaitReason,
    },
    Failing {
        stage: Stage,
        kind: FailureKind,
        since: Timestamp,
    },
    /// A target did not take the release, although nothing is wrong with the release.
    Refused {
        target: TargetName,
        failure: Box<Failure>,
        since: Timestamp,
    },
    /// A channel did not get the release. `again`: when the promotion is retried automatically.
    Unpromoted {
        channel: ChannelName,
        failure: Box<Failure>,
        since: Timestamp,
        again: Option<Timestamp>,
    },
    /// Someone else changed what a target runs.
    Drifted {
        target: TargetName,
        tag: String,
        since: Timestamp,
        drift: Drift,
    },
    /// A registry no longer has what lowtide put there.
    RegistryDrifted {
        reference: Reference,
        since: Timestamp,
        drift: RegistryDrift,
    },
    Halted {
        since: Timestamp,
        exposure: Exposure,
    },
}

impl AppCondition {
    /// Every word that [`AppCondition::word`] has.
    pub const WORDS: [&str; 12] = [
        "new",
        "fresh",
        "behind",
        "running",
        "rolling",
        "waiting",
        "refused",
        "unpromoted",
        "drifted",
        "registry_drifted",
        "failing",
        "halted",
    ];

    /// One word, the same in JSON, metrics and on the status page.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            AppCondition::New => "new",
            AppCondition::Fresh => "fresh",
            AppCondition::Behind { .. } => "behind",
            AppCondition::Running { .. } => "running",
            AppCondition::Rolling { .. } => "rolling",
            AppCondition::Waiting { .. } => "waiting",
            AppCondition::Refused { .. } => "refused",
            AppCondition::Unpromoted { .. } => "unpromoted",
            AppCondition::Drifted { .. } => "drifted",
            AppCondition::RegistryDrifted { .. } => "registry_drifted",
            AppCondition::Failing { .. } => "failing",
            AppCondition::Halted { .. } => "halted",
        }
    }
}

/// One run in `history`.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRow {
    pub run: RunId,
    pub app: AppName,
    pub started: Timestamp,
    /// Milliseconds, once it has ended.
    pub took_ms: Option<u64>,
    pub trigger: Trigger,
    /// `None`: it is still under way.
    pub conclusion: Option<Conclusion>,
}

/// One run in full.
#[derive(Debug, Clone, PartialEq)]
pub struct RunView {
    pub row: RunRow,
    /// Configuration revision it ran with.
    pub revision: String,
    pub commit: Option<Commit>,
    /// The commit's page, where one is known.
    pub link: Option<String>,
    /// Logs and stored artefacts, where they are on this machine.
    pub files: Vec<PathBuf>,
    /// Why it built; empty when it did not.
    pub because: Vec<Because>,
    pub stages: Vec<StageRow>,
    pub tests: Option<TestReport>,
    pub change: Option<Change>,
}

/// One stage of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageRow {
    pub stage: Stage,
    pub state: Progress,
    pub took_ms: Option<u64>,
    /// A few words of what came out (`142 MB`, `128 passed`); may be empty.
    pub note: String,
}

/// How far a stage or step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    Running,
    Done,
    Failed,
    /// lowtide ended during it; it was decided anew.
    Abandoned,
}

/// One rollout in full.
#[derive(Debug, Clone, PartialEq)]
pub struct RolloutView {
    pub rollout: RolloutId,
    pub app: AppName,
    pub target: TargetName,
    pub tag: String,
    pub started: Timestamp,
    pub steps: Vec<StepRow>,
    pub conclusion: Option<RolloutConclusion>,
    pub incident: Incident,
}

/// One step of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRow {
    pub step: Step,
    pub state: Progress,
    pub took_ms: Option<u64>,
    pub note: String,
}
