//! A simulated target behind a command, and a driver that can be killed.

use super::*;
use lowtide_model::release::Images;

pub(super) const OLD: &str = "example.org/edge:t1@sha256:";
pub(super) const NEW: &str = "example.org/edge:t2@sha256:";

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

pub(super) fn release(n: u128) -> Release {
    let digest = format!("sha256:{n:064x}");
    Release {
        upstream: None,
        run: RunId(ulid::Ulid(n)),
        images: Images::one(digest.parse().unwrap(), digest.parse().unwrap()),
        commit: Some("c".repeat(40)),
        tag: format!("t{n}"),
        digest: Some(digest.parse().unwrap()),
        reference: format!("example.org/edge:t{n}").parse().unwrap(),
        change: None,
        sidecars: BTreeMap::new(),
        at: at(0),
    }
}

/// How the command behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Good,
    /// It fails after half of its work.
    Fails,
    NeverAnswers,
    FallsSilentWhileBaking,
    /// Says *try later* twice in each direction.
    Busy,
    /// It fails, and so does every rollback.
    BackFails,
    BackIsBusy,
    /// It fails, and after the rollback the old release does not respond.
    StaysSilent,
}

impl Fate {
    pub(super) const ALL: [Fate; 8] = [
        Fate::Good,
        Fate::Fails,
        Fate::NeverAnswers,
        Fate::FallsSilentWhileBaking,
        Fate::Busy,
        Fate::BackFails,
        Fate::BackIsBusy,
        Fate::StaysSilent,
    ];
}

pub(super) struct Trial {
    fate: Fate,
    /// The image that serves; `None`: a half-finished state.
    pub(super) runs: Option<String>,
    busy: u32,
    unit: CommandUnit,
    pub(super) gate: Gate,
    pub(super) now: i64,
    pub(super) events: Vec<Recorded<RolloutEvent>>,
    pub(super) steps: Vec<String>,
    pub(super) aims: Vec<Aim>,
}

impl Trial {
    pub(super) fn new(fate: Fate) -> Self {
        let before = Some(TargetRelease::of(&release(1)));
        Self::with(fate, before, Purpose::Release, false)
    }

    pub(super) fn with(fate: Fate, before: Option<TargetRelease>, purpose: Purpose, irreversible: bool) -> Self {
        let mut trial = Trial {
            fate,
            runs: before.as_ref().map(|before| before.image.clone()),
            busy: 0,
            unit: CommandUnit {
                before,
                record: TargetRecord::Certain,
            },
            gate: Gate::Open,
            now: 0,
            events: Vec::new(),
            steps: Vec::new(),
            aims: Vec::new(),
        };
        trial.push(RolloutEvent::Opened {
            app: "web".parse().unwrap(),
            target: Box::new(target(irreversible)),
            timezone: "UTC".to_owned(),
            release: Box::new(release(2)),
            window_ignored: true,
            purpose,
        });
        trial
    }

    pub(super) fn doubt(mut self) -> Self {
        self.unit.record = TargetRecord::Doubtful;
        self
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

    /// Runs until the end; killed at the `kill`-th instant (three per step: before, in the middle, after), if given.
    /// Returns false when it was killed.
    pub(super) fn drive(&mut self, mut kill: Option<usize>) -> bool {
        let mut die = move || match &mut kill {
            Some(0) => true,
            Some(n) => {
                *n -= 1;
                false
            }
            None => false,
        };
        for _ in 0..3000 {
            let state = self.state();
            match next_of::<CommandPolicy>(&state, Some(&self.look(&state)), &outside(self.gate), at(self.now)) {
                Next::Do { attempt, step } => {
                    self.push(RolloutEvent::StepStarted {
                        attempt,
                        step: step.clone().into(),
                    });
                    if die() {
                        return false;
                    }
                    let outcome = self.perform(&step, state.goal).map(Outcome::from);
                    if die() {
                        return false;
                    }
                    self.steps.push(step.to_string());
                    self.push(RolloutEvent::StepEnded { outcome });
                    if die() {
                        return false;
                    }
                }
                Next::Wait { until, .. } => {
                    let until = until.expect("something to wait for");
                    self.now = until.duration_since(at(0)).as_secs().max(self.now);
                    if self.fate == Fate::FallsSilentWhileBaking && state.bake.is_some() {
                        self.runs = None;
                    }
                }
                Next::Enter { .. } | Next::Suspend { .. } | Next::Escalate { .. } => panic!("no window is kept"),
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

    fn look(&self, state: &RolloutState) -> ProbeResult {
        match (state.bake, &self.runs) {
            (None, _) => ProbeResult::NotRun,
            (Some(_), Some(_)) => ProbeResult::Passes,
            (Some(_), None) => ProbeResult::Fails {
                times: 3,
                said: "answered 503".to_owned(),
            },
        }
    }

    fn perform(&mut self, step: &CommandStep, goal: Goal) -> Ended<CommandOutcome> {
        let well = |outcome| Ended::Well { outcome };
        let failed = |kind, detail: &str| Ended::Failed {
            failure: Failure::new(kind, detail),
        };
        let busy = Ended::Busy {
            retry: at(self.now + 60),
        };
        match step {
            CommandStep::Preflight => well(CommandOutcome::Preflighted {
                command: self.unit.clone(),
            }),
            CommandStep::Run { aim } => {
                self.aims.push((**aim).clone());
                match (goal, self.fate) {
                    (_, Fate::Busy) if self.busy < 2 => {
                        self.busy += 1;
                        busy
                    }
                    (Goal::Back, Fate::BackIsBusy) => busy,
                    (Goal::Forward, Fate::Fails | Fate::BackFails | Fate::BackIsBusy | Fate::StaysSilent)
                    | (Goal::Back, Fate::BackFails) => {
                        self.runs = None;
                        failed(FailureKind::CommandFailed, "exited with code 3")
                    }
                    (_, _) => {
                        self.runs = Some(aim.to.image.clone());
                        well(CommandOutcome::Ran {
                            output: vec!["deployed".to_owned()],
                        })
                    }
                }
            }
            CommandStep::AwaitAnswer { .. } => match (goal, self.fate) {
                (Goal::Forward, Fate::NeverAnswers) | (Goal::Back, Fate::StaysSilent) => {
                    failed(FailureKind::NoAnswer, "answered 503")
                }
                (_, _) => well(CommandOutcome::Answered),
            },
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
}

pub(super) fn outside(gate: Gate) -> Outside {
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

fn target(irreversible: bool) -> TargetPolicy {
    TargetPolicy {
        settings: TargetSettings {
            name: "edge".parse().unwrap(),
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
        kind: TargetKind::Command(Box::new(CommandPolicy {
            run: vec!["deploy".to_owned()],
            back: Vec::new(),
            timeout: SignedDuration::from_mins(10),
            env: BTreeMap::new(),
            probe: Some(Probe {
                ask: CommandRequest::Http {
                    url: "https://edge.example.org/".to_owned(),
                },
                timeout: SignedDuration::from_mins(2),
            }),
        })),
    }
}
