//! The events of a run. They are the truth; [`crate::decide::run`] folds them.

use crate::fleet::app::App;
use lowtide_model::freshness::Judged;
use lowtide_model::image::ContentDigest;
use lowtide_model::release::Release;
use lowtide_model::run::{Conclusion, Effect, Outcome, Stage, Trigger};
use lowtide_model::stages::pull::SeenImage;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum RunEvent {
    /// The app's configuration as it was when the run opened: the revision of a run does not change.
    Opened {
        app: Box<App>,
        trigger: Trigger,
        revision: String,
        last: Option<Box<Release>>,
        quarantine: Vec<ContentDigest>,
        /// What the last build was made from whose outcome is known.
        #[serde(default)]
        judged: Option<Box<Judged>>,
        /// Images of the followed repository that earlier runs saw.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        seen: Vec<SeenImage>,
    },
    EffectStarted {
        attempt: u32,
        effect: Effect,
    },
    EffectEnded {
        outcome: Outcome,
    },
    /// A start of lowtide found the effect begun and not ended; the run goes on from `back_to`.
    EffectAbandoned {
        back_to: Stage,
    },
    CancelRequested {
        by: String,
    },
    Concluded {
        conclusion: Conclusion,
    },
}
