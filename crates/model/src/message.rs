//! What people are notified of. A message is data and names no channel: `channels` says where it goes, and `report` puts it
//! into words at delivery.

use crate::drift::Drift;
use crate::failure::{Failure, Fault, Finding, HaltReason, SkipReason, WaitReason};
use crate::freshness::{PendingPackage, UnavailablePin};
use crate::halt::{Exposure, Form, Incident, Require};
use crate::image::Reference;
use crate::inventory::Change;
use crate::name::{AppName, ChannelName, RolloutId, RunId, TargetName};
use crate::registry_tag::RegistryDrift;
use crate::run::Stage;
use crate::stages::resolve::Commit;
use crate::stages::test::TestReport;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One message, whatever channels it goes through.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    pub keys: Keys,
    pub addressees: Addressees,
    pub at: Timestamp,
    pub body: MessageBody,
}

/// What makes a message unique, and what it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    /// One per cause, not per occurrence: the same cause twice is one message.
    pub dedup: String,
    /// Messages of one incident share this: the first has `dedup == thread`, later ones refer to it.
    pub thread: String,
}

/// Who is notified in person. A channel that only stores a record, such as a commit's status, takes every message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Addressees {
    Maintainers,
    Operators,
    Both,
    /// Nobody was waiting for it.
    Nobody,
}

impl Addressees {
    /// The group that can do something about it.
    #[must_use]
    pub fn of(fault: Fault) -> Self {
        match fault {
            Fault::Repo => Self::Maintainers,
            Fault::Infra | Fault::Operator | Fault::Bug => Self::Operators,
        }
    }
}

/// The commit that a run built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Built {
    pub commit: Commit,
    /// The URL of its page; `None`: not known.
    pub link: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "body")]
pub enum MessageBody {
    /// A run failed for a new cause.
    RunFailed {
        app: AppName,
        run: RunId,
        stage: Stage,
        commit: Option<Box<Built>>,
        failure: Failure,
        /// The first failing run of the incident, and since when.
        first: RunId,
        since: Timestamp,
        /// The commit is the only input that changed since the last release.
        commit_to_blame: bool,
    },
    /// The app's runs succeed again.
    RunRecovered {
        app: AppName,
        run: RunId,
    },
    /// A run proved its commit. Nobody was waiting for that: it is a record.
    RunPassed {
        app: AppName,
        run: RunId,
        /// Full hex id.
        commit: String,
        /// Tag of the release; `None`: a rebuild changes nothing.
        tag: Option<String>,
        /// *observe* mode: the tag was not pushed.
        observed: bool,
    },
    /// A run began to build a commit. It is a record.
    RunStarted {
        app: AppName,
        run: RunId,
        /// Full hex id.
        commit: String,
    },
    /// How a run that built a commit ended, or that failed of it before. One follows each [`MessageBody::RunStarted`]. It is a
    /// record.
    RunEnded(Box<EndedRun>),
    /// Something is pending in the last release that no rebuild can mend.
    UnfixableUpdates {
        app: AppName,
        /// Packages that were not reported before.
        packages: Vec<PendingPackage>,
        unavailable_pins: Vec<UnavailablePin>,
    },
    /// A release runs on a target.
    RolledOut {
        app: AppName,
        target: TargetName,
        rollout: RolloutId,
        tag: String,
        digest: String,
        /// That the image was built from, full hex id; `None`: no run of ours built it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        commit: Option<String>,
        change: Option<Change>,
        /// Containers or services; 0: what a command moved is not counted.
        units: usize,
    },
    /// A rollout could not begin, or what it touched was put back: the old containers run.
    RolloutRefused {
        app: AppName,
        target: TargetName,
        rollout: RolloutId,
        failure: Failure,
    },
    /// A release was rolled back on a target, which runs its previous release again.
    WentBack(Box<WentBack>),
    /// A channel did not get its release, and the promotion is not retried automatically before the next night.
    PromotionFailed(Box<Unpromoted>),
    /// The channel has the release after all.
    Promoted {
        app: AppName,
        channel: ChannelName,
        tag: String,
    },
    /// A release has waited for its target longer than the configuration allows.
    RolloutWaits(Box<LongWait>),
    /// The window of a rollout closed half-way, and the rollout was rolled back. Nothing is wrong with the release.
    RolloutUntimely(Box<Untimely>),
    /// Rollouts and promotions of the app are halted. `back` = the old containers serve again.
    Halted {
        app: AppName,
        target: Option<TargetName>,
        rollout: Option<RolloutId>,
        reason: HaltReason,
        tag: Option<String>,
        back: bool,
        log: Vec<String>,
        /// All that is known of it; `None`: no rollout caused it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        incident: Option<Box<Incident>>,
        /// What lifts it.
        #[serde(default)]
        require: Require,
    },
    Resumed {
        app: AppName,
        by: String,
        why: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        form: Option<Box<Form>>,
        /// Rollouts that are watched twice as long from now on.
        #[serde(default)]
        probation: u32,
    },
    /// A configuration revision was refused; the last valid one stays in effect.
    ConfigRefused {
        revision: String,
        problems: String,
        /// `None`: it is no commit, but a file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        commit: Option<Box<ConfigCommit>>,
    },
    /// A commit of the configuration is in force. It is a record.
    ConfigAccepted {
        /// Full hex id of the commit.
        revision: String,
        /// Of its repository.
        repo: String,
        apps: usize,
    },
    DailyReport(Box<DailyReport>),
}

