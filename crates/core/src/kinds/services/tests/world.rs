//! A simulated swarm, and a driver that can be killed.

use super::*;
use lowtide_model::release::Images;

pub(super) const OLD: &str =
    "example.org/web:t0@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const NEW_DIGEST: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

pub(super) fn release() -> Release {
    Release {
        upstream: None,
        run: RunId(ulid::Ulid(7)),
        images: Images::one(
            ImageId::from_str(NEW_DIGEST).unwrap(),
            ContentDigest::from_str(NEW_DIGEST).unwrap(),
        ),
        commit: Some("c".repeat(40)),
        tag: "t1".to_owned(),
        digest: Some(NEW_DIGEST.parse().unwrap()),
        reference: "example.org/web:t1".parse().unwrap(),
        change: None,
        sidecars: std::collections::BTreeMap::new(),
        at: at(0),
    }
}

pub(super) fn outside() -> Outside {
    Outside {
        gate: Gate::Open,
        window: None,
        timezone: "UTC".to_owned(),
        needs: SignedDuration::from_mins(5),
        taken: None,
        waits: Waits {
            since: at(0),
            security: false,
        },
    }
}

fn opened(irreversible: bool) -> RolloutEvent {
    RolloutEvent::Opened {
        app: "web".parse().unwrap(),
        target: Box::new(TargetPolicy {
            settings: TargetSettings {
                name: "stack-shop".parse().unwrap(),
                channel: None,
                host: "local".parse().unwrap(),
                window: None,
                ready: Ready {
                    check: ReadyCheck::Steady {
                        stay_up: SignedDuration::from_secs(10),
                    },
                    timeout: SignedDuration::from_secs(60),
                },
                bake: SignedDuration::from_secs(30),
                irreversible,
                unhealthy: Unhealthy::Refuse,
            },
            kind: TargetKind::Services(Box::new(ServicesPolicy {
                select: ServiceSelect::Stack {
                    stack: "shop".to_owned(),
                    services: Vec::new(),
                },
                order: Order::Auto,
            })),
        }),
        timezone: "UTC".to_owned(),
        release: Box::new(release()),
        window_ignored: true,
        purpose: Purpose::Release,
    }
}

/// How the new image behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum NewImage {
    Good,
    FailsAtOnce,
    NeverScheduled,
    DiesWhileBaking,
    /// Swarm rolls back by itself at the first failure, which can no longer be observed.
    RolledBack,
}

impl NewImage {
    pub(super) const ALL: [NewImage; 5] = [
        NewImage::Good,
        NewImage::FailsAtOnce,
        NewImage::NeverScheduled,
        NewImage::DiesWhileBaking,
        NewImage::RolledBack,
    ];
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Service {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) mark: ServiceMark,
    /// `None`: its own.
    pub(super) knobs: Option<UpdateKnobs>,
    pub(super) update: UpdateState,
    pub(super) mode: ServiceMode,
    pub(super) tasks: Vec<ObservedTask>,
    pub(super) nodes: BTreeSet<String>,
    pub(super) new_is: NewImage,
}

#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) services: Vec<Service>,
    made: usize,
    /// Services in the order in which we rolled them back.
    pub(super) reverted: Vec<usize>,
    pub(super) refuses_restore: bool,
}

pub(super) fn new_image() -> String {
    release().service_image()
}

impl Service {
    pub(super) fn become_new(&mut self) {
        self.image = new_image();
        for task in &mut self.tasks {
            task.image = new_image();
        }
    }

    pub(super) fn task(&mut self, place: TaskPlace, image: &str, state: TaskState, now: i64, id: String) {
        let said = match state {
            TaskState::Unplaced => "no suitable node (scheduling constraints not satisfied on 1 node)",
            TaskState::Failed => "task: non-zero exit (3)",
            TaskState::Rejected => "No such image: example.org/web:t1",
            TaskState::Preparing
            | TaskState::Running
            | TaskState::Complete
            | TaskState::Shutdown
            | TaskState::Lost
            | TaskState::Unknown => "started",
        };
        self.tasks.push(ObservedTask {
            id,
            place,
            image: image.to_owned(),
            state,
            wanted: match state {
                TaskState::Unplaced | TaskState::Preparing | TaskState::Running => TaskWanted::Running,
                TaskState::Complete
                | TaskState::Shutdown
                | TaskState::Failed
                | TaskState::Rejected
                | TaskState::Lost
                | TaskState::Unknown => TaskWanted::Stopped,
            },
            since: at(now),
            said: said.to_owned(),
        });
    }
}

