//! A rollout: moving one target to one release, one step at a time.

use super::failure::Failure;
use super::fleet::TargetPolicy;
use super::image::ImageId;
use super::name::{AppName, RunId};
use super::service::{ServiceStep, ServiceUnit};
use super::standing::Release;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a rollout is headed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// To the release.
    Forward,
    /// Back to the containers of the snapshot.
    Back,
}

/// Why a rollout was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// A new release.
    #[default]
    Release,
    /// An operator wants the release before back: no window, halt or pause stands in its way.
    Revert,
}

/// One container that is to be replaced, as it was before anything was touched. The raw inspect body, which may hold
/// secrets, is a sealed file of the store; the journal knows only its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// Position in the rollout, from 0; part of labels and names.
    pub index: usize,
    /// Container name without leading slash.
    pub name: String,
    /// Engine id of the old container.
    pub old: String,
    pub old_image: ImageId,
    pub was_running: bool,
    /// Restart policy name and retry count.
    pub restart: RestartPolicy,
    /// Hex sha256 of the sealed inspect body.
    pub snapshot: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartPolicy {
    /// `no`, `always`, `unless-stopped`, `on-failure`.
    pub name: String,
    pub max_retries: i64,
}

impl RestartPolicy {
    #[must_use]
    pub fn none() -> Self {
        Self {
            name: "no".to_owned(),
            max_retries: 0,
        }
    }
}

/// What is really there, of one unit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObservedUnit {
    /// The container of the snapshot, wherever its name is now.
    pub old: Option<ObservedContainer>,
    /// Containers with this rollout's and unit's labels.
    pub candidates: Vec<ObservedContainer>,
    /// Id of a container that holds the unit's name and is neither old nor candidate.
    pub stranger: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedContainer {
    pub id: String,
    pub name: String,
    pub image: ImageId,
    pub state: ContainerState,
    pub restart: RestartPolicy,
    pub restart_count: u64,
    pub exit_code: i64,
    pub oom_killed: bool,
    pub health: Health,
}

/// Engine states (moby `container.State`); what we do not know we do not guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainerState {
    Created,
    Running,
    Paused,
    Restarting,
    Removing,
    Exited,
    Dead,
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// The image has no HEALTHCHECK.
    None,
    Starting,
    Healthy,
    Unhealthy,
}

/// One thing done to the world. Each is idempotent or guarded by the container's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "step")]
pub enum Step {
    /// Find the containers, refuse by field name what cannot be kept, seal the snapshots.
    Preflight,
    /// Bring the release's image to the host and read its id back.
    Pull,
    RunHook {
        phase: HookPhase,
        unit: usize,
        hook: usize,
    },
    CreateCandidate {
        unit: usize,
    },
    RemoveCandidate {
        unit: usize,
        container: String,
    },
    StopOld {
        unit: usize,
        container: String,
    },
    /// At most one of old and new may ever start by itself.
    SetRestart {
        unit: usize,
        container: String,
        policy: RestartPolicy,
    },
    Start {
        unit: usize,
        container: String,
        which: Which,
    },
    /// Wait until it serves, within `deadline`.
    AwaitReady {
        unit: usize,
        container: String,
        which: Which,
        deadline: Timestamp,
    },
    Rename {
        unit: usize,
        container: String,
        to: String,
    },
    StopCandidate {
        unit: usize,
        container: String,
    },
    /// Keep the end of its log and its exit state with the rollout.
    KeepLog {
        unit: usize,
        container: String,
    },
    RemoveOld {
        unit: usize,
        container: String,
    },
    /// Of a service of a swarm.
    Service(ServiceStep),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    Old,
    New,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HookPhase {
    Before,
    After,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum StepOutcome {
    Done,
    Preflighted {
        units: Vec<Unit>,
    },
    /// Of services.
    ServicesPreflighted {
        services: Vec<ServiceUnit>,
    },
    Pulled {
        image: ImageId,
    },
    /// Every node that may run the service has the image.
    Prepulled {
        /// How long a new task takes at most to prove itself, by the image's health check.
        startup: SignedDuration,
    },
    /// A hook asked to be tried later (exit code 75, EX_TEMPFAIL of sysexits.h).
    Busy {
        retry: Timestamp,
    },
    Kept {
        log: Vec<String>,
        exit_code: i64,
    },
    Failed {
        failure: Failure,
    },
}

/// How a rollout ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "conclusion")]
pub enum RolloutConclusion {
    Done,
    /// The target already ran this image.
    AlreadyThere,
    /// Nothing was touched.
    Refused {
        failure: Failure,
    },
    /// A newer release took its place before anything was touched.
    Superseded {
        by: RunId,
    },
    Reverted {
        failure: Failure,
    },
    /// Stopped where it was; a person decides.
    Stuck {
        failure: Failure,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum RolloutEvent {
    Opened {
        app: AppName,
        target: Box<TargetPolicy>,
        timezone: String,
        release: Box<Release>,
        window_ignored: bool,
        #[serde(default)]
        purpose: Purpose,
    },
    /// An operator said `--now`: the window no longer matters.
    Expedited {
        by: String,
    },
    StepStarted {
        attempt: u32,
        step: Step,
    },
    StepEnded {
        outcome: StepOutcome,
    },
    /// A start of lowtide found the step begun and not ended; it is decided anew from what is there.
    StepAbandoned,
    BakeStarted {
        until: Timestamp,
    },
    /// The goal is Back from here on. Latched: nothing turns it forward again.
    RevertDecided {
        failure: Failure,
    },
    Concluded {
        conclusion: RolloutConclusion,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Preflight => f.write_str("preflight"),
            Step::Pull => f.write_str("pull"),
            Step::RunHook {
                phase: HookPhase::Before,
                ..
            } => f.write_str("before hook"),
            Step::RunHook {
                phase: HookPhase::After,
                ..
            } => f.write_str("after hook"),
            Step::CreateCandidate { .. } => f.write_str("create new container"),
            Step::RemoveCandidate { .. } => f.write_str("remove new container"),
            Step::StopOld { .. } => f.write_str("stop old container"),
            Step::SetRestart { policy, .. } => write!(f, "set restart policy {}", policy.name),
            Step::Start { which: Which::Old, .. } => f.write_str("start old container"),
            Step::Start { which: Which::New, .. } => f.write_str("start new container"),
            Step::AwaitReady { which: Which::Old, .. } => f.write_str("wait until old container is ready"),
            Step::AwaitReady { which: Which::New, .. } => f.write_str("wait until new container is ready"),
            Step::Rename { to, .. } => write!(f, "rename to {to}"),
            Step::StopCandidate { .. } => f.write_str("stop new container"),
            Step::KeepLog { .. } => f.write_str("keep log"),
            Step::RemoveOld { .. } => f.write_str("remove old container"),
            Step::Service(step) => step.fmt(f),
        }
    }
}
