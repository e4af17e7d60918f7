//! What is done to containers, and how that ends.

use super::model::{RestartPolicy, Unit};
use crate::kinds::kind::{About, KindOutcome, KindStep, LeftBehind, Role, StepEffect};
use jiff::Timestamp;
use lowtide_model::dropped::Dropped;
use lowtide_model::image::ImageId;
use lowtide_model::rollout::{HookPhase, Which};
use lowtide_model::words::counted;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One thing done to a container, or to the router before it. Each is idempotent or guarded by the container's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "step")]
pub enum ContainerStep {
    /// Find the containers, refuse by field name what cannot be retained, seal the snapshots.
    Preflight,
    /// Bring the release's image to the host and read its id back.
    Pull,
    /// Probe the host for what the container's settings need, with a container of ours that does nothing.
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
    /// Save the end of its log and its exit state with the rollout.
    SaveLog {
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
    /// Notify the router.
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
    /// Retain the old image on the host, when stopping the old container deletes it.
    RetainImage {
        unit: usize,
    },
    DropImage {
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
}

/// A change of a router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteChange {
    /// Send it requests.
    Join,
    /// Send it no new ones.
    Leave,
    /// Hold requests back.
    Pause,
    Resume,
}

impl KindStep for ContainerStep {
    fn about(&self) -> About {
        use StepEffect::{Changes, Harmless};
        match self {
            ContainerStep::Preflight => About::all(Harmless, Role::Preflight),
            ContainerStep::Pull => About::all(Harmless, Role::Other),
            ContainerStep::TryOut { unit } => About::unit(*unit, Harmless, Role::Other),
            // A hook is the owner's own command: if it fails before lowtide has changed anything, there is nothing to
            // roll back.
            ContainerStep::RunHook { phase, unit, hook } => {
                let (phase, position) = (*phase, *hook);
                About::unit(*unit, Harmless, Role::Hook { phase, position })
            }
            ContainerStep::AwaitReady { unit, which, .. } => About::unit(*unit, Harmless, Role::Readiness(*which)),
            ContainerStep::Drain { unit, .. } => About::unit(*unit, Harmless, Role::Breakable),
            // Retaining an image longer than needed does no harm.
            ContainerStep::RetainImage { unit }
            | ContainerStep::DropImage { unit }
            | ContainerStep::SaveLog { unit, .. } => About::unit(*unit, Harmless, Role::Other),
            ContainerStep::CreateCandidate { unit }
            | ContainerStep::RemoveCandidate { unit, .. }
            | ContainerStep::StopOld { unit, .. }
            | ContainerStep::SetRestart { unit, .. }
            | ContainerStep::Start { unit, .. }
            | ContainerStep::Restart { unit, .. }
            | ContainerStep::Rename { unit, .. }
            | ContainerStep::StopCandidate { unit, .. }
            | ContainerStep::RemoveOld { unit, .. }
            | ContainerStep::Attach { unit, .. }
            | ContainerStep::Route { unit, .. }
            | ContainerStep::RecreateOld { unit }
            | ContainerStep::MoveTag { unit, .. } => About::unit(*unit, Changes, Role::Other),
        }
    }
}

impl fmt::Display for ContainerStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ContainerStep::Preflight => f.write_str("preflight"),
            ContainerStep::Pull => f.write_str("pull"),
            ContainerStep::TryOut { .. } => f.write_str("try out what the host must have"),
            ContainerStep::RunHook { phase, .. } => f.write_str(match phase {
                HookPhase::Before => "before hook",
                HookPhase::After => "after hook",
            }),
            ContainerStep::CreateCandidate { .. } => f.write_str("create new container"),
            ContainerStep::RemoveCandidate { .. } => f.write_str("remove new container"),
            ContainerStep::StopOld { .. } => f.write_str("stop old container"),
            ContainerStep::SetRestart { policy, .. } => write!(f, "set restart policy {}", policy.name),
            ContainerStep::Start { which, .. } => write!(f, "start {which} container"),
            ContainerStep::Restart { .. } => f.write_str("restart new container"),
            ContainerStep::AwaitReady { which, .. } => write!(f, "wait until {which} container is ready"),
            ContainerStep::Rename { to, .. } => write!(f, "rename to {to}"),
            ContainerStep::StopCandidate { .. } => f.write_str("stop new container"),
            ContainerStep::SaveLog { .. } => f.write_str("save log"),
            ContainerStep::RemoveOld { .. } => f.write_str("remove old container"),
            ContainerStep::Attach { .. } => f.write_str("give it the service's names"),
            ContainerStep::Route { change, .. } => f.write_str(match change {
                RouteChange::Join => "router: join",
                RouteChange::Leave => "router: leave",
                RouteChange::Pause => "router: pause",
                RouteChange::Resume => "router: resume",
            }),
            ContainerStep::Drain { .. } => f.write_str("drain"),
            ContainerStep::RetainImage { .. } => f.write_str("retain old image"),
            ContainerStep::DropImage { .. } => f.write_str("drop retained image"),
            ContainerStep::RecreateOld { .. } => f.write_str("make old container again"),
            ContainerStep::MoveTag { tag, .. } => write!(f, "move tag {tag}"),
        }
    }
}

/// How a step ended well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum ContainerOutcome {
    Done,
    /// It was so already.
    Unchanged,
    Preflighted {
        units: Vec<Unit>,
    },
    Pulled {
        image: ImageId,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        dropped: Vec<Dropped>,
    },
    LogSaved {
        log: Vec<String>,
        exit_code: i64,
    },
}

impl KindOutcome for ContainerOutcome {
    fn note(&self) -> String {
        match self {
            ContainerOutcome::Done => String::new(),
            ContainerOutcome::Unchanged => "was so already".to_owned(),
            ContainerOutcome::Preflighted { units } => counted(units.len(), "container", "containers"),
            ContainerOutcome::Pulled { image, dropped } => {
                let dropped = dropped.iter().map(|what| format!("; {what}"));
                format!("{}{}", image.short(), dropped.collect::<String>())
            }
            ContainerOutcome::LogSaved { exit_code, .. } => format!("exit code {exit_code}"),
        }
    }

    fn left_behind(&self) -> Option<LeftBehind<'_>> {
        match self {
            ContainerOutcome::LogSaved { log, exit_code } => Some(LeftBehind {
                log,
                exit_code: *exit_code,
            }),
            ContainerOutcome::Done
            | ContainerOutcome::Unchanged
            | ContainerOutcome::Preflighted { .. }
            | ContainerOutcome::Pulled { .. } => None,
        }
    }

    fn masked(self, mask: &dyn Fn(&str) -> String) -> Self {
        match self {
            ContainerOutcome::LogSaved { log, exit_code } => ContainerOutcome::LogSaved {
                log: log.iter().map(|line| mask(line)).collect(),
                exit_code,
            },
            ContainerOutcome::Done
            | ContainerOutcome::Unchanged
            | ContainerOutcome::Preflighted { .. }
            | ContainerOutcome::Pulled { .. } => self,
        }
    }
}
