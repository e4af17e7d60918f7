//! One rollout of lowtide's own container. Whoever has the lock drives; when it dies or lets go, the hand-over says who may
//! take the lock.

use crate::decide::handover::{self, AtStart};
use crate::decide::rollout::{Gate, Next, RolloutState, fold, next_of};
use crate::fleet::rollout::RolloutEvent;
use crate::kinds::containers::model::{EndedBy, ObservedContainer, RestartPolicy, Unit};
use crate::kinds::containers::policy::{ContainerSelect, ContainersPolicy};
use crate::kinds::containers::step::ContainerStep;
use crate::kinds::containers::tests::trial::outside;
use crate::kinds::containers::tests::world::{Kind, NewImage, OLD_IMAGE, World, at, rollout};
use crate::kinds::list::{Listed, Outcome, TargetKind};
use crate::kinds::self_update::model::ObservedSelfUpdate;
use crate::kinds::self_update::owner::taken_over;
use crate::kinds::self_update::policy::SelfUpdatePolicy;
use crate::kinds::self_update::step::{SelfUpdateOutcome, SelfUpdateStep};
use crate::kinds::track::Ended;
use jiff::Timestamp;
use lowtide_model::container::{ContainerState, Health};
use lowtide_model::handover::{Handover, StateOwner};
use lowtide_model::journal::Recorded;
use lowtide_model::name::RolloutId;
use lowtide_model::rollout::RolloutConclusion;

/// What the new image does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum NewLowtide {
    Good,
    /// Exits before it could stand by.
    ExitsAtOnce,
    /// It stands by well, and ends as soon as it has the state.
    DiesOfTheState,
    /// It stands by, and never takes the state.
    NeverTakesIt,
    UnhealthyWhileBaking,
    /// The same, and it migrates the database so that only it can read it.
    MigratesAndIsUnhealthy,
}

impl NewLowtide {
    pub(super) const ALL: [NewLowtide; 6] = [
        NewLowtide::Good,
        NewLowtide::ExitsAtOnce,
        NewLowtide::DiesOfTheState,
        NewLowtide::NeverTakesIt,
        NewLowtide::UnhealthyWhileBaking,
        NewLowtide::MigratesAndIsUnhealthy,
    ];
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Blow {
    /// kill -9 of whoever has the state.
    Kill,
    /// All processes end; those with a restart policy come back.
    Reboot,
}

pub(super) struct Trial {
    world: World,
    helper: Option<ObservedContainer>,
    pub(super) helpers_made: usize,
    pub(super) helper_takes: bool,
    new_is: NewLowtide,
    record: Option<Handover>,
    lock: Option<StateOwner>,
    /// Events of the copy of the database.
    copy: usize,
    /// Only the new one can read it.
    too_new: bool,
    pub(super) last: StateOwner,
    /// The owner that was killed.
    pub(super) killed: Option<StateOwner>,
    /// Since when each stands by, in seconds.
    up: [i64; 3],
    events: Vec<Recorded<RolloutEvent>>,
    now: i64,
    story: Vec<String>,
}

const STATE_OWNERS: [StateOwner; 3] = [StateOwner::Old, StateOwner::Helper, StateOwner::New];

impl Trial {
    pub(super) fn new(new_is: NewLowtide) -> Self {
        let image = match new_is {
            NewLowtide::ExitsAtOnce => NewImage::ExitsAtOnce,
            NewLowtide::Good
            | NewLowtide::DiesOfTheState
            | NewLowtide::NeverTakesIt
            | NewLowtide::UnhealthyWhileBaking
            | NewLowtide::MigratesAndIsUnhealthy => NewImage::Good,
        };
        let mut trial = Trial {
            world: World::new(Kind::Plain, 1, image),
            helper: None,
            helpers_made: 0,
            helper_takes: true,
            new_is,
            record: None,
            lock: Some(StateOwner::Old),
            copy: 0,
            too_new: false,
            last: StateOwner::Old,
            killed: None,
            up: [0; 3],
            events: Vec::new(),
            now: 0,
            story: Vec::new(),
        };
        let mut opened = rollout(Kind::Plain, false);
        if let RolloutEvent::Opened { target, .. } = &mut opened {
            let container = ContainersPolicy::of(ContainerSelect::Own);
            target.kind = TargetKind::SelfUpdate(Box::new(SelfUpdatePolicy { container }));
        }
        trial.push(opened);
        trial
    }