impl World {
    pub(super) fn new(services: usize, replicas: u64, new_is: NewImage) -> Self {
        let service = |n| {
            let mut service = Service {
                name: format!("web{n}"),
                image: OLD.to_owned(),
                mark: ServiceMark::None,
                knobs: None,
                update: UpdateState::Absent,
                mode: ServiceMode::Replicated { replicas },
                tasks: Vec::new(),
                nodes: BTreeSet::new(),
                new_is,
            };
            for slot in 1..=replicas {
                service.task(
                    TaskPlace::Slot(slot),
                    OLD,
                    TaskState::Running,
                    -1000,
                    format!("old{n}.{slot}"),
                );
            }
            service
        };
        World {
            services: (0..services).map(service).collect(),
            made: 0,
            reverted: Vec::new(),
            refuses_restore: false,
        }
    }

    pub(super) fn units(&self) -> Vec<ServiceUnit> {
        let unit = |(index, service): (usize, &Service)| ServiceUnit {
            index,
            name: service.name.clone(),
            id: format!("id{index}"),
            version: 1,
            mode: service.mode,
            old_image: service.image.clone(),
            order: UpdateOrder::StartFirst,
            nodes: service.nodes.clone(),
            past: BTreeSet::new(),
            snapshot: String::new(),
        };
        self.services.iter().enumerate().map(unit).collect()
    }

    pub(super) fn observe(&self) -> Vec<ObservedService> {
        let look = |service: &Service| {
            ObservedService::Found(FoundService {
                version: 1,
                image: service.image.clone(),
                mark: service.mark,
                update: service.update,
                said: "update paused due to failure or early termination of task x".to_owned(),
                mode: service.mode,
                tasks: service.tasks.clone(),
                nodes: service.nodes.clone(),
            })
        };
        self.services.iter().map(look).collect()
    }

    fn perform(&mut self, step: &ServiceStep) -> Ended<ServiceOutcome> {
        let well = |outcome| Ended::Well { outcome };
        let give = |service: &mut Service, image: &str, knobs: &UpdateKnobs| {
            service.image = image.to_owned();
            service.mark = ServiceMark::Ours;
            service.knobs = Some(knobs.clone());
            service.update = UpdateState::Absent;
        };
        match step {
            ServiceStep::Preflight => return well(ServiceOutcome::Preflighted { services: self.units() }),
            ServiceStep::Prepull { .. } => {
                return well(ServiceOutcome::Prepulled {
                    startup: SignedDuration::from_secs(10),
                });
            }
            ServiceStep::Update { unit, knobs, .. } => {
                if self.services[*unit].mark != ServiceMark::Ours || self.services[*unit].image == OLD {
                    give(&mut self.services[*unit], &new_image(), knobs);
                }
            }
            ServiceStep::Revert { unit, knobs, .. } => {
                let stands = self.services[*unit].update == UpdateState::RollbackPaused;
                if self.services[*unit].image != OLD || stands {
                    give(&mut self.services[*unit], OLD, knobs);
                    self.reverted.push(*unit);
                }
            }
            ServiceStep::RestoreKnobs { .. } if self.refuses_restore => {
                return Ended::Failed {
                    failure: Failure::new(FailureKind::ServiceRefused, "simulated"),
                };
            }
            ServiceStep::RestoreKnobs { unit, sent } => {
                let service = &mut self.services[*unit];
                assert_eq!(service.knobs.as_ref(), Some(sent), "the settings are ours");
                service.knobs = None;
                service.mark = ServiceMark::None;
                service.update = UpdateState::Absent;
            }
        }
        well(ServiceOutcome::Done)
    }

