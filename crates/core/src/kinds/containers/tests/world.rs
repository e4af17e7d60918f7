//! A small simulated engine with a router.

use crate::fleet::rollout::RolloutEvent;
use crate::kinds::containers::look::policy_is;
use crate::kinds::containers::model::{
    Dependency, DependencyKind, EndedBy, ObservedContainer, ObservedUnit, OnExit, RestartPolicy, ServiceTag, Unit,
};
use crate::kinds::containers::policy::{ContainerSelect, ContainersPolicy, Router};
use crate::kinds::containers::step::{ContainerOutcome, ContainerStep, RouteChange};
use crate::kinds::kind::TargetSettings;
use crate::kinds::list::{TargetKind, TargetPolicy};
use crate::kinds::track::Ended;
use jiff::{SignedDuration, Timestamp};
use lowtide_model::container::{ContainerState, Health};
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::image::ImageId;
use lowtide_model::name::RunId;
use lowtide_model::policy::{Hook, Order, Ready, ReadyCheck, Unhealthy};
use lowtide_model::release::{Images, Release};
use lowtide_model::rollout::{Part, Purpose, Which};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const OLD_IMAGE: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
pub(crate) const NEW_IMAGE: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

pub(crate) fn always() -> RestartPolicy {
    RestartPolicy {
        name: "always".to_owned(),
        max_retries: 0,
    }
}

/// What kind of service is rolled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// Stop-first, without a router.
    Plain,
    /// Stop-first behind a router that can hold requests back.
    Paused,
    /// Start-first behind a router.
    Routed,
    /// Stopping deletes it.
    AutoRemove,
    /// Another container lives in its network, and a third one in that one's.
    Held,
    /// Compose finds its image by a tag.
    Tagged,
}

pub(crate) const KINDS: [Kind; 6] = [
    Kind::Plain,
    Kind::Paused,
    Kind::Routed,
    Kind::AutoRemove,
    Kind::Held,
    Kind::Tagged,
];

pub(crate) fn router(kind: Kind) -> Option<Router> {
    let word = |text: &str| vec![text.to_owned()];
    let router = Router {
        container: "edge".to_owned(),
        join: word("join"),
        leave: word("leave"),
        pause: Vec::new(),
        resume: Vec::new(),
        drain: SignedDuration::from_secs(5),
        timeout: SignedDuration::from_secs(1),
    };
    match kind {
        Kind::Routed => Some(router),
        Kind::Paused => Some(Router {
            join: Vec::new(),
            leave: Vec::new(),
            pause: word("pause"),
            resume: word("resume"),
            ..router
        }),
        Kind::Plain | Kind::AutoRemove | Kind::Held | Kind::Tagged => None,
    }
}

pub(crate) fn rollout(kind: Kind, irreversible: bool) -> RolloutEvent {
    let hook = Hook {
        command: vec!["true".to_owned()],
        timeout: SignedDuration::from_secs(1),
    };
    let select = ContainerSelect::Label {
        key: "app".to_owned(),
        value: "web".to_owned(),
    };
    RolloutEvent::Opened {
        app: "web".parse().unwrap(),
        target: Box::new(TargetPolicy {
            settings: TargetSettings {
                name: "container-web".parse().unwrap(),
                channel: None,
                host: "local".parse().unwrap(),
                window: None,
                ready: Ready {
                    check: ReadyCheck::Healthcheck,
                    timeout: SignedDuration::from_secs(60),
                },
                bake: SignedDuration::from_secs(10),
                irreversible,
                unhealthy: Unhealthy::Refuse,
            },
            kind: TargetKind::Containers(Box::new(ContainersPolicy {
                before: vec![hook.clone()],
                after: vec![hook],
                order: if kind == Kind::Routed {
                    Order::StartFirst
                } else {
                    Order::Auto
                },
                router: router(kind),
                ..ContainersPolicy::of(select)
            })),
        }),
        timezone: "UTC".to_owned(),
        release: Box::new(Release {
            upstream: None,
            run: RunId(ulid::Ulid(7)),
            images: Images::one(NEW_IMAGE.parse().unwrap(), NEW_IMAGE.parse().unwrap()),
            commit: Some("c".repeat(40)),
            tag: "t1".to_owned(),
            digest: None,
            reference: "example.org/web:t1".parse().unwrap(),
            change: None,
            sidecars: BTreeMap::new(),
            at: at(0),
        }),
        window_ignored: true,
        purpose: Purpose::Release,
    }
}

