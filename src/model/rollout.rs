//! A rollout: moving one target to one release, one step at a time.

use super::app_state::Release;
use super::command::{CommandStep, CommandUnit, ObservedAnswer};
use super::dropped::Dropped;
use super::failure::Failure;
use super::fleet::{TargetPolicy, Unhealthy};
use super::image::ImageId;
use super::name::{AppName, RunId};
use super::self_update::{ObservedSelfUpdate, SelfUpdateStep};
use super::service::{ObservedService, ServiceStep, ServiceUnit};
use super::window::{Closing, Occurrence};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

mod display;

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
    /// A new release, and one of the first rollouts after an incident: it bakes twice as long as configured.
    Probation,
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
    /// The engine cannot change a restart policy. The new container is created with the old one's policy, and a stopped
    /// container stays stopped because the engine remembers the stop.
    #[serde(default)]
    pub fixed_restart: bool,
    /// Hex sha256 of the sealed inspect body.
    pub snapshot: String,
    #[serde(default)]
    pub part: Part,
    /// Units whose containers this one depends on. A unit stands before the units that depend on it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<Dependency>,
    /// Why its old and its new container cannot run side by side.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bars: Vec<Bar>,
    #[serde(default)]
    pub on_exit: OnExit,
    /// Tag by which compose finds the service's image: it moves with the container, or compose would replace it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<ServiceTag>,
    /// Settings whose host requirements only a create or a start reveals: they are tried out before anything is
    /// touched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<HostNeed>,
}

/// Requirements of a container's settings on its host that no inspect call reveals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostNeed {
    /// Bind mounts whose source the engine does not make itself.
    BindSources,
    /// Devices, device requests (GPUs), device cgroup rules.
    Devices,
    /// Another runtime than the engine's default.
    Runtime,
    /// seccomp, AppArmor, SELinux, no-new-privileges.
    SecurityProfiles,
    Ulimits,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceTag {
    /// `repository:tag`
    pub reference: String,
    /// The image it pointed at on the host before; `None`: no image.
    pub before: Option<ImageId>,
}

/// Why a container is part of the rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// It is to run the release.
    #[default]
    Release,
    /// It depends on a container that is to run the release. It is recreated from its own image, or it would refer to a
    /// container that is gone.
    Dependent,
}

/// The dependency of a container on another one of the rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// Position of the held unit.
    pub unit: usize,
    pub by: DependencyKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DependencyKind {
    /// It lives in the other's network, pid or ipc namespace, and cannot outlive it.
    Namespace,
    /// Its volumes or links name the other; it runs on while the other is replaced.
    Name,
}

/// Why a container cannot run beside its successor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "bar")]
pub enum Bar {
    /// A fixed port of the host: one container at a time can have it.
    PublishedPort {
        port: String,
    },
    /// `host` or another container's network: ports are shared there.
    SharedNetwork,
    StaticAddress {
        network: String,
    },
    FixedMac,
    /// A device only one container can use.
    Device,
    /// Others live in its namespaces.
    Held,
    /// It is deleted when it ends.
    AutoRemove,
    /// Both containers would write to it. An explicit `order: start-first` permits that.
    WritableVolume {
        path: String,
    },
}

/// What the engine does with it when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExit {
    #[default]
    Stays,
    /// `--rm`: to stop it is to delete it.
    Removed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartPolicy {
    /// `no`, `always`, `unless-stopped`, `on-failure`.
    pub name: String,
    pub max_retries: i64,
}

impl RestartPolicy {
    /// Would the engine start a container again that exits for the first time, with this code?
    #[must_use]
    pub fn restarts(&self, exit_code: i64) -> bool {
        match self.name.as_str() {
            "always" | "unless-stopped" => true,
            // Whatever its limit of retries, one is left after the first exit: 0 means no limit.
            "on-failure" => exit_code != 0,
            _ => false,
        }
    }

    #[must_use]
    pub fn none() -> Self {
        Self {
            name: "no".to_owned(),
            max_retries: 0,
        }
    }
}

/// The observed state of one unit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObservedUnit {
    /// The container of the snapshot, wherever its name is now.
    pub old: Option<ObservedContainer>,
    /// Containers with this rollout's and unit's labels.
    pub candidates: Vec<ObservedContainer>,
    /// Id of a container that holds the unit's name and is neither old nor candidate.
    pub stranger: Option<String>,
    /// How the candidates ended if none is left, because each was deleted when it ended.
    pub gone_by: EndedBy,
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
    /// How long its health check may take from the start to the first result that counts: the start period, and one
    /// probe after it. Zero: it has no health check, or no start period.
    pub warm_up: SignedDuration,
    /// Of one that has ended.
    pub ended_by: EndedBy,
}

/// Who ended a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EndedBy {
    /// Itself, the kernel, or an engine that went down. Also where there is no evidence of anything else.
    #[default]
    Itself,
    /// The engine's events show a stop or kill call.
    Call,
}

/// Engine states (moby `container.State`). A state that lowtide does not know is `Unknown`, never a guess.
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

