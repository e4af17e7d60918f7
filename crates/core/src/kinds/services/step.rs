//! What is done to services of a swarm, and how that ends.

use super::model::{ServiceUnit, UpdateKnobs};
use crate::kinds::kind::{About, KindOutcome, KindStep, Role, StepEffect};
use jiff::{SignedDuration, Timestamp};
use lowtide_model::words::counted;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One action on a service. Each inspects first, and is guarded by Swarm's version index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "step")]
pub enum ServiceStep {
    /// Find the services, refuse what cannot be rolled back, seal the snapshots.
    Preflight,
    /// Bring the image to every node that may run the service, before a task is stopped for it.
    Prepull { unit: usize },
    /// Image, settings of the update and our labels, in one call.
    Update {
        unit: usize,
        knobs: UpdateKnobs,
        /// When the whole update must be through.
        deadline: Timestamp,
    },
    /// An update to the old image, not Swarm's own rollback: that goes to whatever spec was before, and a second one
    /// goes back again.
    Revert {
        unit: usize,
        knobs: UpdateKnobs,
        deadline: Timestamp,
    },
    /// Restore the service's own update settings, and remove our labels. No task is replaced.
    RestoreKnobs {
        unit: usize,
        /// The update settings that we sent. Any others were set by someone else, and stay.
        sent: UpdateKnobs,
    },
}

impl KindStep for ServiceStep {
    fn about(&self) -> About {
        match self {
            ServiceStep::Preflight => About::all(StepEffect::Harmless, Role::Preflight),
            // A pre-pull changes nothing on the service, but people expect it in the service's list.
            ServiceStep::Prepull { unit } => About {
                listed: Some(*unit),
                ..About::all(StepEffect::Harmless, Role::Breakable)
            },
            ServiceStep::Update { unit, .. }
            | ServiceStep::Revert { unit, .. }
            | ServiceStep::RestoreKnobs { unit, .. } => About::unit(*unit, StepEffect::Changes, Role::Other),
        }
    }
}

impl fmt::Display for ServiceStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ServiceStep::Preflight => "preflight",
            ServiceStep::Prepull { .. } => "pull on the service's nodes",
            ServiceStep::Update { .. } => "update service",
            ServiceStep::Revert { .. } => "put the service's old image back",
            ServiceStep::RestoreKnobs { .. } => "restore the service's update settings",
        })
    }
}

/// How a step ended well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum ServiceOutcome {
    Done,
    Preflighted {
        services: Vec<ServiceUnit>,
    },
    /// Every node that may run the service has the image.
    Prepulled {
        /// How long a new task takes at most to prove itself, by the image's health check.
        startup: SignedDuration,
    },
}

impl KindOutcome for ServiceOutcome {
    fn note(&self) -> String {
        match self {
            ServiceOutcome::Done => String::new(),
            ServiceOutcome::Preflighted { services } => counted(services.len(), "service", "services"),
            ServiceOutcome::Prepulled { startup } => format!("a task may take {} s", startup.as_secs()),
        }
    }
}