    pub(super) fn written(&self) -> Vec<RolloutEvent> {
        self.events.iter().map(|it| it.event.clone()).collect()
    }

    /// Runs until the end; the blow falls at the instant of that number (three per step: before, in the middle, after).
    /// Returns false when it fell.
    pub(super) fn drive(&mut self, blow: Option<(Blow, usize)>) -> bool {
        let mut left = blow.map(|(_, instant)| instant);
        let mut falls = |trial: &mut Self| match (&mut left, blow) {
            (Some(0), Some((blow, _))) => {
                trial.strike(blow);
                true
            }
            (Some(n), _) => {
                *n -= 1;
                false
            }
            (None, _) => false,
        };
        for _ in 0..500 {
            let Some(owner) = self.lock else {
                self.take_lock();
                continue;
            };
            if self.dies_of_the_state(owner) {
                continue;
            }
            self.find(owner);
            match self.plan(Some(owner)) {
                Next::Do { attempt, step } => {
                    self.push(RolloutEvent::StepStarted {
                        attempt,
                        step: step.clone().into(),
                    });
                    if falls(self) {
                        return false;
                    }
                    self.story.push(format!("{owner}: {step}"));
                    let outcome = self.perform(&step);
                    self.world.nobody_is_lost(Kind::Plain, &self.units());
                    if falls(self) {
                        return false;
                    }
                    let Some(outcome) = outcome else { continue };
                    self.push(RolloutEvent::StepEnded {
                        outcome: outcome.map(Outcome::from),
                    });
                    if falls(self) {
                        return false;
                    }
                }
                Next::Wait { until, .. } => self.wait(owner, until),
                Next::StartBake { until } => self.push(RolloutEvent::BakeStarted { until }),
                Next::DecideRevert(failure) => {
                    self.story.push(format!("{owner}: goes back, {}", failure.detail));
                    self.push(RolloutEvent::RevertDecided { failure });
                }
                Next::Finish(conclusion) => {
                    self.last = owner;
                    self.push(RolloutEvent::Concluded { conclusion });
                    return true;
                }
                other @ (Next::Enter { .. } | Next::Suspend { .. } | Next::Escalate { .. } | Next::Over) => {
                    panic!("{other:?}")
                }
            }
        }
        panic!("it does not end: {}", self.story());
    }

    pub(super) fn story(&self) -> String {
        self.story.join("\n")
    }

    pub(super) fn conclusion(&self) -> &RolloutConclusion {
        let last = &self.events.last().unwrap().event;
        let RolloutEvent::Concluded { conclusion } = last else {
            panic!("not concluded: {last:?}")
        };
        conclusion
    }

    pub(super) fn as_stranger(&mut self) -> Next<SelfUpdateStep> {
        self.find(StateOwner::Helper);
        self.plan(None)
    }

    /// Name, restart policy and state of the container that concluded the rollout.
    pub(super) fn owner_container(&self) -> (String, String, ContainerState) {
        let container = self.container(self.last).unwrap();
        (container.name, container.restart.name, container.state)
    }

    fn state(&self) -> RolloutState {
        fold(RolloutId(ulid::Ulid(9)), &self.events).unwrap()
    }

    fn units(&self) -> Vec<Unit> {
        let state = self.state();
        let track = SelfUpdatePolicy::track(&state.kind).expect("lowtide itself is moved");
        track.state.containers.units.clone().unwrap_or_default()
    }

    fn push(&mut self, event: RolloutEvent) {
        let seq = self.events.len() as u64 + 1;
        self.events.push(Recorded {
            seq,
            at: at(self.now),
            event,
        });
    }

