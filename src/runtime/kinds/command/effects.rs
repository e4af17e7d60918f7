//! The runtime's contract, for a command.

use super::perform::{self, Stage};
use crate::clients::engine::connect::Engine;
use crate::runtime::kinds::containers::sight::Listing;
use crate::runtime::kinds::effects::{Connect, Effects, RolloutOf};
use lowtide_core::decide::rollout::view;
use lowtide_core::fleet::app::App;
use lowtide_core::kinds::command::model::ProbeResult;
use lowtide_core::kinds::command::plan::aim;
use lowtide_core::kinds::command::policy::CommandPolicy;
use lowtide_core::kinds::command::step::{CommandOutcome, CommandStep};
use lowtide_core::kinds::kind::TargetSettings;
use lowtide_core::kinds::track::Ended;
use lowtide_model::drift::Sighted;
use lowtide_model::failure::Failure;
use lowtide_model::release::Release;
use lowtide_model::rollout::Goal;
use lowtide_model::secret::Secret;

impl Effects for CommandPolicy {
    async fn observe(of: &RolloutOf<'_, Self>) -> Result<Option<ProbeResult>, Failure> {
        if (of.state.goal, of.state.bake.is_some()) != (Goal::Forward, true) {
            return Ok(Some(ProbeResult::NotRun));
        }
        stage(of).look().await.map(Some)
    }

    async fn perform(of: &RolloutOf<'_, Self>, step: &CommandStep) -> Result<Ended<CommandOutcome>, Failure> {
        stage(of).perform(step).await
    }

    async fn take_up(_: &RolloutOf<'_, Self>, _: &CommandStep) -> Result<Option<Ended<CommandOutcome>>, Failure> {
        Ok(None)
    }

    fn secrets(of: &RolloutOf<'_, Self>) -> Vec<Secret> {
        perform::secrets(&of.track.policy)
    }

    /// What a command replaced is not known.
    fn adopted(_: &RolloutOf<'_, Self>) -> Option<Release> {
        None
    }

    async fn sight(&self, _: &Engine, _: &Listing, _: &App) -> Result<Option<Vec<Sighted>>, String> {
        Ok(None)
    }

    /// A command has no engine.
    async fn check(&self, _: Connect<'_>, _: &TargetSettings, _: &App) -> Result<String, String> {
        let given = [&self.run, &self.back].into_iter().filter(|words| !words.is_empty());
        let found: Vec<String> = given.map(|words| program(words)).collect::<Result<_, _>>()?;
        Ok(found.join("; "))
    }
}

fn stage<'a>(of: &'a RolloutOf<'_, CommandPolicy>) -> Stage<'a> {
    Stage {
        bot: of.bot,
        state: of.state,
        policy: &of.track.policy,
        aim: aim(view(of.state, of.track)),
        output: of.track.state.output(),
        shutdown: of.shutdown,
    }
}

fn program(command: &[String]) -> Result<String, String> {
    let name = command.first().map(String::as_str).unwrap_or_default();
    match perform::executable(name) {
        Some(path) => Ok(format!("{} is there; it is not started", path.display())),
        None => Err(format!("there is no program {name} on this machine")),
    }
}
