//! lowtide's own container in a world where every step goes well. Who acts is left out: people are shown the steps of the
//! container.

use super::model::ObservedSelfUpdate;
use super::policy::SelfUpdatePolicy;
use super::rules::container;
use super::step::{SelfUpdateOutcome, SelfUpdateStep};
use crate::kinds::containers::policy::ContainersPolicy;
use crate::kinds::kind::{Kind, Simulation, View};
use lowtide_model::handover::StateOwner;
use lowtide_model::preview::Move;
use lowtide_model::release::Release;
use lowtide_model::rollout::Goal;

#[derive(Debug)]
pub struct SimulatedSelfUpdate {
    container: <ContainersPolicy as Kind>::Simulation,
}

impl Simulation<SelfUpdatePolicy> for SimulatedSelfUpdate {
    fn of(view: View<'_, SelfUpdatePolicy>) -> Self {
        Self {
            container: Simulation::of(container(view)),
        }
    }

    fn name(&mut self, step: &SelfUpdateStep) {
        match step {
            SelfUpdateStep::Container { container_step } => self.container.name(container_step),
            SelfUpdateStep::StartHelper | SelfUpdateStep::HandOver { .. } | SelfUpdateStep::RemoveHelper => {}
        }
    }

    fn perform(&mut self, step: &SelfUpdateStep) -> SelfUpdateOutcome {
        match step {
            SelfUpdateStep::Container { container_step } => {
                SelfUpdateOutcome::Container(self.container.perform(container_step))
            }
            SelfUpdateStep::StartHelper | SelfUpdateStep::HandOver { .. } | SelfUpdateStep::RemoveHelper => {
                SelfUpdateOutcome::Done
            }
        }
    }

    /// Seen by the one of the three that takes every step that is left.
    fn seen(&self, view: View<'_, SelfUpdatePolicy>) -> Option<ObservedSelfUpdate> {
        Some(ObservedSelfUpdate {
            owner: Some(match view.goal {
                Goal::Forward => StateOwner::New,
                Goal::Back => StateOwner::Old,
            }),
            units: self.container.seen(container(view))?,
            helper: None,
        })
    }

    fn moves(&self, view: View<'_, SelfUpdatePolicy>, releases: &[Release]) -> Vec<Move> {
        self.container.moves(container(view), releases)
    }
}
