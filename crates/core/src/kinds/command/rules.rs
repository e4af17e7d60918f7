//! The contract with the shared rollout rules, for a command.

use super::model::ProbeResult;
use super::plan;
use super::policy::CommandPolicy;
use super::simulation::SimulatedCommand;
use super::state::Command;
use super::step::{CommandOutcome, CommandStep};
use crate::kinds::kind::{Kind, KindState, Plan, TargetSettings, View};
use jiff::{SignedDuration, Timestamp};
use lowtide_model::failure::Failure;
use lowtide_model::secret::{SecretRef, secrets_of};

impl Kind for CommandPolicy {
    type State = Command;
    type Step = CommandStep;
    type Outcome = CommandOutcome;
    type Observed = ProbeResult;
    type Simulation = SimulatedCommand;

    fn forward(view: View<'_, Self>, seen: Option<&ProbeResult>, now: Timestamp) -> Plan<CommandStep> {
        plan::forward(view, seen.unwrap_or(&ProbeResult::NotRun), now)
    }

    fn back(view: View<'_, Self>, _: Option<&ProbeResult>, reason: &Failure, now: Timestamp) -> Plan<CommandStep> {
        plan::back(view, reason, now)
    }

    fn unit_limit(&self, _: &TargetSettings) -> SignedDuration {
        let probe_timeout = self.probe.as_ref().map(|probe| probe.timeout);
        self.timeout + probe_timeout.unwrap_or(SignedDuration::ZERO)
    }

    fn placed(_: View<'_, Self>) -> Option<String> {
        None
    }

    fn secret_refs(&self) -> Vec<(String, &SecretRef)> {
        let place = |variable: &String| format!("command.env.{variable}");
        secrets_of(&self.env)
            .map(|(variable, secret)| (place(variable), secret))
            .collect()
    }

    /// A command may take minutes each time: a person must be notified before ten of them have failed.
    const TRIES_BACK: u32 = 3;

    /// The first release on a target cannot be rolled back: lowtide does not know what ran there before.
    fn way_back(view: View<'_, Self>, failure: Failure) -> Result<Failure, Failure> {
        if view.state.ran() && view.state.before().is_none() {
            Err(plan::nothing_before(&failure))
        } else {
            Ok(failure)
        }
    }
}
