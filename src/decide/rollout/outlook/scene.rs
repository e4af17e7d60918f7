//! What is there, as far as the journal tells, in a world where every step goes well.

use super::command::CommandScene;
use super::containers::ContainerScene;
use super::services::ServiceScene;
use super::{Moving, RolloutState};
use crate::model::rollout::{Observed, Step, StepOutcome};

pub(super) enum Scene {
    Containers(ContainerScene),
    Services(ServiceScene),
    Command(CommandScene),
}

impl Scene {
    /// As preflight found it, or as it may find it.
    pub(super) fn of(state: &RolloutState) -> Self {
        match &state.moving {
            Moving::Containers(moving) => Scene::Containers(ContainerScene::new(state, moving.units.as_deref())),
            Moving::Services(moving) => Scene::Services(ServiceScene::new(state, moving.units.as_deref())),
            Moving::Command(moving) => Scene::Command(CommandScene::new(state, moving.unit.as_ref())),
        }
    }

    pub(super) fn breadth(&self) -> usize {
        match self {
            Scene::Containers(scene) => scene.units.len(),
            Scene::Services(scene) => scene.units.len(),
            Scene::Command(_) => 1,
        }
    }

    /// Learns the engine id of a new container from a step of the journal.
    pub(super) fn name(&mut self, step: &Step) {
        match self {
            Scene::Containers(scene) => scene.name(step),
            Scene::Services(_) | Scene::Command(_) => {}
        }
    }

    pub(super) fn perform(&mut self, step: &Step) -> StepOutcome {
        match self {
            Scene::Containers(scene) => scene.perform(step),
            Scene::Services(scene) => scene.perform(step),
            Scene::Command(scene) => scene.perform(step),
        }
    }

    /// How many tasks Swarm replaces after the step.
    pub(super) fn replaces(&self, step: &Step) -> Option<u64> {
        match self {
            Scene::Containers(_) | Scene::Command(_) => None,
            Scene::Services(scene) => scene.replaces(step),
        }
    }

    /// Swarm has replaced what it was asked to.
    pub(super) fn settle(&mut self) {
        match self {
            Scene::Containers(_) | Scene::Command(_) => {}
            Scene::Services(scene) => scene.settle(),
        }
    }

    pub(super) fn seen(&self, state: &RolloutState) -> Observed {
        match self {
            _ if state.breadth() == 0 => Observed::Nothing,
            Scene::Containers(scene) => Observed::Containers(scene.seen.clone()),
            Scene::Services(scene) => Observed::Services(scene.seen.clone()),
            Scene::Command(_) => Observed::Command(CommandScene::seen()),
        }
    }
}
