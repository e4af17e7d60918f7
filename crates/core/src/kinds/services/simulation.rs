//! Services of a swarm in a world where every step goes well.

use super::model::{
    FoundService, ObservedService, ObservedTask, ServiceMark, ServiceMode, ServiceUnit, TaskPlace, TaskState,
    TaskWanted, UpdateState,
};
use super::policy::{ServiceSelect, ServicesPolicy};
use super::step::{ServiceOutcome, ServiceStep};
use crate::kinds::kind::{Simulation, View};
use jiff::{SignedDuration, Timestamp};
use lowtide_model::image::Reference;
use lowtide_model::policy::Order;
use lowtide_model::preview::{Move, OrderReason, Phase};
use lowtide_model::release::Release;
use lowtide_model::rollout::{Part, UpdateOrder};
use std::collections::BTreeSet;

#[derive(Debug)]
pub struct SimulatedServices {
    units: Vec<ServiceUnit>,
    seen: Vec<ObservedService>,
    image: String,
}

/// What the service ran before, by its tag.
fn image(unit: &ServiceUnit) -> String {
    let tag = unit.old_image.parse::<Reference>().ok().and_then(|image| image.tag);
    tag.unwrap_or_else(|| unit.old_image.clone())
}

impl Simulation<ServicesPolicy> for SimulatedServices {
    fn of(view: View<'_, ServicesPolicy>) -> Self {
        let units = view.state.units.clone().unwrap_or_else(|| assumed(&view.policy.select));
        Self {
            seen: units.iter().map(found).collect(),
            units,
            image: view.release.service_image(),
        }
    }

    fn perform(&mut self, step: &ServiceStep) -> ServiceOutcome {
        match step {
            ServiceStep::Preflight => {
                return ServiceOutcome::Preflighted {
                    services: self.units.clone(),
                };
            }
            ServiceStep::Prepull { .. } => {
                return ServiceOutcome::Prepulled {
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
        ServiceOutcome::Done
    }

    fn replaces(&self, step: &ServiceStep) -> Option<u64> {
        match step {
            ServiceStep::Update { unit, .. } | ServiceStep::Revert { unit, .. } => {
                self.units.get(*unit).map(ServiceUnit::size)
            }
            ServiceStep::Preflight | ServiceStep::Prepull { .. } | ServiceStep::RestoreKnobs { .. } => None,
        }
    }

    fn seen(&self, view: View<'_, ServicesPolicy>) -> Option<Vec<ObservedService>> {
        view.state.units.as_ref().map(|_| self.seen.clone())
    }

    fn moves(&self, view: View<'_, ServicesPolicy>, _: &[Release]) -> Vec<Move> {
        let chosen = view.state.units.is_some();
        let moved = |unit: &ServiceUnit| Move {
            name: unit.name.clone(),
            part: Part::Release,
            from: chosen.then(|| image(unit)),
            order: chosen.then_some(unit.order),
            why: match view.policy.order {
                Order::Auto => OrderReason::Service,
                Order::StopFirst | Order::StartFirst => OrderReason::Configured,
            },
            tasks: chosen.then(|| unit.size()),
            phase: Phase::Waiting,
        };
        self.units.iter().map(moved).collect()
    }

    /// Every wanted task runs what its service says, for long enough.
    fn settle(&mut self) {
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
}

impl SimulatedServices {
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
fn assumed(select: &ServiceSelect) -> Vec<ServiceUnit> {
    let names = match select {
        ServiceSelect::Service { name } => vec![name.clone()],
        ServiceSelect::Stack { stack, services } if !services.is_empty() => {
            services.iter().map(|service| format!("{stack}_{service}")).collect()
        }
        ServiceSelect::Stack { .. } => vec!["N".to_owned()],
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