    fn plan(&self, owner: Option<StateOwner>) -> Next<SelfUpdateStep> {
        let units = self.units();
        let observed = (!units.is_empty()).then(|| ObservedSelfUpdate {
            owner,
            units: self.world.observe(&units),
            helper: self.helper.clone(),
        });
        next_of::<SelfUpdatePolicy>(&self.state(), observed.as_ref(), &outside(Gate::Open), at(self.now))
    }

    /// What a driver does first.
    fn find(&mut self, owner: StateOwner) {
        let state = self.state();
        let track = SelfUpdatePolicy::track(&state.kind).expect("lowtide itself is moved");
        if let Some(step) = track.under_way() {
            let event = match taken_over(step, self.record.as_ref(), Some(owner)) {
                Some(ended) => RolloutEvent::StepEnded {
                    outcome: ended.map(Outcome::from),
                },
                None => RolloutEvent::StepAbandoned,
            };
            self.push(event);
        }
    }

    fn perform(&mut self, step: &SelfUpdateStep) -> Option<Ended<SelfUpdateOutcome>> {
        match step {
            SelfUpdateStep::Container { container_step } => {
                if let ContainerStep::Start { container, .. } = container_step {
                    let owner = if container == "old0" {
                        StateOwner::Old
                    } else {
                        StateOwner::New
                    };
                    self.up[owner as usize] = self.now;
                }
                return Some(self.world.perform(container_step).map(SelfUpdateOutcome::Container));
            }
            SelfUpdateStep::StartHelper => {
                let tried = self.record.as_ref().and_then(|record| record.tried);
                self.name(self.lock.unwrap(), at(self.now), tried);
                self.ensure_helper();
            }
            SelfUpdateStep::RemoveHelper => self.helper = None,
            SelfUpdateStep::HandOver { to, deadline } => {
                let mut tried = self.record.as_ref().and_then(|record| record.tried);
                if *to == StateOwner::New {
                    tried = Some(*deadline);
                    self.copy = self.events.len();
                }
                self.name(*to, *deadline, tried);
                self.lock = None;
                return None;
            }
        }
        Some(Ended::Well {
            outcome: SelfUpdateOutcome::Done,
        })
    }

    fn name(&mut self, to: StateOwner, deadline: Timestamp, tried: Option<Timestamp>) {
        let new = self.world.labels.first().map(|(_, id)| id.clone());
        self.record = Some(Handover {
            rollout: RolloutId(ulid::Ulid(9)),
            to,
            deadline,
            overdue: Timestamp::MAX,
            old: "old0".to_owned(),
            helper: "helper".to_owned(),
            new,
            tried,
        });
    }

    fn ensure_helper(&mut self) {
        if self.helper.is_none() {
            self.helpers_made += 1;
            self.helper = Some(ObservedContainer {
                warm_up: jiff::SignedDuration::ZERO,
                ended_by: EndedBy::Itself,
                id: "helper".to_owned(),
                name: "web0.helper".to_owned(),
                image: OLD_IMAGE.parse().unwrap(),
                state: ContainerState::Running,
                restart: RestartPolicy {
                    name: "unless-stopped".to_owned(),
                    max_retries: 0,
                },
                restart_count: 0,
                exit_code: 0,
                oom_killed: false,
                health: Health::None,
            });
            self.up[1] = self.now;
        }
        self.helper.as_mut().unwrap().state = ContainerState::Running;
    }

    fn container(&self, owner: StateOwner) -> Option<ObservedContainer> {
        let by_id = |id: &str| self.world.containers.iter().find(|c| c.id == id).cloned();
        match owner {
            StateOwner::Old => by_id("old0"),
            StateOwner::Helper => self.helper.clone(),
            StateOwner::New => by_id(&self.world.labels.first()?.1),
        }
    }

    fn change(&mut self, owner: StateOwner, change: impl FnOnce(&mut ObservedContainer)) {
        let id = self.container(owner).unwrap().id;
        match owner {
            StateOwner::Helper => change(self.helper.as_mut().unwrap()),
            StateOwner::Old | StateOwner::New => change(self.world.get(&id)),
        }
    }