    /// What the swarm does in one look's time: one task per service.
    fn tick(&mut self, now: i64) {
        let made = &mut self.made;
        for service in &mut self.services {
            let wanted = |task: &&mut ObservedTask| task.wanted == TaskWanted::Running;
            let image = service.image.clone();
            if service.update == UpdateState::Paused {
                continue;
            }
            // A slot without a task gets one.
            let slots = match service.mode {
                ServiceMode::Replicated { replicas } if image == OLD => replicas,
                ServiceMode::Replicated { .. } | ServiceMode::Global => 0,
            };
            for slot in (1..=slots).map(TaskPlace::Slot) {
                let has = |task: &ObservedTask| task.place == slot && task.wanted == TaskWanted::Running;
                if !service.tasks.iter().any(has) {
                    *made += 1;
                    service.task(slot, OLD, TaskState::Running, now, format!("task{made}"));
                }
            }
            let Some(dirty) = service.tasks.iter_mut().filter(wanted).find(|task| task.image != image) else {
                if service.update == UpdateState::Updating {
                    service.update = UpdateState::Completed;
                }
                continue;
            };
            if service.update == UpdateState::Absent {
                service.update = UpdateState::Updating;
            }
            dirty.wanted = TaskWanted::Stopped;
            dirty.state = TaskState::Shutdown;
            let place = dirty.place.clone();
            *made += 1;
            let id = format!("task{made}");
            if image == OLD {
                service.task(place, &image, TaskState::Running, now, id);
                continue;
            }
            match service.new_is {
                NewImage::Good | NewImage::DiesWhileBaking => service.task(place, &image, TaskState::Running, now, id),
                NewImage::FailsAtOnce => {
                    service.task(place.clone(), &image, TaskState::Failed, now, id);
                    service.task(place, &image, TaskState::Preparing, now, format!("task{made}a"));
                    service.update = UpdateState::Paused;
                }
                NewImage::NeverScheduled => service.task(place, &image, TaskState::Unplaced, now, id),
                NewImage::RolledBack => {
                    service.task(place, OLD, TaskState::Running, now, id);
                    service.image = OLD.to_owned();
                    service.mark = ServiceMark::None;
                    service.knobs = None;
                    service.update = UpdateState::RollbackCompleted;
                }
            }
        }
    }
}

/// What someone else does to the swarm.
pub(super) type Act = fn(&mut World);

pub(super) struct Trial {
    pub(super) world: World,
    pub(super) events: Vec<Recorded<RolloutEvent>>,
    pub(super) now: i64,
    pub(super) steps: Vec<String>,
    /// Done to the world before the look at this second, once.
    pub(super) meanwhile: Option<(i64, Act)>,
}

impl Trial {
    pub(super) fn new(services: usize, replicas: u64, new_is: NewImage) -> Self {
        Self::with(services, replicas, new_is, false)
    }

    pub(super) fn with(services: usize, replicas: u64, new_is: NewImage, irreversible: bool) -> Self {
        let mut trial = Trial {
            world: World::new(services, replicas, new_is),
            events: Vec::new(),
            now: 0,
            steps: Vec::new(),
            meanwhile: None,
        };
        trial.push(opened(irreversible));
        trial
    }

    pub(super) fn push(&mut self, event: RolloutEvent) {
        let seq = self.events.len() as u64 + 1;
        // Through JSON, as the journal stores events.
        let event = serde_json::from_str(&serde_json::to_string(&event).unwrap()).unwrap();
        self.events.push(Recorded {
            seq,
            at: at(self.now),
            event,
        });
    }

    pub(super) fn state(&self) -> RolloutState {
        fold(RolloutId(ulid::Ulid(9)), &self.events).unwrap()
    }

    fn append(&mut self, state: &mut RolloutState, event: RolloutEvent) {
        self.push(event);
        state.apply(self.events.last().expect("just pushed")).unwrap();
    }