/// A commit of the configuration's repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigCommit {
    /// The remote, as the command line has it.
    pub repo: String,
    /// Each problem at its line.
    pub findings: Vec<Finding>,
}

/// What is known of a commit once its run is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedRun {
    pub app: AppName,
    pub run: RunId,
    pub built: Built,
    pub started: Timestamp,
    pub stages: Vec<StageTime>,
    /// `None`: no JUnit files were requested, or the tests did not end.
    pub tests: Option<TestReport>,
    pub verdict: Verdict,
}

/// A stage that ended, well or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageTime {
    pub stage: Stage,
    pub took_ms: u64,
}

/// What a run says of its commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Verdict {
    /// It was built and passed its tests.
    Passed {
        /// Tag of the release; `None`: a rebuild changes nothing.
        tag: Option<String>,
        /// *observe* mode: the tag was not pushed.
        observed: bool,
        change: Option<Change>,
    },
    Failed {
        stage: Stage,
        failure: Failure,
    },
    /// The image is not used, which says nothing of the commit.
    Unused {
        why: SkipReason,
    },
    Cancelled {
        by: String,
    },
}

/// A target that waits for a newer release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LongWait {
    pub app: AppName,
    pub target: TargetName,
    pub rollout: RolloutId,
    pub tag: String,
    /// IANA zone of the app.
    pub timezone: String,
    pub since: Timestamp,
    pub reason: WaitReason,
}

/// A rollout that brought back what ran before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WentBack {
    pub app: AppName,
    pub target: TargetName,
    pub rollout: RolloutId,
    /// What runs again.
    pub tag: String,
    /// That it was built from, full hex id; `None`: no run of ours built it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// What was rolled back; `None`: it is forgotten.
    pub from: Option<String>,
    /// `None`: it followed from a rollout to another target.
    pub asked: Option<RequestedBy>,
    /// Containers or services; 0: what a command moved is not counted.
    pub units: usize,
}

/// An operator's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestedBy {
    pub by: String,
    pub why: String,
}

/// A release that its channel does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unpromoted {
    pub app: AppName,
    pub channel: ChannelName,
    pub tag: String,
    pub failure: Failure,
}

/// A rollout that was rolled back because its window closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Untimely {
    pub app: AppName,
    pub target: TargetName,
    pub rollout: RolloutId,
    pub tag: String,
    pub failure: Failure,
}

/// The daily report, or the weekly heartbeat when there is nothing to report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DailyReport {
    pub from: Timestamp,
    pub to: Timestamp,
    /// IANA zone the times are shown in.
    pub timezone: String,
    pub apps: Vec<DailyReportApp>,
    /// What could not be seen or delivered: first line BLIND when not empty.
    pub blind: Vec<String>,
    pub next_run: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DailyReportApp {
    pub app: AppName,
    pub lines: Vec<DailyReportLine>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "line")]
pub enum DailyReportLine {
    Unchanged {
        runs: usize,
    },
    Released {
        tag: String,
        change: Option<Change>,
    },
    Observed {
        tag: String,
        change: Option<Change>,
    },
    Failing {
        stage: Stage,
        failure: Failure,
        since: Timestamp,
    },
    RolledOut {
        target: TargetName,
        tag: String,
    },
    /// `from` was rolled back. `by`: an operator; `None`: it followed from a rollout to another target.
    WentBack {
        target: TargetName,
        tag: String,
        from: Option<String>,
        by: Option<String>,
    },
    /// A target does not take the release, with nothing wrong with the release.
    Refused {
        target: TargetName,
        tag: String,
        since: Timestamp,
        failure: Failure,
    },
    /// A channel does not get the release. `again`: when it is tried again by itself.
    Unpromoted {
        channel: ChannelName,
        tag: String,
        since: Timestamp,
        failure: Failure,
        again: Option<Timestamp>,
    },
    /// A target no longer runs its last release.
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
    /// Missing security fixes.
    Lacks {
        security: usize,
    },
    Waiting {
        target: TargetName,
        tag: String,
        why: String,
    },
    Halted {
        since: Timestamp,
        reason: HaltReason,
        #[serde(default)]
        exposure: Exposure,
        #[serde(default)]
        require: Require,
    },
}

impl MessageBody {
    /// The app it is about; `None`: the whole fleet.
    #[must_use]
    pub fn app(&self) -> Option<&AppName> {
        match self {
            Self::RunFailed { app, .. }
            | Self::RunRecovered { app, .. }
            | Self::RunPassed { app, .. }
            | Self::RunStarted { app, .. }
            | Self::UnfixableUpdates { app, .. }
            | Self::RolledOut { app, .. }
            | Self::RolloutRefused { app, .. }
            | Self::Promoted { app, .. }
            | Self::Halted { app, .. }
            | Self::Resumed { app, .. } => Some(app),
            Self::RunEnded(ended) => Some(&ended.app),
            Self::WentBack(back) => Some(&back.app),
            Self::PromotionFailed(of) => Some(&of.app),
            Self::RolloutWaits(wait) => Some(&wait.app),
            Self::RolloutUntimely(rollout) => Some(&rollout.app),
            Self::ConfigRefused { .. } | Self::ConfigAccepted { .. } | Self::DailyReport(_) => None,
        }
    }
}