/// What is configured of a target of containers.
pub(crate) fn containers(target: &mut TargetPolicy) -> &mut ContainersPolicy {
    let TargetKind::Containers(policy) = &mut target.kind else {
        panic!("no containers")
    };
    policy
}

/// A simulated engine and router.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct World {
    pub(crate) containers: Vec<ObservedContainer>,
    pub(crate) units: Vec<Unit>,
    /// (unit, id) of candidates, as their labels would say.
    pub(crate) labels: Vec<(usize, String)>,
    /// (unit, id) of old containers that were made again.
    pub(crate) remade: Vec<(usize, String)>,
    pub(crate) created: usize,
    /// What the new image does when started.
    pub(crate) new_is: NewImage,
    pub(crate) old_is: OldImage,
    /// Ids the router sends requests to.
    pub(crate) routed: BTreeSet<String>,
    pub(crate) holding: bool,
    /// What compose's tag points at.
    pub(crate) tag: Option<ImageId>,
    pub(crate) retained_images: BTreeSet<usize>,
    /// How often each container was started.
    pub(super) started: BTreeMap<String, usize>,
    /// Containers of ours that try the host out.
    pub(super) trials: usize,
    /// The host has what the containers need, as far as a try shows.
    pub(super) host_is_fit: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum NewImage {
    Good,
    NeverReady,
    ExitsAtOnce,
    DiesWhileBaking,
    /// Exits with the code that an engine reports if it did not see the exit.
    LostWhileBaking,
    /// Exits at once, and relies on its restart policy.
    ExitsOnce,
    /// Exits `times` times, and relies on its restart policy.
    ExitsWhileWaitedFor {
        times: usize,
    },
    /// The engine restarts it.
    ExitsOnceWhileBaking,
    /// The host refuses to create it: a bind source is gone.
    NotCreated,
    /// The host refuses to start it: a port is taken.
    NotStarted,
    /// Its command is not in the image.
    NotExecutable,
    /// Someone stops it while it is waited for.
    StoppedWhileWaitedFor,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum OldImage {
    Good,
    /// The new container changed its data.
    StartsNoMore,
    /// The host has lost what both need.
    NotStarted,
}

fn on_namespace(unit: usize) -> Dependency {
    Dependency {
        unit,
        by: DependencyKind::Namespace,
    }
}

impl World {
    pub(crate) fn new(kind: Kind, replicas: usize, new_is: NewImage) -> Self {
        let mut units = Vec::new();
        let mut containers = Vec::new();
        let tenants = if kind == Kind::Held { 2 } else { 0 };
        for replica in 0..replicas {
            let first = units.len();
            for n in 0..=tenants {
                let index = first + n;
                let old = ObservedContainer {
                    id: format!("old{index}"),
                    name: if n == 0 {
                        format!("web{replica}")
                    } else {
                        format!("tenant{replica}{n}")
                    },
                    image: OLD_IMAGE.parse().unwrap(),
                    state: ContainerState::Running,
                    restart: always(),
                    restart_count: 0,
                    exit_code: 0,
                    oom_killed: false,
                    health: Health::Healthy,
                    warm_up: SignedDuration::ZERO,
                    ended_by: EndedBy::Itself,
                };
                units.push(Unit {
                    index,
                    name: old.name.clone(),
                    old: old.id.clone(),
                    old_image: old.image.clone(),
                    was_running: true,
                    restart: always(),
                    fixed_restart: false,
                    snapshot: String::new(),
                    part: if n == 0 { Part::Release } else { Part::Dependent },
                    depends_on: (n > 0).then(|| on_namespace(index - 1)).into_iter().collect(),
                    bars: Vec::new(),
                    on_exit: if kind == Kind::AutoRemove {
                        OnExit::Removed
                    } else {
                        OnExit::Stays
                    },
                    tag: (kind == Kind::Tagged).then(|| ServiceTag {
                        reference: "web:prod".to_owned(),
                        before: Some(OLD_IMAGE.parse().unwrap()),
                    }),
                    needs: Vec::new(),
                });
                containers.push(old);
            }
        }
        World {
            routed: containers.iter().map(|c| c.id.clone()).collect(),
            containers,
            units,
            labels: Vec::new(),
            remade: Vec::new(),
            created: 0,
            new_is,
            old_is: OldImage::Good,
            holding: false,
            tag: Some(OLD_IMAGE.parse().unwrap()),
            retained_images: BTreeSet::new(),
            started: BTreeMap::new(),
            trials: 0,
            host_is_fit: true,
        }
    }

    /// Killed in the middle of a step that makes more than one call.
    pub(super) fn cut_off(&mut self, step: &ContainerStep) {
        if let ContainerStep::TryOut { .. } = step {
            self.trials += 1;
        }
    }

    pub(crate) fn observe(&self, units: &[Unit]) -> Vec<ObservedUnit> {
        let by_id = |id: &String| self.containers.iter().find(|c| c.id == *id).cloned();
        let labelled = |labels: &[(usize, String)], unit: &Unit| -> Vec<ObservedContainer> {
            let of = labels.iter().filter(|(index, _)| *index == unit.index);
            of.filter_map(|(_, id)| by_id(id)).collect()
        };
        units
            .iter()
            .map(|unit| ObservedUnit {
                old: by_id(&unit.old).or_else(|| labelled(&self.remade, unit).pop()),
                candidates: labelled(&self.labels, unit),
                stranger: None,
                gone_by: EndedBy::Itself,
            })
            .collect()
    }

    /// A moment of the bake.
    pub(super) fn bakes(&mut self) {
        let first = self.labels[0].1.clone();
        match self.new_is {
            NewImage::DiesWhileBaking => self.get(&first).restart_count += 1,
            NewImage::ExitsOnceWhileBaking => self.get(&first).restart_count = 1,
            NewImage::LostWhileBaking => {
                let container = self.get(&first);
                container.state = ContainerState::Exited;
                container.exit_code = 255;
            }
            NewImage::Good
            | NewImage::NeverReady
            | NewImage::ExitsAtOnce
            | NewImage::ExitsOnce
            | NewImage::ExitsWhileWaitedFor { .. }
            | NewImage::NotCreated
            | NewImage::NotStarted
            | NewImage::NotExecutable
            | NewImage::StoppedWhileWaitedFor => {}
        }
    }

    /// The host goes down and comes up again.
    pub(super) fn reboot(&mut self) {
        for container in &mut self.containers {
            let was_up = container.state == ContainerState::Running;
            if !policy_is(container, &RestartPolicy::none()) {
                container.state = ContainerState::Running;
            } else if was_up {
                container.state = ContainerState::Exited;
                container.exit_code = 255;
            }
        }
    }

    pub(crate) fn seen(&self, units: Option<&Vec<Unit>>) -> Option<Vec<ObservedUnit>> {
        units.map(|units| self.observe(units))
    }

    pub(crate) fn get(&mut self, id: &str) -> &mut ObservedContainer {
        self.containers
            .iter_mut()
            .find(|c| c.id == id)
            .expect("the step names a container that exists")
    }

    pub(crate) fn make(&mut self, unit: usize, id: String, image: &str) {
        self.containers.push(ObservedContainer {
            name: format!("{id}.aside"),
            id,
            image: image.parse().unwrap(),
            state: ContainerState::Created,
            restart: RestartPolicy::none(),
            restart_count: 0,
            exit_code: 0,
            oom_killed: false,
            health: Health::None,
            warm_up: SignedDuration::ZERO,
            ended_by: EndedBy::Itself,
        });
        // A container in the namespace of another needs it to be there.
        for dependency in self.units[unit].depends_on.clone() {
            let held = self.units[dependency.unit].clone();
            assert!(
                self.serves(&held),
                "{} holds on to what is not there",
                self.units[unit].name
            );
        }
    }

    pub(crate) fn serves(&self, unit: &Unit) -> bool {
        let mut running = self.containers.iter().filter(|c| c.state == ContainerState::Running);
        running.any(|c| c.name == unit.name)
    }

    pub(crate) fn perform(&mut self, step: &ContainerStep) -> Ended<ContainerOutcome> {
        match step {
            ContainerStep::Preflight => well(ContainerOutcome::Preflighted {
                units: self.units.clone(),
            }),
            ContainerStep::Pull => well(ContainerOutcome::Pulled {
                image: NEW_IMAGE.parse().unwrap(),
                dropped: Vec::new(),
            }),
            ContainerStep::SaveLog { .. } => well(ContainerOutcome::LogSaved {
                log: vec!["last words".to_owned()],
                exit_code: 1,
            }),
            ContainerStep::TryOut { .. } => self.try_out(),
            ContainerStep::Start { container, which, .. } => self.start(container, *which),
            // One that the engine has restarted runs.
            ContainerStep::Restart { container, .. } if self.get(container).state == ContainerState::Running => {
                well(ContainerOutcome::Done)
            }
            ContainerStep::Restart { container, .. } => self.start(container, Which::New),
            ContainerStep::AwaitReady { container, which, .. } => self.await_ready(container, *which),
            ContainerStep::CreateCandidate { unit } => self.create(*unit),
            ContainerStep::RecreateOld { unit } => self.recreate(*unit),
            ContainerStep::RunHook { .. } | ContainerStep::Attach { .. } | ContainerStep::Drain { .. } => {
                well(ContainerOutcome::Done)
            }
            ContainerStep::RemoveCandidate { .. }
            | ContainerStep::RemoveOld { .. }
            | ContainerStep::StopOld { .. }
            | ContainerStep::StopCandidate { .. }
            | ContainerStep::SetRestart { .. }
            | ContainerStep::Rename { .. }
            | ContainerStep::Route { .. }
            | ContainerStep::RetainImage { .. }
            | ContainerStep::DropImage { .. }
            | ContainerStep::MoveTag { .. } => {
                self.change(step);
                well(ContainerOutcome::Done)
            }
        }
    }

    fn try_out(&mut self) -> Ended<ContainerOutcome> {
        // Whatever an earlier try left is swept first, and this one leaves nothing.
        self.trials = 0;
        if self.host_is_fit {
            well(ContainerOutcome::Done)
        } else {
            failed(FailureKind::StartFailed)
        }
    }

    fn create(&mut self, unit: usize) -> Ended<ContainerOutcome> {
        if self.new_is == NewImage::NotCreated {
            return failed(FailureKind::EngineRefused);
        }
        // An existing candidate is adopted.
        if self.labels.iter().all(|(index, _)| *index != unit) {
            let id = format!("new{}", self.created);
            self.created += 1;
            self.labels.push((unit, id.clone()));
            self.make(unit, id, NEW_IMAGE);
        }
        well(ContainerOutcome::Done)
    }

    fn recreate(&mut self, unit: usize) -> Ended<ContainerOutcome> {
        if self.remade.iter().all(|(index, _)| *index != unit) {
            assert!(self.retained_images.contains(&unit), "the old image may be gone");
            let id = format!("again{unit}");
            self.remade.push((unit, id.clone()));
            self.make(unit, id, OLD_IMAGE);
        }
        well(ContainerOutcome::Done)
    }

    fn start(&mut self, container: &str, which: Which) -> Ended<ContainerOutcome> {
        match (which, self.new_is, self.old_is) {
            (Which::New, NewImage::NotStarted, _) | (Which::Old, _, OldImage::NotStarted) => {
                return failed(FailureKind::StartFailed);
            }
            (Which::New, NewImage::NotExecutable, _) => return failed(FailureKind::NotExecutable),
            (Which::New, _, _) | (Which::Old, _, OldImage::Good | OldImage::StartsNoMore) => {}
        }
        let starts = self.started.entry(container.to_owned()).or_default();
        *starts += 1;
        let exits = match which {
            Which::New if self.new_is == NewImage::ExitsOnce => *starts == 1,
            Which::New => self.new_is == NewImage::ExitsAtOnce,
            Which::Old => self.old_is == OldImage::StartsNoMore,
        };
        self.get(container).state = if exits {
            ContainerState::Exited
        } else {
            ContainerState::Running
        };
        well(ContainerOutcome::Done)
    }

    fn await_ready(&mut self, container: &str, which: Which) -> Ended<ContainerOutcome> {
        match (which, self.new_is, self.old_is) {
            (Which::New, NewImage::NeverReady, _) => failed(FailureKind::UnhealthyAfterRoll),
            (Which::New, NewImage::StoppedWhileWaitedFor, _) => {
                let container = self.get(container);
                container.state = ContainerState::Exited;
                container.ended_by = EndedBy::Call;
                failed(FailureKind::Diverged)
            }
            (Which::Old, _, OldImage::StartsNoMore) => failed(FailureKind::UnhealthyAfterRevert),
            (Which::New, NewImage::ExitsWhileWaitedFor { times }, _)
                if self.started.get(container).is_some_and(|starts| *starts <= times) =>
            {
                self.get(container).state = ContainerState::Exited;
                failed(FailureKind::ContainerExited)
            }
            (Which::New, _, _) if self.get(container).state == ContainerState::Exited => {
                failed(FailureKind::ContainerExited)
            }
            (Which::New, _, _) => {
                self.get(container).health = Health::Healthy;
                well(ContainerOutcome::Done)
            }
            (Which::Old, _, OldImage::Good | OldImage::NotStarted) => well(ContainerOutcome::Done),
        }
    }

    fn change(&mut self, step: &ContainerStep) {
        match step {
            ContainerStep::RemoveCandidate { container, .. } | ContainerStep::RemoveOld { container, .. } => {
                self.containers.retain(|c| c.id != *container);
            }
            ContainerStep::StopOld { unit, container } | ContainerStep::StopCandidate { unit, container } => {
                if self.units[*unit].on_exit == OnExit::Removed {
                    self.containers.retain(|c| c.id != *container);
                } else {
                    self.get(container).state = ContainerState::Exited;
                }
            }
            ContainerStep::SetRestart { container, policy, .. } => self.get(container).restart = policy.clone(),
            ContainerStep::Rename { container, to, .. } => {
                assert!(self.containers.iter().all(|c| c.name != *to), "the name {to} is taken");
                self.get(container).name.clone_from(to);
            }
            ContainerStep::Route { container, change, .. } => match change {
                RouteChange::Join => drop(self.routed.insert(container.clone())),
                RouteChange::Leave => drop(self.routed.remove(container)),
                RouteChange::Pause => self.holding = true,
                RouteChange::Resume => self.holding = false,
            },
            ContainerStep::RetainImage { unit } => drop(self.retained_images.insert(*unit)),
            ContainerStep::DropImage { unit } => drop(self.retained_images.remove(unit)),
            ContainerStep::MoveTag { image, .. } => self.tag.clone_from(image),
            ContainerStep::Preflight
            | ContainerStep::Pull
            | ContainerStep::RunHook { .. }
            | ContainerStep::CreateCandidate { .. }
            | ContainerStep::RecreateOld { .. }
            | ContainerStep::Start { .. }
            | ContainerStep::TryOut { .. }
            | ContainerStep::Restart { .. }
            | ContainerStep::AwaitReady { .. }
            | ContainerStep::SaveLog { .. }
            | ContainerStep::Attach { .. }
            | ContainerStep::Drain { .. } => panic!("{step} changes nothing"),
        }
    }
}

fn failed(kind: FailureKind) -> Ended<ContainerOutcome> {
    Ended::Failed {
        failure: Failure::new(kind, "simulated"),
    }
}

fn well(outcome: ContainerOutcome) -> Ended<ContainerOutcome> {
    Ended::Well { outcome }
}