    fn runs(&self, owner: StateOwner) -> bool {
        self.container(owner)
            .is_some_and(|c| c.state == ContainerState::Running)
    }

    /// A second passes; a process that stands by and may take the lock takes it.
    fn take_lock(&mut self) {
        self.now += 1;
        let mut waiting: Vec<StateOwner> = STATE_OWNERS.into_iter().filter(|owner| self.runs(*owner)).collect();
        waiting.retain(|owner| match owner {
            StateOwner::Helper => self.helper_takes,
            StateOwner::New => self.new_is != NewLowtide::NeverTakesIt,
            StateOwner::Old => true,
        });
        assert!(
            !waiting.is_empty(),
            "nobody is left: {}\n{:?}",
            self.story(),
            self.world
        );
        let turn = |owner: &StateOwner| {
            let up = at(self.up[*owner as usize]);
            handover::at_start(self.record.as_ref(), Some(*owner), up, at(self.now))
        };
        self.lock = waiting.into_iter().find(|owner| turn(owner) != AtStart::StandBy);
        self.now += if self.lock.is_none() { 10 } else { 0 };
        self.open_database();
    }

    /// Whoever took the lock.
    fn open_database(&mut self) {
        match self.lock {
            Some(StateOwner::New) => self.too_new |= self.new_is == NewLowtide::MigratesAndIsUnhealthy,
            Some(owner @ (StateOwner::Old | StateOwner::Helper)) if self.too_new => {
                let record = self.record.as_ref().unwrap();
                if handover::may_bring_back(record, Some(owner)) {
                    self.events.truncate(self.copy);
                    self.too_new = false;
                } else {
                    self.die(owner);
                }
            }
            Some(StateOwner::Old | StateOwner::Helper) | None => {}
        }
    }

    fn dies_of_the_state(&mut self, owner: StateOwner) -> bool {
        let dies = owner == StateOwner::New && self.new_is == NewLowtide::DiesOfTheState;
        if dies {
            let line = format!("{owner}: dies of the state, again and again");
            if self.story.last() != Some(&line) {
                self.story.push(line);
            }
            self.die(owner);
            // The engine waits longer and longer before it restarts the container.
            if self.runs(owner) && self.now > self.record.as_ref().map_or(0, |r| seconds(r.deadline)) {
                self.change(owner, |c| c.state = ContainerState::Restarting);
            }
        }
        dies
    }

    fn strike(&mut self, blow: Blow) {
        match (blow, self.lock) {
            (Blow::Kill, Some(owner)) => {
                self.killed = Some(owner);
                self.die(owner);
            }
            // The owner has just released the state.
            (Blow::Kill, None) => {}
            (Blow::Reboot, _) => {
                for owner in STATE_OWNERS {
                    if self.runs(owner) {
                        self.change(owner, |c| c.state = ContainerState::Exited);
                        if self.container(owner).unwrap().restart.name != "no" {
                            self.change(owner, |c| c.state = ContainerState::Running);
                        }
                        self.up[owner as usize] = self.now;
                    }
                }
                self.now += 200;
                self.up.fill(self.now);
                self.lock = None;
            }
        }
    }

    /// The process ends by itself or by a kill; its container's policy says what follows.
    fn die(&mut self, owner: StateOwner) {
        self.change(owner, |container| {
            if container.restart.name == "no" {
                container.state = ContainerState::Exited;
            } else {
                container.restart_count += 1;
            }
        });
        self.up[owner as usize] = self.now;
        self.lock = None;
    }

    fn wait(&mut self, owner: StateOwner, until: Option<Timestamp>) {
        let is_unhealthy = matches!(
            self.new_is,
            NewLowtide::UnhealthyWhileBaking | NewLowtide::MigratesAndIsUnhealthy
        );
        if owner == StateOwner::New && is_unhealthy {
            self.change(owner, |c| c.health = Health::Unhealthy);
        }
        self.now = seconds(until.expect("something to wait for")).max(self.now);
    }
}

fn seconds(at_: Timestamp) -> i64 {
    at_.as_second() - at(0).as_second()
}
