//! One rollout of lowtide's own container. Whoever has the lock drives; when it dies or lets go, the hand-over says who may
//! take the lock.

use crate::decide::handover::{self, Turn};
use crate::decide::rollout::containers::tests::trial::outside;
use crate::decide::rollout::containers::tests::world::{Kind, NewImage, OLD_IMAGE, World, at, rollout};
use crate::decide::rollout::{Gate, Moving, Next, Progress, RolloutState, fold, next, self_update};
use crate::model::fleet::Select;
use crate::model::journal::Recorded;
use crate::model::name::RolloutId;
use crate::model::rollout::{
    ContainerState, EndedBy, Health, Observed, ObservedContainer, RestartPolicy, RolloutConclusion, RolloutEvent, Step,
    StepOutcome, Unit,
};
use crate::model::self_update::{Handover, Holder, ObservedSelfUpdate, SelfUpdateStep};
use jiff::Timestamp;

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
    lock: Option<Holder>,
    /// Events of the copy of the database.
    copy: usize,
    /// Only the new one can read it.
    too_new: bool,
    pub(super) last: Holder,
    /// The holder that was killed.
    pub(super) killed: Option<Holder>,
    /// Since when each stands by, in seconds.
    up: [i64; 3],
    events: Vec<Recorded<RolloutEvent>>,
    now: i64,
    story: Vec<String>,
}

