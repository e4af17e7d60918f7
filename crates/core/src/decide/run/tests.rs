//! The line resolve → publish against made-up outcomes: every ending, every journal prefix resumed.

mod own;
mod retests;

use super::*;
use crate::decide::recover::{self, Recovery};
use crate::fleet::corpus;
use jiff::SignedDuration;
use lowtide_model::failure::SkipReason;
use lowtide_model::freshness::RebuildAssessment;
use lowtide_model::image::Platform;
use lowtide_model::inventory::{Change, InventorySummary};
use lowtide_model::policy::{
    BuildPolicy, Channel, ContainerLimits, GitRef, ImageOrigin, PublishPolicy, Ready, ReadyCheck, Schedule, Source,
    TestNetwork, TestPolicy, TestSetup,
};
use lowtide_model::release::Images;
use lowtide_model::stages::resolve::Commit;
use std::collections::{BTreeMap, BTreeSet};

const A: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

fn build_policy() -> BuildPolicy {
    BuildPolicy {
        host: "local".parse().unwrap(),
        args: BTreeMap::new(),
        secrets: BTreeMap::new(),
        ssh: BTreeMap::new(),
        target: None,
        labels: BTreeMap::new(),
        label_schema: false,
        pull: true,
        timeout: SignedDuration::from_secs(60),
        limits: Default::default(),
        max_log: 1 << 20,
        upgrade: false,
        max_age: None,
        ignore_paths: vec![],
    }
}

pub(super) fn app(mode: Mode, published: bool, tested: bool) -> App {
    let ready = Ready {
        check: ReadyCheck::Healthcheck,
        timeout: SignedDuration::from_secs(60),
    };
    App {
        name: "web".parse().unwrap(),
        mode,
        timezone: "UTC".to_owned(),
        maintainers: Vec::new(),
        origin: ImageOrigin::Built {
            source: Source {
                repo: "https://git.example.org/web.git".to_owned(),
                git_ref: GitRef::Branch("main".to_owned()),
                context: String::new(),
                dockerfile: "Dockerfile".to_owned(),
                submodules: false,
                username: None,
                token: None,
                ssh_key: None,
                timeout: SignedDuration::from_secs(60),
                max_size: 1 << 30,
            },
            build: build_policy(),
        },
        env: BTreeMap::new(),
        tests: Vec::from_iter(tested.then(|| TestPolicy {
            how: TestSetup::Sidecars(BTreeMap::new()),
            env: BTreeMap::new(),
            matrix: BTreeMap::new(),
            network: TestNetwork::Egress,
            ready: ready.clone(),
            steps: Vec::new(),
            tester: None,
            junit: None,
            artefacts: Vec::new(),
            limits: ContainerLimits {
                memory: 1 << 30,
                cpus: 1.0,
                pids: 100,
                output: 1 << 20,
                disk: 1 << 30,
            },
            timeout: SignedDuration::from_secs(60),
        })),
        ready,
        publish: published.then(|| PublishPolicy {
            image: "registry.example.org/web".parse().unwrap(),
            tag: "{date}.{run}-{commit}".to_owned(),
            channels: vec![Channel {
                name: "stable".parse().unwrap(),
                image: "registry.example.org/web".parse().unwrap(),
                pull: None,
                tag: "stable".to_owned(),
            }],
        }),
        schedule: Schedule::Never,
        rollout: Vec::new(),
        github_repo: None,
        halt: lowtide_model::halt::HaltPolicy::default(),
        repository_file: None,
    }
}

/// A run against a simulated world with scripted outcomes.
struct Trial {
    events: Vec<Recorded<RunEvent>>,
    /// Content that the build produces.
    content: &'static str,
    fails: Option<(Stage, FailureKind, u32)>,
    has_command: bool,
    /// Images beside the last release that are others now.
    moved: Vec<String>,
    now: i64,
    stages: Vec<String>,
}

impl Trial {
    fn new(app: App) -> Self {
        let mut trial = Self {
            events: Vec::new(),
            content: B,
            fails: None,
            has_command: true,
            moved: Vec::new(),
            now: 0,
            stages: Vec::new(),
        };
        trial.push(RunEvent::Opened {
            app: Box::new(app),
            trigger: Trigger::Manual {
                by: "me".to_owned(),
                rebuild: false,
            },
            revision: "r1".to_owned(),
            last: None,
            quarantine: Vec::new(),
            judged: None,
        });
        trial
    }

