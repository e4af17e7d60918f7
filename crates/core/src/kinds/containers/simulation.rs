//! Containers in a world where every step goes well.

use super::model::{EndedBy, ObservedContainer, ObservedUnit, OnExit, RestartPolicy, ServiceTag, Unit};
use super::order::{Sequence, reason, sequence};
use super::policy::{ContainerSelect, ContainersPolicy};
use super::state::Containers;
use super::step::{ContainerOutcome, ContainerStep};
use crate::kinds::kind::{Simulation, View};
use jiff::SignedDuration;
use lowtide_model::container::{ContainerState, Health};
use lowtide_model::image::ImageId;
use lowtide_model::preview::{Move, Phase};
use lowtide_model::release::Release;
use lowtide_model::rollout::{Part, UpdateOrder, Which};

#[derive(Debug)]
pub struct SimulatedContainers {
    units: Vec<Unit>,
    seen: Vec<ObservedUnit>,
    image: ImageId,
    /// Units whose new or recreated old container has an engine id that is not known yet.
    nameless: Vec<(usize, Which)>,
}

/// What the container of a unit ran before: the tag of one of our releases, or the image itself.
fn image(unit: &Unit, releases: &[Release]) -> String {
    let ours = releases
        .iter()
        .rev()
        .find(|release| release.images.has(&unit.old_image));
    ours.map_or_else(|| unit.old_image.short().to_owned(), |release| release.tag.clone())
}

impl Simulation<ContainersPolicy> for SimulatedContainers {
    fn of(view: View<'_, ContainersPolicy>) -> Self {
        let units = view
            .state
            .units
            .clone()
            .unwrap_or_else(|| vec![assumed(&view.policy.select)]);
        let old = |unit: &Unit| ObservedUnit {
            old: Some(ObservedContainer {
                state: if unit.was_running {
                    ContainerState::Running
                } else {
                    ContainerState::Exited
                },
                restart: unit.restart.clone(),
                ..container(unit.old.clone(), unit.name.clone(), unit.old_image.clone())
            }),
            candidates: Vec::new(),
            stranger: None,
            gone_by: EndedBy::Itself,
        };
        Self {
            seen: units.iter().map(old).collect(),
            units,
            image: view.release.images.first().image.clone(),
            nameless: Vec::new(),
        }
    }

    /// The first step that names a container that we created reveals its engine id.
    fn name(&mut self, step: &ContainerStep) {
        let Some((unit, container)) = named(step) else { return };
        let Some(seen) = self.seen.get_mut(unit) else { return };
        let known = |it: &ObservedContainer| it.id == container;
        if seen.old.iter().chain(&seen.candidates).any(known) {
            return;
        }
        let Some(place) = self.nameless.iter().position(|(of, _)| *of == unit) else {
            return;
        };
        let (_, which) = self.nameless.remove(place);
        let made = match which {
            Which::New => seen.candidates.first_mut(),
            Which::Old => seen.old.as_mut(),
        };
        if let Some(made) = made {
            made.id = container.to_owned();
        }
    }

    fn perform(&mut self, step: &ContainerStep) -> ContainerOutcome {
        match step {
            ContainerStep::Preflight => {
                return ContainerOutcome::Preflighted {
                    units: self.units.clone(),
                };
            }
            ContainerStep::Pull => {
                return ContainerOutcome::Pulled {
                    image: self.image.clone(),
                    dropped: Vec::new(),
                };
            }
            ContainerStep::SaveLog { .. } => {
                return ContainerOutcome::LogSaved {
                    log: Vec::new(),
                    exit_code: 0,
                };
            }
            ContainerStep::CreateCandidate { unit } => self.create(*unit),
            ContainerStep::RecreateOld { unit } => self.recreate(*unit),
            ContainerStep::RemoveCandidate { unit, container } | ContainerStep::RemoveOld { unit, container } => {
                self.remove(*unit, container);
            }
            ContainerStep::StopOld { unit, container } | ContainerStep::StopCandidate { unit, container } => {
                self.stop(*unit, container)
            }
            ContainerStep::SetRestart {
                unit,
                container,
                policy,
            } => self.change(*unit, container, |it| it.restart = policy.clone()),
            ContainerStep::Start { unit, container, .. } => {
                self.change(*unit, container, |it| it.state = ContainerState::Running);
            }
            ContainerStep::Rename { unit, container, to } => self.change(*unit, container, |it| it.name.clone_from(to)),
            ContainerStep::Restart { unit, container, .. } => {
                self.change(*unit, container, |it| it.state = ContainerState::Running);
            }
            ContainerStep::TryOut { .. }
            | ContainerStep::RunHook { .. }
            | ContainerStep::AwaitReady { .. }
            | ContainerStep::Attach { .. }
            | ContainerStep::Route { .. }
            | ContainerStep::Drain { .. }
            | ContainerStep::RetainImage { .. }
            | ContainerStep::DropImage { .. }
            | ContainerStep::MoveTag { .. } => {}
        }
        ContainerOutcome::Done
    }

    fn seen(&self, view: View<'_, ContainersPolicy>) -> Option<Vec<ObservedUnit>> {
        let chosen = view.state.units.as_ref()?.len();
        Some(self.seen[..chosen].to_vec())
    }

    fn moves(&self, view: View<'_, ContainersPolicy>, releases: &[Release]) -> Vec<Move> {
        self.moves_of(view.policy, view.state, releases)
    }
}

