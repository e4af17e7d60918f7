//! What is done to lowtide's own container, and how that ends.

use crate::kinds::containers::step::{ContainerOutcome, ContainerStep};
use crate::kinds::kind::{About, KindOutcome, KindStep, LeftBehind, Role, StepEffect};
use jiff::Timestamp;
use lowtide_model::handover::StateOwner;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One thing done to lowtide's own container, or to change who acts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "step")]
pub enum SelfUpdateStep {
    /// As with any container.
    Container { container_step: ContainerStep },
    /// Make the update helper, or find the one that was made, and start it.
    StartHelper,
    /// Release the state directory, and with it the rollout: the next owner ends this step.
    HandOver {
        to: StateOwner,
        /// When the others may take the state themselves.
        deadline: Timestamp,
    },
    /// Stop and remove the update helper. From here on no rollback is possible.
    RemoveHelper,
}

impl KindStep for SelfUpdateStep {
    fn about(&self) -> About {
        match self {
            SelfUpdateStep::Container { container_step } => container_step.about(),
            // It is one container.
            SelfUpdateStep::StartHelper | SelfUpdateStep::HandOver { .. } | SelfUpdateStep::RemoveHelper => {
                About::unit(0, StepEffect::Changes, Role::Other)
            }
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (SelfUpdateStep::Container { container_step: one }, SelfUpdateStep::Container { container_step: two }) => {
                one.is_same(two)
            }
            (
                SelfUpdateStep::Container { .. }
                | SelfUpdateStep::StartHelper
                | SelfUpdateStep::HandOver { .. }
                | SelfUpdateStep::RemoveHelper,
                _,
            ) => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

impl From<ContainerStep> for SelfUpdateStep {
    fn from(container_step: ContainerStep) -> Self {
        SelfUpdateStep::Container { container_step }
    }
}

impl fmt::Display for SelfUpdateStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SelfUpdateStep::Container { container_step } => container_step.fmt(f),
            SelfUpdateStep::StartHelper => f.write_str("start the helper"),
            SelfUpdateStep::HandOver { to, .. } => write!(f, "hand over to {to}"),
            SelfUpdateStep::RemoveHelper => f.write_str("remove the helper"),
        }
    }
}

/// How a step ended well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SelfUpdateOutcome {
    Container(ContainerOutcome),
    Done,
}

impl KindOutcome for SelfUpdateOutcome {
    fn note(&self) -> String {
        match self {
            SelfUpdateOutcome::Container(outcome) => outcome.note(),
            SelfUpdateOutcome::Done => String::new(),
        }
    }

    fn left_behind(&self) -> Option<LeftBehind<'_>> {
        match self {
            SelfUpdateOutcome::Container(outcome) => outcome.left_behind(),
            SelfUpdateOutcome::Done => None,
        }
    }

    fn masked(self, mask: &dyn Fn(&str) -> String) -> Self {
        match self {
            SelfUpdateOutcome::Container(outcome) => SelfUpdateOutcome::Container(outcome.masked(mask)),
            SelfUpdateOutcome::Done => SelfUpdateOutcome::Done,
        }
    }
}