/// The observed state of everything that a rollout moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observed {
    /// Nothing was chosen yet.
    Nothing,
    /// In the order of the units.
    Containers(Vec<ObservedUnit>),
    /// In the order of the units.
    Services(Vec<ObservedService>),
    SelfUpdate(Box<ObservedSelfUpdate>),
    Command(ObservedAnswer),
}

/// One thing done to the world. Each is idempotent or guarded by the container's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "step")]
pub enum Step {
    /// Find the containers, refuse by field name what cannot be kept, seal the snapshots.
    Preflight,
    /// Bring the release's image to the host and read its id back.
    Pull,
    /// Ask the host for what the container's settings need, with a container of ours that does nothing.
    TryOut {
        unit: usize,
    },
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
    /// The new container exited, and its restart policy would start it again, so it is started once more. If the engine
    /// has already done so, the step only records that. The container has to become ready again.
    Restart {
        unit: usize,
        container: String,
        /// How often the engine had restarted it by then.
        restarts: u64,
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
    /// Give it the names under which others reach the service.
    Attach {
        unit: usize,
        container: String,
    },
    /// Tell the router.
    Route {
        unit: usize,
        container: String,
        change: RouteChange,
    },
    /// Let it finish the requests it already has.
    Drain {
        unit: usize,
        container: String,
        until: Timestamp,
    },
    /// Keep the old image on the host, when stopping the old container deletes it.
    KeepImage {
        unit: usize,
    },
    LetImageGo {
        unit: usize,
    },
    /// Make the old container again: stopping it had deleted it.
    RecreateOld {
        unit: usize,
    },
    /// Point the tag by which compose finds the image at this one, or take it off.
    MoveTag {
        unit: usize,
        tag: String,
        image: Option<ImageId>,
    },
    /// Of a service of a swarm.
    Service(ServiceStep),
    /// Of lowtide's own container.
    SelfUpdate(SelfUpdateStep),
    /// Of a target that is a command.
    Command(CommandStep),
}

/// What a router is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteChange {
    /// Send it requests.
    Join,
    /// Send it no new ones.
    Leave,
    /// Dependency requests back.
    Pause,
    Resume,
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
    /// It was so already.
    Unchanged,
    Preflighted {
        units: Vec<Unit>,
    },
    /// Of services.
    ServicesPreflighted {
        services: Vec<ServiceUnit>,
    },
    /// Of a command.
    CommandPreflighted {
        command: CommandUnit,
    },
    Pulled {
        image: ImageId,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        dropped: Vec<Dropped>,
    },
    /// Every node that may run the service has the image.
    Prepulled {
        /// How long a new task takes at most to prove itself, by the image's health check.
        startup: SignedDuration,
    },
    /// A command target's program exited with 0; the end of what it wrote.
    Ran {
        output: Vec<String>,
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
    /// Nothing was touched, or what was touched was put back: the old one runs (again), and nothing is wrong with the
    /// release. No halt, no quarantine; it is tried again.
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
        /// How to treat an unhealthy container; `Refuse`: as the configuration says.
        #[serde(default)]
        unhealthy: Unhealthy,
    },
    /// The target is about to be changed in this opening, for the first time or after it was suspended.
    Entered {
        occurrence: Occurrence,
    },
    /// Its window closed between two units: the others wait for the next opening.
    Suspended {
        closing: Closing,
    },
    /// People were notified that its release has been waiting since then.
    LateNoticeSent {
        since: Timestamp,
    },
    StepStarted {
        attempt: u32,
        step: Step,
    },
    StepEnded {
        outcome: StepOutcome,
    },
    /// At its start lowtide found the step begun and not ended. The next step is decided from the observed state.
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

impl Step {
    /// The unit it belongs to; `None`: to all of them.
    #[must_use]
    pub fn unit(&self) -> Option<usize> {
        match self {
            Step::Preflight | Step::Pull | Step::Service(ServiceStep::Prepull { .. }) => None,
            // It is one container.
            Step::SelfUpdate(_) => Some(0),
            // A command is one unit.
            Step::Command(CommandStep::Run { .. } | CommandStep::AwaitAnswer { .. }) => Some(0),
            Step::TryOut { unit }
            | Step::Restart { unit, .. }
            | Step::Service(
                ServiceStep::Update { unit, .. }
                | ServiceStep::Revert { unit, .. }
                | ServiceStep::RestoreKnobs { unit, .. },
            )
            | Step::RunHook { unit, .. }
            | Step::CreateCandidate { unit }
            | Step::RemoveCandidate { unit, .. }
            | Step::StopOld { unit, .. }
            | Step::SetRestart { unit, .. }
            | Step::Start { unit, .. }
            | Step::AwaitReady { unit, .. }
            | Step::Rename { unit, .. }
            | Step::StopCandidate { unit, .. }
            | Step::KeepLog { unit, .. }
            | Step::RemoveOld { unit, .. }
            | Step::Attach { unit, .. }
            | Step::Route { unit, .. }
            | Step::Drain { unit, .. }
            | Step::KeepImage { unit }
            | Step::LetImageGo { unit }
            | Step::RecreateOld { unit }
            | Step::MoveTag { unit, .. } => Some(*unit),
        }
    }
}