    /// Runs until the end; killed at the `kill`-th instant (three per step: before, in the middle, after), if given.
    /// Returns false when it was killed.
    pub(super) fn drive(&mut self, mut kill: Option<usize>) -> bool {
        let die = |kill: &mut Option<usize>| match kill {
            Some(0) => true,
            Some(n) => {
                *n -= 1;
                false
            }
            None => false,
        };
        // As the driver does: folded once, and then brought up to date.
        let mut state = self.state();
        for _ in 0..3000 {
            if let Some((when, act)) = self.meanwhile
                && when <= self.now
            {
                act(&mut self.world);
                self.meanwhile = None;
            }
            match next_of::<ServicesPolicy>(&state, self.look(&state).as_ref(), &outside(), at(self.now)) {
                Next::Do { attempt, step } => {
                    self.append(
                        &mut state,
                        RolloutEvent::StepStarted {
                            attempt,
                            step: step.clone().into(),
                        },
                    );
                    if die(&mut kill) {
                        return false;
                    }
                    let outcome = self.world.perform(&step).map(Outcome::from);
                    if die(&mut kill) {
                        return false;
                    }
                    self.steps.push(step.to_string());
                    self.append(&mut state, RolloutEvent::StepEnded { outcome });
                    if die(&mut kill) {
                        return false;
                    }
                }
                Next::Wait { until, reason } => {
                    let until = until.expect("something to wait for");
                    let ahead = until.duration_since(at(0));
                    let whole = ahead.as_secs() + i64::from(ahead.subsec_nanos() > 0);
                    self.now = whole.max(self.now);
                    self.world.tick(self.now);
                    if matches!(reason, WaitReason::Baking { .. }) {
                        self.die_baking();
                    }
                }
                Next::Enter { .. } | Next::Suspend { .. } | Next::Escalate { .. } => panic!("no window is kept"),
                Next::StartBake { until } => self.append(&mut state, RolloutEvent::BakeStarted { until }),
                Next::DecideRevert(failure) => self.append(&mut state, RolloutEvent::RevertDecided { failure }),
                Next::Finish(conclusion) => {
                    self.append(&mut state, RolloutEvent::Concluded { conclusion });
                    assert_eq!(state, self.state(), "a restart would go on from another state");
                    return true;
                }
                Next::Over => return true,
            }
        }
        panic!("the rollout does not end: {:?} {:?}", self.steps, self.world);
    }

    fn look(&self, state: &RolloutState) -> Option<Vec<ObservedService>> {
        services(state).units.as_ref().map(|_| self.world.observe())
    }

    fn die_baking(&mut self) {
        let now = self.now;
        for service in self
            .world
            .services
            .iter_mut()
            .filter(|s| s.new_is == NewImage::DiesWhileBaking)
        {
            let slot = TaskPlace::Slot(1);
            let runs = |task: &&mut ObservedTask| task.place == slot && task.state == TaskState::Running;
            let Some(task) = service.tasks.iter_mut().find(runs) else {
                continue;
            };
            (task.state, task.wanted) = (TaskState::Failed, TaskWanted::Stopped);
            task.said = "task: non-zero exit (137): dockerexec: unhealthy container".to_owned();
            let image = task.image.clone();
            service.task(slot.clone(), &image, TaskState::Running, now, "again".to_owned());
        }
    }

    pub(super) fn recover(&mut self) {
        if self.state().under_way().is_some() {
            self.push(RolloutEvent::StepAbandoned);
        }
    }

    pub(super) fn conclusion(&self) -> &RolloutConclusion {
        let last = &self.events.last().unwrap().event;
        let RolloutEvent::Concluded { conclusion } = last else {
            panic!("not concluded: {last:?}")
        };
        conclusion
    }

    /// Image of every service and of every task that is wanted.
    pub(super) fn end_state(&self) -> Vec<(String, Vec<String>)> {
        let wanted = |service: &Service| {
            let wanted = service.tasks.iter().filter(|task| task.wanted == TaskWanted::Running);
            wanted.map(|task| task.image.clone()).collect()
        };
        self.world
            .services
            .iter()
            .map(|service| (service.image.clone(), wanted(service)))
            .collect()
    }

    /// Neither labels nor settings of ours, and each service's tasks run what it says.
    pub(super) fn nothing_is_left(&self) {
        for (service, (image, tasks)) in self.world.services.iter().zip(self.end_state()) {
            assert_eq!(service.mark, ServiceMark::None, "{service:?}");
            assert_eq!(service.knobs, None, "{service:?}");
            assert!(tasks.iter().all(|task| *task == image), "{service:?}");
        }
    }
}

pub(super) fn services(state: &RolloutState) -> &Services {
    &ServicesPolicy::track(&state.kind).expect("services are moved").state
}

/// The failure of a rollout that was rolled back without blame on the release.
pub(super) fn refused(trial: &Trial) -> String {
    let RolloutConclusion::Refused { failure } = trial.conclusion() else {
        panic!("not refused: {:?}", trial.conclusion())
    };
    failure.to_string()
}

pub(super) fn reverted(trial: &Trial) -> String {
    let RolloutConclusion::Reverted { failure } = trial.conclusion() else {
        panic!("not reverted: {:?}", trial.conclusion())
    };
    failure.to_string()
}

pub(super) fn stuck_because(trial: &Trial) -> String {
    let RolloutConclusion::Stuck { failure } = trial.conclusion() else {
        panic!("not stuck: {:?}", trial.conclusion())
    };
    failure.to_string()
}
