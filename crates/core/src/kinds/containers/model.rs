//! What a rollout of containers moves, and what is really there of it.

use jiff::SignedDuration;
use lowtide_model::container::{ContainerState, Health};
use lowtide_model::image::ImageId;
use lowtide_model::rollout::{Bar, Part};
use serde::{Deserialize, Serialize};
use std::fmt;

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

impl fmt::Display for HostNeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HostNeed::BindSources => "bind mounts",
            HostNeed::Devices => "devices",
            HostNeed::Runtime => "runtime",
            HostNeed::SecurityProfiles => "security options",
            HostNeed::Ulimits => "ulimits",
        })
    }
}