    fn push(&mut self, event: RunEvent) {
        let seq = self.events.len() as u64 + 1;
        self.events.push(Recorded {
            seq,
            at: at(self.now),
            event,
        });
    }

    fn state(&self) -> RunState {
        fold(RunId(ulid::Ulid(1)), &self.events).unwrap()
    }

    fn outcome(&self, effect: &Effect, attempt: u32) -> Outcome {
        if let Some((stage, kind, until)) = self.fails
            && stage == effect.stage()
            && attempt <= until
        {
            return Outcome::Failed(Failure::new(kind, "as told"));
        }
        match effect {
            Effect::Resolve(_) => Outcome::Resolved(Resolved {
                own: None,
                commit: Commit {
                    id: "c".repeat(40),
                    subject: "s".to_owned(),
                    author: "a".to_owned(),
                    time: at(0),
                },
                frontend: None,
                bases: Vec::new(),
                platform: Platform {
                    os: "linux".to_owned(),
                    architecture: "amd64".to_owned(),
                    variant: None,
                },
                assessment: Box::new(RebuildAssessment {
                    moved_sidecars: self.moved.clone(),
                    ..RebuildAssessment::default()
                }),
            }),
            Effect::Build(_) => Outcome::Built(Built {
                image: B.parse().unwrap(),
                size: 1,
            }),
            Effect::Inspect(_) => Outcome::Inspected(Inspected {
                inventory: InventorySummary {
                    content: self.content.parse().unwrap(),
                    os: None,
                    packages: 1,
                    files: 1,
                },
                change: Some(Change::default()),
                has_command: self.has_command,
                left: Box::default(),
            }),
            Effect::Bootstrap(_) => Outcome::Bootstrapped(Bootstrapped {
                container: "c".to_owned(),
                services: BTreeMap::new(),
                sidecars: BTreeMap::from([("mariadb:11".to_owned(), "sha256:new".to_owned())]),
                tester: None,
                leftovers: Vec::new(),
                took_ms: 1,
            }),
            Effect::Test(_) => Outcome::Tested(Tested {
                steps: Vec::new(),
                report: None,
                production_ready_ms: Some(1),
            }),
            Effect::Publish(effect) => Outcome::Published(Published {
                digest: effect.to.as_ref().map(|_| A.parse().unwrap()),
            }),
        }
    }

    fn finish(&mut self) -> Conclusion {
        for _ in 0..200 {
            match next(&self.state(), at(self.now)) {
                Next::Perform { attempt, effect } => {
                    self.stages.push(format!("{} {attempt}", effect.stage()));
                    self.push(RunEvent::EffectStarted {
                        attempt,
                        effect: effect.clone(),
                    });
                    let outcome = self.outcome(&effect, attempt);
                    self.push(RunEvent::EffectEnded { outcome });
                }
                Next::WaitUntil { at: until, .. } => self.now = until.as_second() - at(0).as_second() + 1,
                Next::Finish(conclusion) => {
                    self.push(RunEvent::Concluded {
                        conclusion: conclusion.clone(),
                    });
                    return conclusion;
                }
                Next::Over => panic!("asked again after the end"),
            }
        }
        panic!("the run does not end: {:?}", self.stages);
    }
}

fn opened_with(trial: &mut Trial, content: Option<&str>, quarantined: Option<&str>) {
    let RunEvent::Opened {
        last, quarantine, app, ..
    } = &mut trial.events[0].event
    else {
        panic!("not opened")
    };
    *last = content.map(|content| {
        Box::new(Release {
            run: RunId(ulid::Ulid(0)),
            images: Images::one(A.parse().unwrap(), content.parse().unwrap()),
            commit: Some("d".repeat(40)),
            tag: "t".to_owned(),
            digest: app.publish.is_some().then(|| A.parse().unwrap()),
            reference: Reference::tagged(&labels::local_repository(app), "t"),
            change: None,
            sidecars: BTreeMap::new(),
            at: at(-100),
        })
    });
    *quarantine = quarantined.iter().map(|content| content.parse().unwrap()).collect();
}