impl SimulatedContainers {
    /// The same for a kind that is made of containers.
    pub(crate) fn moves_of(&self, policy: &ContainersPolicy, state: &Containers, releases: &[Release]) -> Vec<Move> {
        let units = self
            .units
            .iter()
            .take(state.units.as_ref().map_or(usize::MAX, Vec::len));
        let moved = |unit: &Unit| Move {
            name: unit.name.clone(),
            part: unit.part,
            from: state.units.is_some().then(|| image(unit, releases)),
            order: Some(match sequence(policy, unit) {
                Sequence::StartFirst => UpdateOrder::StartFirst,
                Sequence::StopFirst => UpdateOrder::StopFirst,
            }),
            why: reason(policy, unit),
            tasks: None,
            phase: Phase::Waiting,
        };
        units.map(moved).collect()
    }

    fn create(&mut self, unit: usize) {
        let (Some(of), Some(seen)) = (self.units.get(unit), self.seen.get_mut(unit)) else {
            return;
        };
        // An existing candidate is adopted.
        if seen.candidates.is_empty() {
            let (id, name) = (format!("new {unit}"), format!("{} aside", of.name));
            seen.candidates.push(container(id, name, self.image.clone()));
            self.nameless.push((unit, Which::New));
        }
    }

    fn recreate(&mut self, unit: usize) {
        let (Some(of), Some(seen)) = (self.units.get(unit), self.seen.get_mut(unit)) else {
            return;
        };
        if seen.old.is_none() {
            let (id, name) = (format!("old {unit}"), format!("{} aside", of.name));
            seen.old = Some(container(id, name, of.old_image.clone()));
            self.nameless.push((unit, Which::Old));
        }
    }

    fn remove(&mut self, unit: usize, container: &str) {
        if let Some(seen) = self.seen.get_mut(unit) {
            seen.candidates.retain(|it| it.id != container);
            seen.old.take_if(|it| it.id == container);
        }
    }

    fn stop(&mut self, unit: usize, container: &str) {
        match self.units.get(unit).map(|unit| unit.on_exit) {
            Some(OnExit::Removed) => self.remove(unit, container),
            Some(OnExit::Stays) | None => self.change(unit, container, |it| it.state = ContainerState::Exited),
        }
    }

    fn change(&mut self, unit: usize, container: &str, change: impl Fn(&mut ObservedContainer)) {
        if let Some(seen) = self.seen.get_mut(unit) {
            let both = seen.old.iter_mut().chain(&mut seen.candidates);
            both.filter(|it| it.id == container).for_each(change);
        }
    }
}

fn container(id: String, name: String, image: ImageId) -> ObservedContainer {
    ObservedContainer {
        id,
        name,
        image,
        state: ContainerState::Created,
        restart: RestartPolicy::none(),
        restart_count: 0,
        exit_code: 0,
        oom_killed: false,
        health: Health::None,
        warm_up: SignedDuration::ZERO,
        ended_by: EndedBy::Itself,
    }
}

/// A placeholder for all containers, before preflight.
fn assumed(select: &ContainerSelect) -> Unit {
    let (name, tag) = match select {
        ContainerSelect::Name { name } => (name.as_str(), None),
        ContainerSelect::Compose { .. } => {
            let tag = ServiceTag {
                reference: "of the service".to_owned(),
                before: None,
            };
            ("N", Some(tag))
        }
        ContainerSelect::Label { .. } | ContainerSelect::Own => ("N", None),
    };
    Unit {
        index: 0,
        name: name.to_owned(),
        old: "old".to_owned(),
        // Any image but the release's, because a container that already runs the release is not moved.
        old_image: ImageId::of_sha256(&[0; 32]),
        was_running: true,
        fixed_restart: false,
        restart: RestartPolicy {
            name: "as before".to_owned(),
            max_retries: 0,
        },
        snapshot: String::new(),
        part: Part::Release,
        depends_on: Vec::new(),
        bars: Vec::new(),
        on_exit: OnExit::Stays,
        tag,
        needs: Vec::new(),
    }
}

/// The container a step names.
fn named(step: &ContainerStep) -> Option<(usize, &str)> {
    match step {
        ContainerStep::RemoveCandidate { unit, container }
        | ContainerStep::StopOld { unit, container }
        | ContainerStep::SetRestart { unit, container, .. }
        | ContainerStep::Start { unit, container, .. }
        | ContainerStep::Restart { unit, container, .. }
        | ContainerStep::AwaitReady { unit, container, .. }
        | ContainerStep::Rename { unit, container, .. }
        | ContainerStep::StopCandidate { unit, container }
        | ContainerStep::SaveLog { unit, container }
        | ContainerStep::RemoveOld { unit, container }
        | ContainerStep::Attach { unit, container }
        | ContainerStep::Route { unit, container, .. }
        | ContainerStep::Drain { unit, container, .. } => Some((*unit, container)),
        ContainerStep::Preflight
        | ContainerStep::Pull
        | ContainerStep::TryOut { .. }
        | ContainerStep::RunHook { .. }
        | ContainerStep::CreateCandidate { .. }
        | ContainerStep::RetainImage { .. }
        | ContainerStep::DropImage { .. }
        | ContainerStep::RecreateOld { .. }
        | ContainerStep::MoveTag { .. } => None,
    }
}
