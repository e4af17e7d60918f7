//! One rollout in a simulated world, killed where a test says.

use super::world::{Kind, NewImage, World, at, rollout};
use crate::decide::app_state::Waits;
use crate::decide::rollout::{Gate, Next, Outside, RolloutState, fold, next_of};
use crate::fleet::rollout::RolloutEvent;
use crate::kinds::containers::model::Unit;
use crate::kinds::containers::policy::ContainersPolicy;
use crate::kinds::containers::step::ContainerStep;
use crate::kinds::list::{Listed, Outcome, StepOutcome};
use crate::kinds::track::Ended;
use jiff::SignedDuration;
use lowtide_model::container::ContainerState;
use lowtide_model::failure::{Failure, FailureKind, WaitReason};
use lowtide_model::journal::Recorded;
use lowtide_model::name::RolloutId;
use lowtide_model::rollout::RolloutConclusion;

#[derive(Clone)]
pub(super) struct Trial {
    pub(super) world: World,
    pub(super) events: Vec<Recorded<RolloutEvent>>,
    pub(super) now: i64,
    pub(super) steps: Vec<String>,
    pub(super) kind: Kind,
    pub(super) outside: Outside,
    /// Seconds that each step takes.
    pub(super) pace: i64,
    /// The engine refuses this step on the way back.
    pub(super) refused: Option<String>,
    /// This many steps fail with local trouble once something was touched.
    pub(super) trouble: u32,
}

/// Without a window.
pub(crate) fn outside(gate: Gate) -> Outside {
    Outside {
        gate,
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

impl Trial {
    pub(super) fn new(replicas: usize, new_is: NewImage) -> Self {
        Self::of(Kind::Plain, replicas, new_is)
    }

    pub(super) fn of(kind: Kind, replicas: usize, new_is: NewImage) -> Self {
        let mut trial = Trial {
            world: World::new(kind, replicas, new_is),
            events: Vec::new(),
            now: 0,
            steps: Vec::new(),
            kind,
            outside: outside(Gate::Open),
            pace: 0,
            refused: None,
            trouble: 0,
        };
        trial.push(rollout(kind, false));
        trial
    }

    pub(super) fn state(&self) -> RolloutState {
        fold(RolloutId(ulid::Ulid(9)), &self.events).unwrap()
    }

    pub(super) fn units(&self) -> Option<Vec<Unit>> {
        units(&self.state()).cloned()
    }

    pub(super) fn push(&mut self, event: RolloutEvent) {
        let seq = self.events.len() as u64 + 1;
        self.events.push(Recorded {
            seq,
            at: at(self.now),
            event,
        });
    }

    fn append(&mut self, state: &mut RolloutState, event: RolloutEvent) {
        self.push(event);
        state.apply(self.events.last().expect("just pushed")).unwrap();
    }

    /// Runs until the end; killed at the `kill`-th instant (three per step: before, in the middle, after), if given.
    /// Returns false when it was killed.
    pub(super) fn drive(&mut self, kill: Option<usize>) -> bool {
        let mut left = kill;
        self.run(&mut |trial, cut| match &mut left {
            Some(0) => {
                trial.cut_off(cut);
                true
            }
            Some(n) => {
                *n -= 1;
                false
            }
            None => false,
        })
    }

    /// Runs until the end; `each` gets what a kill at each instant would have left.
    pub(super) fn killed_everywhere(&mut self, each: &mut dyn FnMut(Trial)) {
        let over = self.run(&mut |trial, cut| {
            let mut killed = trial.clone();
            killed.cut_off(cut);
            each(killed);
            false
        });
        assert!(over);
    }

    /// Killed in the middle of this step.
    fn cut_off(&mut self, step: Option<&ContainerStep>) {
        if let Some(step) = step {
            self.world.cut_off(step);
        }
    }

    /// Runs until the end, or until `kill` says so. It is called at every instant, in the middle of a step with that
    /// step.
    fn run(&mut self, kill: &mut dyn FnMut(&mut Trial, Option<&ContainerStep>) -> bool) -> bool {
        // As the driver does: folded once, and then brought up to date.
        let mut state = self.state();
        for _ in 0..3000 {
            let chosen = units(&state).cloned();
            let units = chosen.clone().unwrap_or_default();
            self.world.nobody_is_lost(self.kind, &units);
            let observed = self.world.seen(chosen.as_ref());
            match next_of::<ContainersPolicy>(&state, observed.as_ref(), &self.outside, at(self.now)) {
                Next::Do { attempt, step } => {
                    let before = state.clone();
                    self.append(
                        &mut state,
                        RolloutEvent::StepStarted {
                            attempt,
                            step: step.clone().into(),
                        },
                    );
                    if kill(self, None) {
                        return false;
                    }
                    let outcome = self.outcome(&before, &step);
                    self.now += self.pace;
                    self.world.nobody_is_lost(self.kind, &units);
                    if kill(self, Some(&step)) {
                        return false;
                    }
                    self.steps.push(step.to_string());
                    self.append(&mut state, RolloutEvent::StepEnded { outcome });
                    if kill(self, None) {
                        return false;
                    }
                }
                // Nothing happens meanwhile.
                Next::Wait {
                    reason: WaitReason::Suspended { until, .. },
                    ..
                } => self.now = until.as_second() - at(0).as_second(),
                Next::Wait { until, .. } => {
                    if state.bake.is_some() && state.reverting.is_none() {
                        self.world.bakes();
                    }
                    self.now = (until.expect("something to wait for").as_second() - at(0).as_second()).max(self.now);
                }
                Next::Enter { occurrence } => self.append(&mut state, RolloutEvent::Entered { occurrence }),
                Next::Suspend { closing } => self.append(&mut state, RolloutEvent::Suspended { closing }),
                Next::Escalate { since, .. } => self.append(&mut state, RolloutEvent::LateNoticeSent { since }),
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
        panic!(
            "the rollout does not end: {:?}",
            self.steps.iter().take(40).collect::<Vec<_>>()
        );
    }

    fn outcome(&mut self, state: &RolloutState, step: &ContainerStep) -> StepOutcome {
        if state.touched && self.trouble > 0 {
            self.trouble -= 1;
            return Ended::Failed {
                failure: Failure::new(FailureKind::LocalTrouble, "too many open files"),
            };
        }
        if state.reverting.is_some() && self.refused.as_deref() == Some(&step.to_string()) {
            return Ended::Failed {
                failure: Failure::new(FailureKind::EngineRefused, "simulated"),
            };
        }
        self.world.perform(step).map(Outcome::from)
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

    /// Name, image, state and policy of everything that is left.
    pub(super) fn end_state(&self) -> Vec<(String, String, ContainerState, String)> {
        let mut left: Vec<_> = self
            .world
            .containers
            .iter()
            .map(|c| {
                (
                    c.name.clone(),
                    c.image.short().to_owned(),
                    c.state,
                    c.restart.name.clone(),
                )
            })
            .collect();
        left.sort_by(|a, b| a.0.cmp(&b.0));
        left
    }
}

fn units(state: &RolloutState) -> Option<&Vec<Unit>> {
    let track = ContainersPolicy::track(&state.kind).expect("containers are moved");
    track.state.units.as_ref()
}
