//! Services of a swarm in a world where every step goes well.

use super::RolloutState;
use crate::model::fleet::Select;
use crate::model::image::Reference;
use crate::model::rollout::{Step, StepOutcome};
use crate::model::service::{
    FoundService, ObservedService, ObservedTask, ServiceMark, ServiceMode, ServiceStep, ServiceUnit, TaskPlace,
    TaskState, TaskWanted, UpdateOrder, UpdateState,
};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;

pub(super) struct SimulatedServices {
    pub(super) units: Vec<ServiceUnit>,
    pub(super) seen: Vec<ObservedService>,
    image: String,
}

/// What the service ran before, by its tag.
pub(super) fn image(unit: &ServiceUnit) -> String {
    let tag = unit.old_image.parse::<Reference>().ok().and_then(|image| image.tag);
    tag.unwrap_or_else(|| unit.old_image.clone())
}

impl SimulatedServices {
    pub(super) fn new(state: &RolloutState, units: Option<&[ServiceUnit]>) -> Self {
        let units = units.map_or_else(|| assumed(&state.target.select), <[ServiceUnit]>::to_vec);
        Self {
            seen: units.iter().map(found).collect(),
            units,
            image: state.release.service_image(),
        }
    }

    pub(super) fn perform(&mut self, step: &Step) -> StepOutcome {
        let Step::Service(step) = step else {
            return StepOutcome::ServicesPreflighted {
                services: self.units.clone(),
            };
        };
        match step {
            ServiceStep::Prepull { .. } => {
                return StepOutcome::Prepulled {
                    startup: SignedDuration::ZERO,
                };
            }
            ServiceStep::Update { unit, .. } => {
                let image = self.image.clone();
                self.change(*unit, |it| {
                    (it.image, it.mark, it.update) = (image, ServiceMark::Ours, UpdateState::Updating);
                });
            }
            ServiceStep::Revert { unit, .. } => {
                let image = self.units.get(*unit).map(|unit| unit.old_image.clone());
                self.change(*unit, |it| {
                    it.image = image.unwrap_or_default();
                    (it.mark, it.update) = (ServiceMark::Ours, UpdateState::Updating);
                });
            }
            ServiceStep::RestoreKnobs { unit, .. } => {
                self.change(*unit, |it| {
                    (it.mark, it.update) = (ServiceMark::None, UpdateState::Absent)
                });
            }
        }
        StepOutcome::Done
    }

    pub(super) fn replaces(&self, step: &Step) -> Option<u64> {
        let Step::Service(ServiceStep::Update { unit, .. } | ServiceStep::Revert { unit, .. }) = step else {
            return None;
        };
        self.units.get(*unit).map(ServiceUnit::size)
    }

    /// Every wanted task runs what its service says, for long enough.
    pub(super) fn settle(&mut self) {
        for seen in &mut self.seen {
            let ObservedService::Found(found) = seen else { continue };
            for task in &mut found.tasks {
                task.image.clone_from(&found.image);
            }
            if found.update == UpdateState::Updating {
                found.update = UpdateState::Completed;
            }
        }
    }

    fn change(&mut self, unit: usize, change: impl FnOnce(&mut FoundService)) {
        if let Some(ObservedService::Found(found)) = self.seen.get_mut(unit) {
            change(found);
        }
    }
}

fn found(unit: &ServiceUnit) -> ObservedService {
    let places: Vec<TaskPlace> = match unit.mode {
        ServiceMode::Replicated { replicas } => (1..=replicas).map(TaskPlace::Slot).collect(),
        ServiceMode::Global => unit.nodes.iter().cloned().map(TaskPlace::Node).collect(),
    };
    let task = |place| ObservedTask {
        id: String::new(),
        place,
        image: unit.old_image.clone(),
        state: TaskState::Running,
        wanted: TaskWanted::Running,
        since: Timestamp::UNIX_EPOCH,
        said: String::new(),
    };
    ObservedService::Found(FoundService {
        version: unit.version,
        image: unit.old_image.clone(),
        mark: ServiceMark::None,
        update: UpdateState::Absent,
        said: String::new(),
        mode: unit.mode,
        tasks: places.into_iter().map(task).collect(),
        nodes: unit.nodes.clone(),
    })
}

/// The services named in the configuration; a placeholder for all, if it names none.
fn assumed(select: &Select) -> Vec<ServiceUnit> {
    let names = match select {
        Select::Service { name } => vec![name.clone()],
        Select::Stack { stack, services } if !services.is_empty() => {
            services.iter().map(|service| format!("{stack}_{service}")).collect()
        }
        Select::Stack { .. }
        | Select::Container { .. }
        | Select::Label { .. }
        | Select::Compose { .. }
        | Select::OwnContainer
        | Select::Command(_) => vec!["N".to_owned()],
    };
    let unit = |(index, name)| ServiceUnit {
        index,
        name,
        id: String::new(),
        version: 0,
        mode: ServiceMode::Replicated { replicas: 1 },
        old_image: "before".to_owned(),
        order: UpdateOrder::StopFirst,
        nodes: BTreeSet::new(),
        past: BTreeSet::new(),
        snapshot: String::new(),
    };
    names.into_iter().enumerate().map(unit).collect()
}