const HOLDERS: [Holder; 3] = [Holder::Old, Holder::Helper, Holder::New];

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
            lock: Some(Holder::Old),
            copy: 0,
            too_new: false,
            last: Holder::Old,
            killed: None,
            up: [0; 3],
            events: Vec::new(),
            now: 0,
            story: Vec::new(),
        };
        let mut opened = rollout(Kind::Plain, false);
        if let RolloutEvent::Opened { target, .. } = &mut opened {
            target.select = Select::OwnContainer;
            target.before.clear();
            target.after.clear();
        }
        trial.push(opened);
        trial
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
            let Some(holder) = self.lock else {
                self.take_lock();
                continue;
            };
            if self.dies_of_the_state(holder) {
                continue;
            }
            self.find(holder);
            match self.plan(Some(holder)) {
                Next::Do { attempt, step } => {
                    self.push(RolloutEvent::StepStarted {
                        attempt,
                        step: step.clone(),
                    });
                    if falls(self) {
                        return false;
                    }
                    self.story.push(format!("{holder}: {step}"));
                    let outcome = self.perform(&step);
                    self.world.nobody_is_lost(Kind::Plain, &self.units());
                    if falls(self) {
                        return false;
                    }
                    let Some(outcome) = outcome else { continue };
                    self.push(RolloutEvent::StepEnded { outcome });
                    if falls(self) {
                        return false;
                    }
                }
                Next::Wait { until, .. } => self.wait(holder, until),
                Next::StartBake { until } => self.push(RolloutEvent::BakeStarted { until }),
                Next::DecideRevert(failure) => {
                    self.story.push(format!("{holder}: goes back, {}", failure.detail));
                    self.push(RolloutEvent::RevertDecided { failure });
                }
                Next::Finish(conclusion) => {
                    self.last = holder;
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

    pub(super) fn as_stranger(&mut self) -> Next {
        self.find(Holder::Helper);
        self.plan(None)
    }

    /// Name, restart policy and state of the container that concluded the rollout.
    pub(super) fn holder_container(&self) -> (String, String, ContainerState) {
        let container = self.container(self.last).unwrap();
        (container.name, container.restart.name, container.state)
    }

    fn state(&self) -> RolloutState {
        fold(RolloutId(ulid::Ulid(9)), &self.events).unwrap()
    }

    fn units(&self) -> Vec<Unit> {
        match self.state().moving {
            Moving::Containers(containers) => containers.units.unwrap_or_default(),
            Moving::Services(_) | Moving::Command(_) => panic!("a container is moved"),
        }
    }

    fn push(&mut self, event: RolloutEvent) {
        let seq = self.events.len() as u64 + 1;
        self.events.push(Recorded {
            seq,
            at: at(self.now),
            event,
        });
    }

    fn plan(&self, holder: Option<Holder>) -> Next {
        let units = self.units();
        let observed = if units.is_empty() {
            Observed::Nothing
        } else {
            Observed::SelfUpdate(Box::new(ObservedSelfUpdate {
                holder,
                units: self.world.observe(&units),
                helper: self.helper.clone(),
            }))
        };
        next(&self.state(), &observed, &outside(Gate::Open), at(self.now))
    }

    /// What a driver does first.
    fn find(&mut self, holder: Holder) {
        if let Progress::Started { step, .. } = self.state().progress {
            let event = match self_update::taken_over(&step, self.record.as_ref(), Some(holder)) {
                Some(outcome) => RolloutEvent::StepEnded { outcome },
                None => RolloutEvent::StepAbandoned,
            };
            self.push(event);
        }
    }

    fn perform(&mut self, step: &Step) -> Option<StepOutcome> {
        let Step::SelfUpdate(step) = step else {
            if let Step::Start { container, .. } = step {
                let holder = if container == "old0" { Holder::Old } else { Holder::New };
                self.up[holder as usize] = self.now;
            }
            return Some(self.world.perform(step));
        };
        match step {
            SelfUpdateStep::Keep => {
                let tried = self.record.as_ref().and_then(|record| record.tried);
                self.name(self.lock.unwrap(), at(self.now), tried);
                self.keep();
            }
            SelfUpdateStep::Dismiss => self.helper = None,
            SelfUpdateStep::Yield { to, deadline } => {
                let mut tried = self.record.as_ref().and_then(|record| record.tried);
                if *to == Holder::New {
                    tried = Some(*deadline);
                    self.copy = self.events.len();
                }
                self.name(*to, *deadline, tried);
                self.lock = None;
                return None;
            }
        }
        Some(StepOutcome::Done)
    }

    fn name(&mut self, to: Holder, deadline: Timestamp, tried: Option<Timestamp>) {
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

    fn keep(&mut self) {
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

    fn container(&self, holder: Holder) -> Option<ObservedContainer> {
        let by_id = |id: &str| self.world.containers.iter().find(|c| c.id == id).cloned();
        match holder {
            Holder::Old => by_id("old0"),
            Holder::Helper => self.helper.clone(),
            Holder::New => by_id(&self.world.labels.first()?.1),
        }
    }

    fn change(&mut self, holder: Holder, change: impl FnOnce(&mut ObservedContainer)) {
        let id = self.container(holder).unwrap().id;
        match holder {
            Holder::Helper => change(self.helper.as_mut().unwrap()),
            Holder::Old | Holder::New => change(self.world.get(&id)),
        }
    }

    fn runs(&self, holder: Holder) -> bool {
        self.container(holder)
            .is_some_and(|c| c.state == ContainerState::Running)
    }

    /// A second passes; a process that stands by and may take the lock takes it.
    fn take_lock(&mut self) {
        self.now += 1;
        let mut waiting: Vec<Holder> = HOLDERS.into_iter().filter(|holder| self.runs(*holder)).collect();
        waiting.retain(|holder| match holder {
            Holder::Helper => self.helper_takes,
            Holder::New => self.new_is != NewLowtide::NeverTakesIt,
            Holder::Old => true,
        });
        assert!(
            !waiting.is_empty(),
            "nobody is left: {}\n{:?}",
            self.story(),
            self.world
        );
        let turn = |holder: &Holder| {
            let up = at(self.up[*holder as usize]);
            handover::turn(self.record.as_ref(), Some(*holder), up, at(self.now))
        };
        self.lock = waiting.into_iter().find(|holder| turn(holder) != Turn::StandBy);
        self.now += if self.lock.is_none() { 10 } else { 0 };
        self.open_database();
    }

    /// Whoever took the lock.
    fn open_database(&mut self) {
        match self.lock {
            Some(Holder::New) => self.too_new |= self.new_is == NewLowtide::MigratesAndIsUnhealthy,
            Some(holder @ (Holder::Old | Holder::Helper)) if self.too_new => {
                let record = self.record.as_ref().unwrap();
                if handover::may_bring_back(record, Some(holder)) {
                    self.events.truncate(self.copy);
                    self.too_new = false;
                } else {
                    self.die(holder);
                }
            }
            Some(Holder::Old | Holder::Helper) | None => {}
        }
    }

    fn dies_of_the_state(&mut self, holder: Holder) -> bool {
        let dies = holder == Holder::New && self.new_is == NewLowtide::DiesOfTheState;
        if dies {
            let told = format!("{holder}: dies of the state, again and again");
            if self.story.last() != Some(&told) {
                self.story.push(told);
            }
            self.die(holder);
            // The engine waits longer and longer before it restarts the container.
            if self.runs(holder) && self.now > self.record.as_ref().map_or(0, |r| seconds(r.deadline)) {
                self.change(holder, |c| c.state = ContainerState::Restarting);
            }
        }
        dies
    }

    fn strike(&mut self, blow: Blow) {
        match (blow, self.lock) {
            (Blow::Kill, Some(holder)) => {
                self.killed = Some(holder);
                self.die(holder);
            }
            // The holder has just released the state.
            (Blow::Kill, None) => {}
            (Blow::Reboot, _) => {
                for holder in HOLDERS {
                    if self.runs(holder) {
                        self.change(holder, |c| c.state = ContainerState::Exited);
                        if self.container(holder).unwrap().restart.name != "no" {
                            self.change(holder, |c| c.state = ContainerState::Running);
                        }
                        self.up[holder as usize] = self.now;
                    }
                }
                self.now += 200;
                self.up.fill(self.now);
                self.lock = None;
            }
        }
    }

    /// The process ends by itself or by a kill; its container's policy says what follows.
    fn die(&mut self, holder: Holder) {
        self.change(holder, |container| {
            if container.restart.name == "no" {
                container.state = ContainerState::Exited;
            } else {
                container.restart_count += 1;
            }
        });
        self.up[holder as usize] = self.now;
        self.lock = None;
    }

    fn wait(&mut self, holder: Holder, until: Option<Timestamp>) {
        let is_unhealthy = matches!(
            self.new_is,
            NewLowtide::UnhealthyWhileBaking | NewLowtide::MigratesAndIsUnhealthy
        );
        if holder == Holder::New && is_unhealthy {
            self.change(holder, |c| c.health = Health::Unhealthy);
        }
        self.now = seconds(until.expect("something to wait for")).max(self.now);
    }
}

fn seconds(at_: Timestamp) -> i64 {
    at_.as_second() - at(0).as_second()
}
