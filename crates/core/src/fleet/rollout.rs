//! The events of a rollout. They are the truth; [`crate::decide::rollout`] folds them.

use crate::kinds::list::{Step, StepOutcome, TargetPolicy};
use jiff::Timestamp;
use lowtide_model::failure::Failure;
use lowtide_model::name::AppName;
use lowtide_model::policy::Unhealthy;
use lowtide_model::release::Release;
use lowtide_model::rollout::{Purpose, RolloutConclusion};
use lowtide_model::window::{Closing, Occurrence};
use serde::{Deserialize, Serialize};

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
