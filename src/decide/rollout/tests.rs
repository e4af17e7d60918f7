//! The reconciler against a small simulated engine: every kill point, every failing step.

use super::*;
use crate::decide::standing::Waits;
use crate::model::fleet::{Hook, Ready, ReadyCheck, Select};
use crate::model::image::{ContentDigest, Reference};
use crate::model::name::RunId;
use std::str::FromStr;

mod low_tide;

const OLD_IMAGE: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const NEW_IMAGE: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

fn always() -> RestartPolicy {
    RestartPolicy {
        name: "always".to_owned(),
        max_retries: 0,
    }
}

fn rollout(irreversible: bool) -> RolloutEvent {
    let hook = || Hook {
        command: vec!["true".to_owned()],
        timeout: SignedDuration::from_secs(1),
    };
    RolloutEvent::Opened {
        app: "web".parse().unwrap(),
        target: Box::new(TargetPolicy {
            name: "container-web".parse().unwrap(),
            channel: None,
            host: "local".parse().unwrap(),
            select: Select::Label {
                key: "app".to_owned(),
                value: "web".to_owned(),
            },
            window: None,
            ready: Ready {
                check: ReadyCheck::Healthcheck,
                timeout: SignedDuration::from_secs(60),
            },
            before: vec![hook()],
            after: vec![hook()],
            bake: SignedDuration::from_secs(10),
            stop_timeout: None,
            irreversible,
        }),
        timezone: "UTC".to_owned(),
        release: Box::new(Release {
            run: RunId(ulid::Ulid(7)),
            image: NEW_IMAGE.parse().unwrap(),
            content: ContentDigest::from_str(NEW_IMAGE).unwrap(),
            commit: "c".repeat(40),
            tag: "t1".to_owned(),
            digest: None,
            reference: Reference::from_str("example.org/web:t1").unwrap(),
            change: None,
            at: at(0),
        }),
        window_ignored: true,
        purpose: Purpose::Release,
    }
}