#[test]
fn a_release_goes_through_every_stage_once() {
    let mut trial = Trial::new(app(Mode::Active, true, true));
    let Conclusion::Released { release } = trial.finish() else {
        panic!("not released")
    };
    assert_eq!(
        trial.stages,
        [
            "resolve 1",
            "build 1",
            "inspect 1",
            "bootstrap 1",
            "test 1",
            "publish 1"
        ]
    );
    assert_eq!(release.digest, Some(A.parse().unwrap()));
    assert!(release.tag.ends_with("-cccccccccccc"), "{}", release.tag);
}

#[test]
fn endings() {
    let unchanged = |why| Conclusion::Unchanged { why };
    let mut same = Trial::new(app(Mode::Active, true, true));
    opened_with(&mut same, Some(B), None);
    assert_eq!(same.finish(), unchanged(SkipReason::SameContent));
    assert_eq!(
        same.stages,
        ["resolve 1", "build 1", "inspect 1"],
        "an unchanged image is not even tested"
    );

    let mut bad = Trial::new(app(Mode::Active, true, true));
    opened_with(&mut bad, Some(A), Some(B));
    assert_eq!(
        bad.finish(),
        unchanged(SkipReason::Quarantined { digest: B.to_owned() })
    );

    let mut only_observed = Trial::new(app(Mode::Active, true, true));
    opened_with(&mut only_observed, Some(B), None);
    if let RunEvent::Opened { last: Some(last), .. } = &mut only_observed.events[0].event {
        last.digest = None;
    }
    assert!(
        matches!(only_observed.finish(), Conclusion::Released { .. }),
        "what was observed is published once the app is active, though it is the same"
    );

    let mut watched = Trial::new(app(Mode::Observe, true, true));
    assert!(matches!(watched.finish(), Conclusion::Observed { .. }));
    assert!(
        !watched.stages.iter().any(|stage| stage.starts_with("publish")),
        "observe never pushes"
    );

    let mut untested = Trial::new(app(Mode::Active, false, false));
    let Conclusion::Released { release } = untested.finish() else {
        panic!("not released")
    };
    assert_eq!(
        untested.stages,
        ["resolve 1", "build 1", "inspect 1", "test 1", "publish 1"]
    );
    assert_eq!(
        (release.digest, release.reference.repository.path.as_str()),
        (None, "lowtide/web")
    );
}

#[test]
fn infra_is_tried_again_and_repo_is_not() {
    let mut flaky = Trial::new(app(Mode::Active, true, true));
    flaky.fails = Some((Stage::Bootstrap, FailureKind::MirrorUnreachable, 2));
    assert!(matches!(flaky.finish(), Conclusion::Released { .. }));
    assert_eq!(flaky.stages[3..6], ["bootstrap 1", "bootstrap 2", "bootstrap 3"]);

    let mut down = Trial::new(app(Mode::Active, true, true));
    down.fails = Some((Stage::Publish, FailureKind::RegistryUnreachable, u32::MAX));
    assert!(matches!(
        down.finish(),
        Conclusion::Failed {
            stage: Stage::Publish,
            ..
        }
    ));

    let mut broken = Trial::new(app(Mode::Active, true, true));
    broken.fails = Some((Stage::Test, FailureKind::TestFailed, 1));
    assert!(matches!(broken.finish(), Conclusion::Failed { stage: Stage::Test, .. }));
    assert_eq!(broken.stages.last().map(String::as_str), Some("test 1"));
}

#[test]
fn a_test_that_fails_of_infra_begins_with_its_tools_again() {
    let mut trial = Trial::new(app(Mode::Active, true, true));
    trial.fails = Some((Stage::Test, FailureKind::EngineUnreachable, 1));
    assert!(matches!(trial.finish(), Conclusion::Released { .. }));
    assert_eq!(
        trial.stages[3..],
        ["bootstrap 1", "test 1", "bootstrap 1", "test 2", "publish 1"]
    );
}

#[test]
fn a_cancelled_run_ends_as_cancelled() {
    let mut trial = Trial::new(app(Mode::Active, true, true));
    trial.push(RunEvent::CancelRequested { by: "me".to_owned() });
    assert_eq!(trial.finish(), Conclusion::Cancelled { by: "me".to_owned() });
    assert!(trial.stages.is_empty());
}

