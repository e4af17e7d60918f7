//! Containers in a world where every step goes well.

use super::RolloutState;
use crate::model::app_state::Release;
use crate::model::fleet::Select;
use crate::model::image::ImageId;
use crate::model::rollout::{
    ContainerState, EndedBy, Health, ObservedContainer, ObservedUnit, OnExit, Part, RestartPolicy, ServiceTag, Step,
    StepOutcome, Unit, Which,
};
use jiff::SignedDuration;

pub(super) struct SimulatedContainers {
    pub(super) units: Vec<Unit>,
    pub(super) seen: Vec<ObservedUnit>,
    image: ImageId,
    /// Units whose new or recreated old container has an engine id that is not known yet.
    nameless: Vec<(usize, Which)>,
}

/// What the container of a unit ran before: the tag of one of our releases, or the image itself.
pub(super) fn image(unit: &Unit, releases: &[Release]) -> String {
    let ours = releases.iter().rev().find(|release| release.image == unit.old_image);
    ours.map_or_else(|| unit.old_image.short().to_owned(), |release| release.tag.clone())
}

impl SimulatedContainers {
    pub(super) fn new(state: &RolloutState, units: Option<&[Unit]>) -> Self {
        let units = units.map_or_else(|| vec![assumed(state)], <[Unit]>::to_vec);
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
            image: state.release.image.clone(),
            nameless: Vec::new(),
        }
    }

    /// The first step that names a container that we created reveals its engine id.
    pub(super) fn name(&mut self, step: &Step) {
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

    pub(super) fn perform(&mut self, step: &Step) -> StepOutcome {
        match step {
            Step::Preflight => {
                return StepOutcome::Preflighted {
                    units: self.units.clone(),
                };
            }
            Step::Pull => {
                return StepOutcome::Pulled {
                    image: self.image.clone(),
                    dropped: Vec::new(),
                };
            }
            Step::KeepLog { .. } => {
                return StepOutcome::Kept {
                    log: Vec::new(),
                    exit_code: 0,
                };
            }
            Step::CreateCandidate { unit } => self.create(*unit),
            Step::RecreateOld { unit } => self.recreate(*unit),
            Step::RemoveCandidate { unit, container } | Step::RemoveOld { unit, container } => {
                self.remove(*unit, container);
            }
            Step::StopOld { unit, container } | Step::StopCandidate { unit, container } => self.stop(*unit, container),
            Step::SetRestart {
                unit,
                container,
                policy,
            } => self.change(*unit, container, |it| it.restart = policy.clone()),
            Step::Start { unit, container, .. } => {
                self.change(*unit, container, |it| it.state = ContainerState::Running);
            }
            Step::Rename { unit, container, to } => self.change(*unit, container, |it| it.name.clone_from(to)),
            Step::Restart { unit, container, .. } => {
                self.change(*unit, container, |it| it.state = ContainerState::Running);
            }
            Step::TryOut { .. }
            | Step::RunHook { .. }
            | Step::AwaitReady { .. }
            | Step::Attach { .. }
            | Step::Route { .. }
            | Step::Drain { .. }
            | Step::KeepImage { .. }
            | Step::LetImageGo { .. }
            | Step::MoveTag { .. }
            | Step::Command(_)
            | Step::SelfUpdate(_)
            | Step::Service(_) => {}
        }
        StepOutcome::Done
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
fn assumed(state: &RolloutState) -> Unit {
    let (name, tag) = match &state.target.select {
        Select::Container { name } => (name.as_str(), None),
        Select::Compose { .. } => {
            let tag = ServiceTag {
                reference: "of the service".to_owned(),
                before: None,
            };
            ("N", Some(tag))
        }
        Select::Label { .. }
        | Select::Service { .. }
        | Select::Stack { .. }
        | Select::OwnContainer
        | Select::Command(_) => ("N", None),
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
fn named(step: &Step) -> Option<(usize, &str)> {
    match step {
        Step::RemoveCandidate { unit, container }
        | Step::StopOld { unit, container }
        | Step::SetRestart { unit, container, .. }
        | Step::Start { unit, container, .. }
        | Step::Restart { unit, container, .. }
        | Step::AwaitReady { unit, container, .. }
        | Step::Rename { unit, container, .. }
        | Step::StopCandidate { unit, container }
        | Step::KeepLog { unit, container }
        | Step::RemoveOld { unit, container }
        | Step::Attach { unit, container }
        | Step::Route { unit, container, .. }
        | Step::Drain { unit, container, .. } => Some((*unit, container)),
        Step::Preflight
        | Step::Pull
        | Step::TryOut { .. }
        | Step::RunHook { .. }
        | Step::CreateCandidate { .. }
        | Step::KeepImage { .. }
        | Step::LetImageGo { .. }
        | Step::RecreateOld { .. }
        | Step::MoveTag { .. }
        | Step::Command(_)
        | Step::SelfUpdate(_)
        | Step::Service(_) => None,
    }
}
