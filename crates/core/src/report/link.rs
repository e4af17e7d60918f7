//! The page that a message is about, in a browser.

use super::page::{Block, Section};
use lowtide_model::message::MessageBody;
use lowtide_model::name::{AppName, RolloutId, RunId};
use lowtide_model::policy::PublicUrl;

/// One page that lowtide serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Fleet,
    App(AppName),
    Run(RunId),
    Rollout(RolloutId),
}

impl Place {
    /// The page that shows most about a message.
    #[must_use]
    pub fn of(body: &MessageBody) -> Self {
        match body {
            MessageBody::RunFailed { run, .. }
            | MessageBody::RunRecovered { run, .. }
            | MessageBody::RunPassed { run, .. }
            | MessageBody::RunStarted { run, .. } => Self::Run(*run),
            MessageBody::RunEnded(ended) => Self::Run(ended.run),
            MessageBody::RolledOut { rollout, .. } | MessageBody::RolloutRefused { rollout, .. } => {
                Self::Rollout(*rollout)
            }
            MessageBody::WentBack(back) => Self::Rollout(back.rollout),
            MessageBody::RolloutWaits(wait) => Self::Rollout(wait.rollout),
            MessageBody::RolloutUntimely(rollout) => Self::Rollout(rollout.rollout),
            // The app's page says what lifts the halt, and links to the rollout that caused it.
            MessageBody::Halted { app, .. }
            | MessageBody::Resumed { app, .. }
            | MessageBody::UnfixableUpdates { app, .. }
            | MessageBody::Promoted { app, .. } => Self::App(app.clone()),
            MessageBody::PromotionFailed(of) => Self::App(of.app.clone()),
            MessageBody::ConfigRefused { .. } | MessageBody::ConfigAccepted { .. } | MessageBody::DailyReport(_) => {
                Self::Fleet
            }
        }
    }

    /// Path of the page; a name of an app needs no escapes.
    #[must_use]
    pub fn path(&self) -> String {
        match self {
            Self::Fleet => "/".to_owned(),
            Self::App(app) => format!("/apps/{app}"),
            Self::Run(run) => format!("/runs/{run}"),
            Self::Rollout(rollout) => format!("/rollouts/{rollout}"),
        }
    }

    pub(super) fn section(&self, url: &PublicUrl) -> Section {
        let label = match self {
            Self::Fleet => "All apps",
            Self::App(_) => "App",
            Self::Run(_) => "Run",
            Self::Rollout(_) => "Rollout",
        };
        Section::new("In the browser", vec![Block::Link(label, url.page(&self.path()))])
    }
}