#[test]
fn every_journal_prefix_ends_as_the_whole() {
    let mut whole = Trial::new(app(Mode::Active, true, true));
    let expected = whole.finish();
    for cut in 1..whole.events.len() {
        let mut trial = Trial::new(app(Mode::Active, true, true));
        trial.events = whole.events[..cut].to_vec();
        if let Progress::Started { effect, .. } = trial.state().effect {
            let Recovery::Repeat { back_to } = recover::run_effect(&effect);
            trial.push(RunEvent::EffectAbandoned { back_to });
        }
        let ended = trial.finish();
        let (Conclusion::Released { release }, Conclusion::Released { release: wanted }) = (&ended, &expected) else {
            panic!("cut after {cut}: {ended:?}");
        };
        assert_eq!(
            (&release.tag, &release.digest),
            (&wanted.tag, &wanted.digest),
            "cut after {cut}"
        );
    }
}

#[test]
fn illegal_events_are_refused() {
    let trial = Trial::new(app(Mode::Active, true, true));
    let ended = RunEvent::EffectEnded {
        outcome: Outcome::Built(Built {
            image: A.parse().unwrap(),
            size: 0,
        }),
    };
    for event in [ended, RunEvent::EffectAbandoned { back_to: Stage::Build }] {
        let mut state = trial.state();
        assert!(
            state
                .apply(&Recorded {
                    seq: 2,
                    at: at(1),
                    event
                })
                .is_err()
        );
    }
}

/// The effects that have a round, and whether the start as it ships follows.
fn rounds(trial: &Trial) -> Vec<String> {
    let started = trial.events.iter().filter_map(|recorded| {
        if let RunEvent::EffectStarted { effect, .. } = &recorded.event {
            Some(effect)
        } else {
            None
        }
    });
    let round = |effect: &Effect| match effect {
        Effect::Bootstrap(bootstrap) => Some(format!("bootstrap of {}", bootstrap.round)),
        Effect::Test(test) => {
            let container = test.bootstrapped.as_ref().map(|_| " in its container");
            let start = (test.production == Production::Start).then_some(", then as it ships");
            let (container, start) = (container.unwrap_or_default(), start.unwrap_or_default());
            Some(format!("test of {}{container}{start}", test.round))
        }
        Effect::Resolve(_) | Effect::Build(_) | Effect::Inspect(_) | Effect::Publish(_) => None,
    };
    started.filter_map(round).collect()
}

#[test]
fn every_round_has_a_container_of_its_own_and_the_last_is_followed_by_the_start_as_it_ships() {
    let mut twice = app(Mode::Active, true, true);
    twice.tests.push(twice.tests[0].clone());
    let mut trial = Trial::new(twice.clone());
    assert!(matches!(trial.finish(), Conclusion::Released { .. }));
    let whole = [
        "bootstrap of 0",
        "test of 0 in its container",
        "bootstrap of 1",
        "test of 1 in its container, then as it ships",
    ];
    assert_eq!(rounds(&trial), whole);
    assert_eq!(trial.state().tested.len(), 2);

    // Killed in the second round: the first one holds.
    let mut killed = Trial::new(twice);
    assert!(matches!(killed.finish(), Conclusion::Released { .. }));
    let second = |recorded: &Recorded<RunEvent>| matches!(&recorded.event, RunEvent::EffectStarted { effect: Effect::Test(test), .. } if test.round == 1);
    let at = killed.events.iter().position(second).unwrap();
    killed.events.truncate(at + 1);
    killed.push(RunEvent::EffectAbandoned {
        back_to: Stage::Bootstrap,
    });
    assert!(matches!(killed.finish(), Conclusion::Released { .. }));
    assert_eq!(rounds(&killed)[2..], [whole[2], whole[3], whole[2], whole[3]]);
}

/// A base image for other images is published without ever being started.
#[test]
fn a_base_without_a_command_is_published_without_a_start() {
    let mut base = app(Mode::Active, true, false);
    base.ready.check = ReadyCheck::DEFAULT;
    let mut trial = Trial::new(base);
    trial.has_command = false;
    assert!(matches!(trial.finish(), Conclusion::Released { .. }));
    assert_eq!(
        trial.stages,
        ["resolve 1", "build 1", "inspect 1", "test 1", "publish 1"]
    );
    let started = trial.events.iter().find_map(|recorded| {
        let RunEvent::EffectStarted {
            effect: Effect::Test(test),
            ..
        } = &recorded.event
        else {
            return None;
        };
        Some(test.production)
    });
    assert_eq!(started, Some(Production::HasNoCommand));
}

