//! The contract with the shared rollout rules, for containers.

use super::model::ObservedUnit;
use super::policy::{ContainerSelect, ContainersPolicy};
use super::simulation::SimulatedContainers;
use super::state::{Containers, is_dispensable};
use super::step::{ContainerOutcome, ContainerStep};
use super::{back, forward};
use crate::kinds::kind::{Kind, Plan, STOP_GRACE, TargetSettings, View};
use jiff::{SignedDuration, Timestamp};
use lowtide_model::failure::Failure;
use lowtide_model::policy::Hook;
use lowtide_model::rollout::{Goal, HookPhase, Part};

impl Kind for ContainersPolicy {
    type State = Containers;
    type Step = ContainerStep;
    type Outcome = ContainerOutcome;
    /// In the order of the units.
    type Observed = Vec<ObservedUnit>;
    type Simulation = SimulatedContainers;

    fn forward(view: View<'_, Self>, seen: Option<&Vec<ObservedUnit>>, now: Timestamp) -> Plan<ContainerStep> {
        forward::next(view, seen.map_or(&[], Vec::as_slice), now)
    }

    fn back(
        view: View<'_, Self>,
        seen: Option<&Vec<ObservedUnit>>,
        _: &Failure,
        now: Timestamp,
    ) -> Plan<ContainerStep> {
        back::next(view, seen.map_or(&[], Vec::as_slice), now)
    }

    fn configured_units(&self) -> usize {
        match &self.select {
            ContainerSelect::Compose { services, .. } => services.len(),
            ContainerSelect::Name { .. } | ContainerSelect::Label { .. } | ContainerSelect::Own => 1,
        }
    }

    fn unit_limit(&self, target: &TargetSettings) -> SignedDuration {
        target.ready.timeout + self.stop_timeout.unwrap_or(STOP_GRACE)
    }

    fn placed(view: View<'_, Self>) -> Option<String> {
        // If the release was there already, nothing was pulled: the unit's own image counts.
        let mut units = view.state.units.iter().flatten();
        let mut there = || units.find(|unit| unit.part == Part::Release);
        let image = view.state.image.as_ref().or_else(|| Some(&there()?.old_image))?;
        Some(image.to_string())
    }

    fn hook(&self, phase: HookPhase, position: usize) -> Option<&Hook> {
        match phase {
            HookPhase::Before => self.before.get(position),
            HookPhase::After => self.after.get(position),
        }
    }

    fn goes_on(goal: Goal, step: &ContainerStep, failure: &Failure) -> bool {
        is_dispensable(goal, step) || forward::is_judged_by_look(goal, step, failure)
    }
}