/// Without a window.
fn outside(gate: Gate) -> Outside {
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

/// A simulated engine with `n` replicas.
#[derive(Debug, Clone, PartialEq)]
struct World {
    containers: Vec<ObservedContainer>,
    /// (unit, id) of candidates, as their labels would tell.
    labels: Vec<(usize, String)>,
    created: usize,
    /// What the new image does when started.
    new_is: NewImage,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum NewImage {
    Good,
    NeverReady,
    ExitsAtOnce,
    DiesWhileBaking,
}

impl World {
    fn new(replicas: usize, new_is: NewImage) -> Self {
        let containers = (0..replicas)
            .map(|n| ObservedContainer {
                id: format!("old{n}"),
                name: format!("web{n}"),
                image: OLD_IMAGE.parse().unwrap(),
                state: ContainerState::Running,
                restart: always(),
                restart_count: 0,
                exit_code: 0,
                oom_killed: false,
                health: Health::Healthy,
            })
            .collect();
        World {
            containers,
            labels: Vec::new(),
            created: 0,
            new_is,
        }
    }

    fn units(&self) -> Vec<Unit> {
        self.containers
            .iter()
            .enumerate()
            .map(|(index, c)| Unit {
                index,
                name: c.name.clone(),
                old: c.id.clone(),
                old_image: c.image.clone(),
                was_running: true,
                restart: c.restart.clone(),
                snapshot: String::new(),
            })
            .collect()
    }

    fn observe(&self, units: &[Unit]) -> Vec<ObservedUnit> {
        units
            .iter()
            .map(|unit| ObservedUnit {
                old: self.containers.iter().find(|c| c.id == unit.old).cloned(),
                candidates: self
                    .labels
                    .iter()
                    .filter(|(index, _)| *index == unit.index)
                    .filter_map(|(_, id)| self.containers.iter().find(|c| c.id == *id).cloned())
                    .collect(),
                stranger: None,
            })
            .collect()
    }

    fn get(&mut self, id: &str) -> &mut ObservedContainer {
        self.containers
            .iter_mut()
            .find(|c| c.id == id)
            .expect("the step names a container that exists")
    }

    fn perform(&mut self, step: &Step) -> StepOutcome {
        let failed = |kind| StepOutcome::Failed {
            failure: Failure::new(kind, "simulated"),
        };
        match step {
            Step::Preflight => return StepOutcome::Preflighted { units: self.units() },
            Step::Pull => {
                return StepOutcome::Pulled {
                    image: NEW_IMAGE.parse().unwrap(),
                };
            }
            Step::RunHook { .. } => {}
            // What is there is adopted.
            Step::CreateCandidate { unit } if self.labels.iter().any(|(index, _)| index == unit) => {}
            Step::CreateCandidate { unit } => {
                let id = format!("new{}", self.created);
                self.created += 1;
                self.labels.push((*unit, id.clone()));
                self.containers.push(ObservedContainer {
                    name: format!("{id}.next"),
                    id,
                    image: NEW_IMAGE.parse().unwrap(),
                    state: ContainerState::Created,
                    restart: RestartPolicy::none(),
                    restart_count: 0,
                    exit_code: 0,
                    oom_killed: false,
                    health: Health::None,
                });
            }
            Step::RemoveCandidate { container, .. } | Step::RemoveOld { container, .. } => {
                self.containers.retain(|c| c.id != *container);
            }
            Step::StopOld { container, .. } | Step::StopCandidate { container, .. } => {
                self.get(container).state = ContainerState::Exited;
            }
            Step::SetRestart { container, policy, .. } => self.get(container).restart = policy.clone(),
            Step::Start { container, which, .. } => {
                let exits = self.new_is == NewImage::ExitsAtOnce && *which == Which::New;
                self.get(container).state = if exits {
                    ContainerState::Exited
                } else {
                    ContainerState::Running
                };
            }
            Step::AwaitReady {
                container,
                which: Which::New,
                ..
            } => match self.new_is {
                NewImage::NeverReady => return failed(FailureKind::UnhealthyAfterRoll),
                NewImage::ExitsAtOnce => return failed(FailureKind::ContainerExited),
                NewImage::Good | NewImage::DiesWhileBaking => self.get(container).health = Health::Healthy,
            },
            Step::AwaitReady { .. } => {}
            Step::Rename { container, to, .. } => {
                assert!(self.containers.iter().all(|c| c.name != *to), "the name {to} is taken");
                self.get(container).name.clone_from(to);
            }
            Step::KeepLog { .. } => {
                return StepOutcome::Kept {
                    log: vec!["last words".to_owned()],
                    exit_code: 1,
                };
            }
        }
        StepOutcome::Done
    }

    /// Promise 3, checked at every instant.
    fn nobody_is_lost(&self, units: &[Unit]) {
        for unit in units {
            let seen = &self.observe(std::slice::from_ref(unit))[0];
            let new_serves = seen
                .candidates
                .iter()
                .any(|c| c.name == unit.name && c.state == ContainerState::Running);
            assert!(
                seen.old.is_some() || new_serves,
                "{} has neither old nor new: {self:?}",
                unit.name
            );
            let by_itself = |c: &ObservedContainer| !policy_is(c, &RestartPolicy::none());
            let auto = seen.old.iter().chain(&seen.candidates).filter(|c| by_itself(c)).count();
            assert!(auto <= 1, "both may start by themselves: {self:?}");
        }
    }
}

struct Trial {
    world: World,
    events: Vec<Recorded<RolloutEvent>>,
    now: i64,
    steps: Vec<String>,
    irreversible: bool,
    outside: Outside,
    /// Seconds that each step takes.
    pace: i64,
}

impl Trial {
    fn new(replicas: usize, new_is: NewImage) -> Self {
        let mut trial = Trial {
            world: World::new(replicas, new_is),
            events: Vec::new(),
            now: 0,
            steps: Vec::new(),
            irreversible: false,
            outside: outside(Gate::Open),
            pace: 0,
        };
        trial.push(rollout(false));
        trial
    }

    fn push(&mut self, event: RolloutEvent) {
        let seq = self.events.len() as u64 + 1;
        self.events.push(Recorded {
            seq,
            at: at(self.now),
            event,
        });
    }

    /// Runs until the end; killed at the `kill`-th instant (three per step: before, in the middle, after), if given.
    /// Returns false when it was killed.
    fn drive(&mut self, mut kill: Option<usize>) -> bool {
        let die = |kill: &mut Option<usize>| match kill {
            Some(0) => true,
            Some(n) => {
                *n -= 1;
                false
            }
            None => false,
        };
        for _ in 0..500 {
            let state = fold(RolloutId(ulid::Ulid(9)), &self.events).unwrap();
            let units = state.units.clone().unwrap_or_default();
            self.world.nobody_is_lost(&units);
            let observed = self.world.observe(&units);
            match next(&state, &observed, &self.outside, at(self.now)) {
                Next::Do { attempt, step } => {
                    self.push(RolloutEvent::StepStarted {
                        attempt,
                        step: step.clone(),
                    });
                    if die(&mut kill) {
                        return false;
                    }
                    let outcome = self.world.perform(&step);
                    self.now += self.pace;
                    self.world.nobody_is_lost(&units);
                    if die(&mut kill) {
                        return false;
                    }
                    self.steps.push(step.to_string());
                    self.push(RolloutEvent::StepEnded { outcome });
                    if die(&mut kill) {
                        return false;
                    }
                }
                // Nothing happens meanwhile.
                Next::Wait {
                    reason: WaitReason::Held { until, .. },
                    ..
                } => self.now = until.as_second() - at(0).as_second(),
                Next::Wait { until, .. } => {
                    if self.world.new_is == NewImage::DiesWhileBaking && state.bake.is_some() {
                        let id = self.world.labels[0].1.clone();
                        self.world.get(&id).restart_count = 1;
                    }
                    self.now = (until.expect("something to wait for").as_second() - at(0).as_second()).max(self.now);
                }
                Next::Enter { occurrence } => self.push(RolloutEvent::Entered { occurrence }),
                Next::Hold { closing } => self.push(RolloutEvent::Held { closing }),
                Next::Escalate { since, .. } => self.push(RolloutEvent::Deferred { since }),
                Next::StartBake { until } => self.push(RolloutEvent::BakeStarted { until }),
                Next::DecideRevert(failure) => self.push(RolloutEvent::RevertDecided { failure }),
                Next::Finish(conclusion) => {
                    self.push(RolloutEvent::Concluded { conclusion });
                    return true;
                }
                Next::Over => return true,
            }
        }
        panic!("the rollout does not end: {:?}", self.steps);
    }

    fn recover(&mut self) {
        let state = fold(RolloutId(ulid::Ulid(9)), &self.events).unwrap();
        if matches!(state.progress, Progress::Started { .. }) {
            self.push(RolloutEvent::StepAbandoned);
        }
    }

    fn conclusion(&self) -> &RolloutConclusion {
        let last = &self.events.last().unwrap().event;
        let RolloutEvent::Concluded { conclusion } = last else {
            panic!("not concluded: {last:?}")
        };
        conclusion
    }

    /// Name, image, state and policy of everything that is left.
    fn end_state(&self) -> Vec<(String, String, ContainerState, String)> {
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

#[test]
fn forward_takes_these_steps() {
    let mut trial = Trial::new(1, NewImage::Good);
    assert!(trial.drive(None));
    insta::assert_snapshot!(trial.steps.join("\n"), @"
    preflight
    pull
    before hook
    create new container
    stop old container
    set restart policy no
    start new container
    wait until new container is ready
    rename to web0.prev.00000009
    rename to web0
    set restart policy always
    after hook
    remove old container
    ");
    assert_eq!(*trial.conclusion(), RolloutConclusion::Done);
}

#[test]
fn an_image_that_never_gets_ready_is_taken_back() {
    let mut trial = Trial::new(1, NewImage::NeverReady);
    assert!(trial.drive(None));
    insta::assert_snapshot!(trial.steps.join("\n"), @"
    preflight
    pull
    before hook
    create new container
    stop old container
    set restart policy no
    start new container
    wait until new container is ready
    stop new container
    start old container
    set restart policy always
    wait until old container is ready
    keep log
    remove new container
    ");
    assert!(matches!(trial.conclusion(), RolloutConclusion::Reverted { .. }));
}

#[test]
fn killed_anywhere_it_ends_as_it_would_have() {
    let mut points = 0;
    for new_is in [
        NewImage::Good,
        NewImage::NeverReady,
        NewImage::ExitsAtOnce,
        NewImage::DiesWhileBaking,
    ] {
        for replicas in [1, 3] {
            let mut undisturbed = Trial::new(replicas, new_is);
            assert!(undisturbed.drive(None));
            for kill in 0.. {
                let mut trial = Trial::new(replicas, new_is);
                if trial.drive(Some(kill)) {
                    break;
                }
                points += 1;
                trial.recover();
                assert!(trial.drive(None));
                assert_eq!(
                    trial.end_state(),
                    undisturbed.end_state(),
                    "{new_is:?} killed at {kill}"
                );
                let same =
                    std::mem::discriminant(trial.conclusion()) == std::mem::discriminant(undisturbed.conclusion());
                assert!(same, "{new_is:?} killed at {kill}: {:?}", trial.conclusion());
            }
        }
    }
    assert!(points > 300, "only {points} kill points were tried");
}

#[test]
fn killed_twice_it_still_ends_well() {
    for first in (0..40).step_by(3) {
        for second in (0..40).step_by(5) {
            let mut trial = Trial::new(2, NewImage::Good);
            let mut over = trial.drive(Some(first));
            if !over {
                trial.recover();
                over = trial.drive(Some(second));
            }
            if !over {
                trial.recover();
                assert!(trial.drive(None));
            }
            assert_eq!(*trial.conclusion(), RolloutConclusion::Done);
        }
    }
}

#[test]
fn a_reboot_in_the_gap_starts_the_candidate_again() {
    let mut trial = Trial::new(1, NewImage::Good);
    // Killed after `start` was carried out and before its end was journalled; then the host reboots.
    assert!(!trial.drive(Some(6 * 3 + 1)));
    for container in &mut trial.world.containers {
        container.state = ContainerState::Exited;
    }
    trial.recover();
    assert!(trial.drive(None));
    assert_eq!(*trial.conclusion(), RolloutConclusion::Done);
}

#[test]
fn an_irreversible_app_stops_for_a_person_once_the_candidate_ran() {
    let mut trial = Trial::new(1, NewImage::NeverReady);
    trial.events.clear();
    trial.irreversible = true;
    trial.push(rollout(trial.irreversible));
    assert!(trial.drive(None));
    assert!(matches!(trial.conclusion(), RolloutConclusion::Stuck { .. }));
    assert!(
        trial.world.containers.iter().any(|c| c.id == "old0"),
        "the old container is kept"
    );
}

#[test]
fn nothing_is_touched_outside_the_window() {
    let mut trial = Trial::new(1, NewImage::Good);
    trial.events.clear();
    let RolloutEvent::Opened {
        app,
        target,
        timezone,
        release,
        ..
    } = rollout(false)
    else {
        panic!()
    };
    trial.push(RolloutEvent::Opened {
        app,
        target,
        timezone,
        release,
        window_ignored: false,
        purpose: Purpose::Release,
    });
    let state = fold(RolloutId(ulid::Ulid(9)), &trial.events).unwrap();
    let waits = next(&state, &[], &outside(Gate::Open), at(0));
    assert_eq!(
        waits,
        Next::Wait {
            until: None,
            reason: WaitReason::NoWindow
        }
    );
    let held = next(&state, &[], &outside(Gate::Halted), at(0));
    assert_eq!(
        held,
        Next::Wait {
            until: None,
            reason: WaitReason::Halted
        }
    );
}

#[test]
fn a_stranger_under_the_name_stops_everything() {
    let mut trial = Trial::new(1, NewImage::Good);
    assert!(!trial.drive(Some(3 * 3)));
    trial.recover();
    let state = fold(RolloutId(ulid::Ulid(9)), &trial.events).unwrap();
    let mut observed = trial.world.observe(state.units.as_deref().unwrap());
    observed[0].stranger = Some("x".to_owned());
    let verdict = next(&state, &observed, &outside(Gate::Open), at(1));
    assert!(
        matches!(verdict, Next::Finish(RolloutConclusion::Stuck { .. })),
        "{verdict:?}"
    );
}
