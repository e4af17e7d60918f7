//! The contract with the shared rollout rules, for services of a swarm.

use super::model::{ObservedService, is_same_service_image};
use super::policy::{ServiceSelect, ServicesPolicy};
use super::simulation::SimulatedServices;
use super::state::Services;
use super::step::{ServiceOutcome, ServiceStep};
use super::{back, forward};
use crate::kinds::kind::{Kind, Plan, STOP_GRACE, TargetSettings, View};
use jiff::{SignedDuration, Timestamp};
use lowtide_model::failure::Failure;
use lowtide_model::rollout::Goal;

impl Kind for ServicesPolicy {
    type State = Services;
    type Step = ServiceStep;
    type Outcome = ServiceOutcome;
    /// In the order of the units.
    type Observed = Vec<ObservedService>;
    type Simulation = SimulatedServices;

    fn forward(view: View<'_, Self>, seen: Option<&Vec<ObservedService>>, now: Timestamp) -> Plan<ServiceStep> {
        forward::next(view, seen.map_or(&[], Vec::as_slice), now)
    }

    fn back(
        view: View<'_, Self>,
        seen: Option<&Vec<ObservedService>>,
        _: &Failure,
        now: Timestamp,
    ) -> Plan<ServiceStep> {
        back::next(view, seen.map_or(&[], Vec::as_slice), now)
    }

    fn configured_units(&self) -> usize {
        match &self.select {
            ServiceSelect::Stack { services, .. } => services.len().max(1),
            ServiceSelect::Service { .. } => 1,
        }
    }

    fn unit_limit(&self, target: &TargetSettings) -> SignedDuration {
        target.ready.timeout + STOP_GRACE
    }

    /// `ContainerSpec.Image`, letter by letter.
    fn placed(view: View<'_, Self>) -> Option<String> {
        Some(view.release.service_image())
    }

    fn is_same_image(seen: &str, placed: &str) -> bool {
        is_same_service_image(seen, placed)
    }

    /// Failing to restore the update settings neither rolls back a successful rollout nor fails a successful revert.
    fn goes_on(_: Goal, step: &ServiceStep, _: &Failure) -> bool {
        match step {
            ServiceStep::RestoreKnobs { .. } => true,
            ServiceStep::Preflight
            | ServiceStep::Prepull { .. }
            | ServiceStep::Update { .. }
            | ServiceStep::Revert { .. } => false,
        }
    }
}
