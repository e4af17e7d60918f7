//! What people are notified of. A notice is data; `report` turns it into words at delivery.

use crate::model::drift::Drift;
use crate::model::failure::{Failure, Fault, HaltReason, WaitReason};
use crate::model::freshness::{PendingPackage, UnavailablePin};
use crate::model::halt::{Exposure, Form, Incident, Require};
use crate::model::inventory::Change;
use crate::model::name::{AppName, ChannelName, RolloutId, RunId, TargetName};
use crate::model::run::Stage;
use crate::model::stages::resolve::Commit;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One message to one audience. `dedup` makes it unique: enqueuing the same cause twice is one message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// One per cause, not per occurrence; the Message-ID is made from it, so a repeated delivery is the same message.
    pub dedup: String,
    /// Messages of one incident share this: the first has `dedup == thread`, later ones refer to it.
    pub thread: String,
    pub audience: Audience,
    pub at: Timestamp,
    pub body: NoticeBody,
}

/// Mail addresses are resolved when the notice is enqueued, from the configuration then in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    Mail {
        to: Vec<String>,
    },
    /// A repository (`owner/name`) on the GitHub of the configuration in force.
    Github {
        repo: String,
        post: GithubPost,
    },
}

/// Where on GitHub a notice appears.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GithubPost {
    /// A status of one commit (full hex id).
    Status { sha: String, state: CommitState },
    /// The issue of an incident: opened by its first notice, brought up to date by later ones.
    Issue {
        incident: String,
        /// Nothing about this incident is older.
        since: Timestamp,
    },
    /// Closes each open issue whose incident begins with `incidents`.
    IssueClosed { incidents: String },
    /// A comment on the pull request that brought the commit, if one did.
    PullComment { sha: String },
}

/// What a run says of the commit it built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommitState {
    Success,
    Failure,
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
pub enum NoticeBody {
    /// A run failed for a new cause.
    RunFailed {
        app: AppName,
        run: RunId,
        stage: Stage,
        commit: Option<Box<Built>>,
        failure: Failure,
        fault: Fault,
    },
    /// The app's runs succeed again.
    RunRecovered {
        app: AppName,
        run: RunId,
    },
    /// A run proved its commit; where nobody was waiting for that, only the commit's status says so.
    RunPassed {
        app: AppName,
        run: RunId,
        /// Tag of the release; `None`: a rebuild changes nothing.
        tag: Option<String>,
        /// *observe* mode: the tag was not pushed.
        observed: bool,
    },
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
    },
    DailyReport(Box<DailyReport>),
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

/// The daily report, or the weekly heartbeat when there is nothing to tell.
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

/// A notice in words, ready to be delivered. No field but `text` and `html` has a line break.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// With angle brackets; the same for the same notice, however often it is delivered.
    pub message_id: String,
    /// The first message of the incident, when this is a later one.
    pub in_reply_to: Option<String>,
    pub references: Vec<String>,
    /// RFC 2919, for people's filters.
    pub list_id: String,
    /// When the notice was made, not when it is delivered.
    pub date: Timestamp,
    pub subject: String,
    pub text: String,
    pub html: String,
}