/// The result would always be the same, so the start is neither tried nor retried.
#[test]
fn nothing_to_start_ends_the_run_at_once() {
    let mut trial = Trial::new(app(Mode::Active, true, true));
    trial.has_command = false;
    let Conclusion::Failed { stage, failure } = trial.finish() else {
        panic!("it was released");
    };
    assert_eq!((stage, failure.kind), (Stage::Bootstrap, FailureKind::NothingToStart));
    assert_eq!(trial.stages, ["resolve 1", "build 1", "inspect 1"]);
    assert_eq!(trial.now, 0);
}

#[test]
fn what_the_engine_will_never_do_is_not_tried_again() {
    let mut trial = Trial::new(app(Mode::Active, true, true));
    trial.fails = Some((Stage::Bootstrap, FailureKind::EngineRejected, 100));
    let Conclusion::Failed { failure, .. } = trial.finish() else {
        panic!("it was released");
    };
    assert_eq!(failure.kind, FailureKind::EngineRejected);
    assert_eq!(trial.stages.last().map(String::as_str), Some("bootstrap 1"));
}

/// The pause counts from the failure, not from the call of `next`.
#[test]
fn a_failed_stage_is_tried_again_after_its_pause() {
    let failure = Failure::new(FailureKind::RegistryUnreachable, "x");
    let mut state = Trial::new(app(Mode::Active, true, false)).state();
    let failed = at(100);
    state.effect = Progress::Failed {
        attempt: 1,
        stage: Stage::Resolve,
        failure: failure.clone(),
        at: failed,
    };
    let pause = retry::after(1, failure.fault(), seed(state.id)).unwrap();
    let again = failed + pause;
    let reason = WaitReason::Retry { at: again, failure };
    let wait = Next::WaitUntil { at: again, reason };
    assert_eq!(next(&state, failed), wait);
    assert_eq!(next(&state, again - SignedDuration::from_secs(1)), wait);
    assert!(matches!(next(&state, again), Next::Perform { .. }));
}

#[test]
fn what_released_versions_wrote_is_read() {
    let mut streams = Vec::new();
    let mut add = |name: &str, mut trial: Trial| {
        trial.finish();
        streams.push((
            name.to_owned(),
            trial.events.into_iter().map(|it| it.event).collect::<Vec<_>>(),
        ));
    };
    add("released", Trial::new(app(Mode::Active, true, true)));
    add("observed", Trial::new(app(Mode::Observe, true, true)));
    let mut same = Trial::new(app(Mode::Active, true, true));
    opened_with(&mut same, Some(B), None);
    add("unchanged", same);
    add("retested", retests::moved(app(Mode::Active, true, true)));
    let mut broken = Trial::new(app(Mode::Active, true, true));
    broken.fails = Some((Stage::Test, FailureKind::TestFailed, 100));
    add("failed", broken);
    let mut cancelled = Trial::new(app(Mode::Active, true, true));
    cancelled.push(RunEvent::EffectStarted {
        attempt: 1,
        effect: Effect::Resolve(Resolve {}),
    });
    cancelled.push(RunEvent::EffectAbandoned {
        back_to: Stage::Resolve,
    });
    cancelled.push(RunEvent::CancelRequested { by: "ana".to_owned() });
    add("cancelled", cancelled);
    let all: Vec<&RunEvent> = streams.iter().flat_map(|(_, events)| events).collect();
    let kinds: BTreeSet<&str> = all.iter().map(|event| kind(event)).collect();
    assert_eq!(kinds.len(), 6, "{kinds:?}");
    corpus::holds("runs", streams, |events| {
        let state = fold(RunId(ulid::Ulid(1)), events).unwrap();
        serde_json::to_value(state.conclusion).unwrap()
    });
}

fn kind(event: &RunEvent) -> &'static str {
    match event {
        RunEvent::Opened { .. } => "opened",
        RunEvent::EffectStarted { .. } => "effect_started",
        RunEvent::EffectEnded { .. } => "effect_ended",
        RunEvent::EffectAbandoned { .. } => "effect_abandoned",
        RunEvent::CancelRequested { .. } => "cancel_requested",
        RunEvent::Concluded { .. } => "concluded",
    }
}
