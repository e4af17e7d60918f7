//! The contract with the shared rollout rules, for lowtide's own container.

use super::model::ObservedSelfUpdate;
use super::owner::through;
use super::policy::SelfUpdatePolicy;
use super::simulation::SimulatedSelfUpdate;
use super::state::SelfUpdate;
use super::step::{SelfUpdateOutcome, SelfUpdateStep};
use crate::kinds::containers::policy::ContainersPolicy;
use crate::kinds::containers::step::ContainerStep;
use crate::kinds::kind::{Kind, Plan, TargetSettings, View};
use jiff::{SignedDuration, Timestamp};
use lowtide_model::failure::Failure;
use lowtide_model::handover::StateOwner;
use lowtide_model::rollout::Goal;

impl Kind for SelfUpdatePolicy {
    type State = SelfUpdate;
    type Step = SelfUpdateStep;
    type Outcome = SelfUpdateOutcome;
    type Observed = ObservedSelfUpdate;
    type Simulation = SimulatedSelfUpdate;

    fn forward(view: View<'_, Self>, seen: Option<&ObservedSelfUpdate>, now: Timestamp) -> Plan<SelfUpdateStep> {
        let units = seen.map(|seen| &seen.units);
        let planned = ContainersPolicy::forward(container(view), units, now);
        through(view, seen, planned.map(SelfUpdateStep::from), now)
    }

    fn back(
        view: View<'_, Self>,
        seen: Option<&ObservedSelfUpdate>,
        reason: &Failure,
        now: Timestamp,
    ) -> Plan<SelfUpdateStep> {
        let units = seen.map(|seen| &seen.units);
        let planned = ContainersPolicy::back(container(view), units, reason, now);
        through(view, seen, planned.map(SelfUpdateStep::from), now)
    }

    fn unit_limit(&self, target: &TargetSettings) -> SignedDuration {
        self.container.unit_limit(target)
    }

    fn placed(view: View<'_, Self>) -> Option<String> {
        ContainersPolicy::placed(container(view))
    }

    fn goes_on(goal: Goal, step: &SelfUpdateStep, failure: &Failure) -> bool {
        match step {
            SelfUpdateStep::Container { container_step } => ContainersPolicy::goes_on(goal, container_step, failure),
            SelfUpdateStep::StartHelper | SelfUpdateStep::HandOver { .. } | SelfUpdateStep::RemoveHelper => false,
        }
    }

    /// Nothing has to be rolled back if only the update helper was made.
    fn left_untouched(view: View<'_, Self>, step: &SelfUpdateStep) -> bool {
        let only_helper = match step {
            SelfUpdateStep::StartHelper
            | SelfUpdateStep::HandOver {
                to: StateOwner::Helper, ..
            } => !view.state.containers.moved(),
            SelfUpdateStep::Container { .. } | SelfUpdateStep::HandOver { .. } | SelfUpdateStep::RemoveHelper => false,
        };
        !view.touched || only_helper
    }
}

/// The same rollout as one of any container.
pub(super) fn container(view: View<'_, SelfUpdatePolicy>) -> View<'_, ContainersPolicy> {
    fn failed<'a>((step, failure): (&'a SelfUpdateStep, &'a Failure)) -> Option<(&'a ContainerStep, &'a Failure)> {
        match step {
            SelfUpdateStep::Container { container_step } => Some((container_step, failure)),
            SelfUpdateStep::StartHelper | SelfUpdateStep::HandOver { .. } | SelfUpdateStep::RemoveHelper => None,
        }
    }
    View {
        id: view.id,
        target: view.target,
        policy: &view.policy.container,
        state: &view.state.containers,
        release: view.release,
        purpose: view.purpose,
        goal: view.goal,
        touched: view.touched,
        bake: view.bake,
        failed: view.failed.and_then(failed),
    }
}
