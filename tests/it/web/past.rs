//! A store with a past: an app with runs that were released, failed and go on, and with a rollout that was rolled back.

use super::{good, unit};
use jiff::{SignedDuration, Timestamp};
use lowtide::clients::clock;
use lowtide::clients::engine::probe::ProbePath;
use lowtide::config::validate;
use lowtide::fleet::app::App;
use lowtide::fleet::app_state::AppEvent;
use lowtide::fleet::rollout::RolloutEvent;
use lowtide::fleet::run::RunEvent;
use lowtide::kinds::containers::step::{ContainerOutcome, ContainerStep};
use lowtide::kinds::list::Outcome as StepOutcome;
use lowtide::kinds::track::Ended;
use lowtide::model::failure::{Failure, FailureKind, HaltReason};
use lowtide::model::freshness::{Because, Fix, PendingPackage, RebuildAssessment, Survey};
use lowtide::model::image::Platform;
use lowtide::model::inventory::{Change, InventorySummary, PackageChange};
use lowtide::model::name::{AppName, RolloutId, RunId};
use lowtide::model::release::{Images, Release};
use lowtide::model::rollout::{Purpose, RolloutConclusion, Which};
use lowtide::model::run::{Conclusion, Effect, Outcome, Stage, Trigger};
use lowtide::model::stages::bootstrap::Bootstrapped;
use lowtide::model::stages::build::{Build, Built};
use lowtide::model::stages::inspect::{Inspect, Inspected};
use lowtide::model::stages::resolve::{Commit, Resolve, Resolved, ResolvedOrigin, ResolvedRepository};
use lowtide::model::stages::test::{FailedTest, Production, StepResult, Test, TestReport, Tested};
use lowtide::runtime::bot::{Bot, InForce};
use lowtide::store::database::Store;
use lowtide::store::journal::Batch;
use lowtide::store::sealed::Sealed;
use std::path::Path;
use std::sync::Arc;

/// Of runs and rollouts.
pub(super) const RELEASED: RunId = RunId(ulid::Ulid(1));
pub(super) const SECOND: RunId = RunId(ulid::Ulid(2));
pub(super) const FAILED: RunId = RunId(ulid::Ulid(3));
pub(super) const OPEN: RunId = RunId(ulid::Ulid(4));
pub(super) const DONE: RolloutId = RolloutId(ulid::Ulid(8));
pub(super) const REVERTED: RolloutId = RolloutId(ulid::Ulid(9));

/// What nobody may execute, in a commit, a test, a failure and a log.
pub(super) const SCRIPT: &str = "<script>alert(1)</script>";

/// The bot of the app `web`, with its past.
pub(super) async fn bot(dir: &Path) -> Arc<Bot> {
    let state = dir.join("state");
    std::fs::create_dir_all(&state).unwrap();
    let text = good("web").replace("version: 1\n", "version: 1\nmode: active\n")
        + "    env: { TOKEN: tell-nobody }\n"
        + "    publish: { image: registry.example.org/web, channels: [ { name: stable } ] }\n"
        + "    rollout: [ { container: { name: web }, window: { from: \"00:00\", to: \"24:00\" } } ]\n";
    let text = text.replace("https://git.example.org/web.git", "https://github.com/example/web.git");
    let fleet = validate::fleet(text.as_bytes()).unwrap_or_else(|problems| panic!("{problems:?}"));
    let app = Arc::clone(&fleet.apps[&"web".parse::<AppName>().unwrap()]);
    let store = Store::open(&state.join("lowtide.db"), true).unwrap();
    let past = Past {
        store: &store,
        app: &app,
        state: &state,
    };
    past.runs().await;
    past.rollouts().await;
    let sealed = Sealed::open(&state).unwrap();
    let in_force = InForce::new("start".into(), fleet, None, &state).unwrap();
    let instance = "lowtide-test".into();
    Arc::new(
        Bot::new(store, sealed, state, instance, ProbePath::HostView, in_force)
            .await
            .unwrap(),
    )
}

struct Past<'a> {
    store: &'a Store,
    app: &'a App,
    state: &'a Path,
}

fn ago(hours: i64) -> Timestamp {
    clock::now() - SignedDuration::from_hours(hours)
}

fn sha(letter: &str) -> String {
    format!("sha256:{}", letter.repeat(64))
}

pub(super) fn release(run: RunId, tag: &str, hours: i64) -> Release {
    let image = if run == RELEASED { sha("a") } else { sha("b") };
    Release {
        upstream: None,
        run,
        images: Images::one(image.parse().unwrap(), image.parse().unwrap()),
        commit: Some("3f2a9c1d".repeat(5)),
        tag: tag.to_owned(),
        digest: Some(sha("d").parse().unwrap()),
        reference: format!("registry.example.org/web:{tag}").parse().unwrap(),
        change: None,
        sidecars: std::collections::BTreeMap::new(),
        at: ago(hours),
    }
}

impl Past<'_> {
    /// Each event a minute after the one before.
    async fn run(&self, id: RunId, hours: i64, events: &[RunEvent]) {
        for (seen, event) in (0..).zip(events) {
            let at = ago(hours) + SignedDuration::from_mins(i64::try_from(seen).unwrap());
            let batch = Batch::new().run(&self.app.name, id, seen, event);
            self.store.commit(batch, at).await.unwrap();
        }
    }

    async fn fact(&self, hours: i64, event: &AppEvent) {
        let batch = Batch::new().app(&self.app.name, event);
        self.store.commit(batch, ago(hours)).await.unwrap();
    }

    async fn runs(&self) {
        let concluded = |release: &Release| RunEvent::Concluded {
            conclusion: Conclusion::Released {
                release: release.clone(),
            },
        };
        for (id, tag, hours, size) in [(RELEASED, "t1", 72, 120 << 20), (SECOND, "t2", 48, 90 << 20)] {
            let release = release(id, tag, hours);
            let mut events = self.built(size);
            events.extend(inspected());
            events.extend(tested());
            events.push(concluded(&release));
            self.run(id, hours, &events).await;
            let release = Box::new(release);
            self.fact(hours, &AppEvent::Released { release }).await;
        }
        let mut events = self.built(95 << 20);
        events.push(started(Effect::Test(test())));
        let failure =
            Failure::new(FailureKind::TestFailed, format!("exec /run exited with 1: {SCRIPT}")).with_excerpt([
                format!("failed: suite.{SCRIPT}"),
                "  \u{1b}[31mexpected 1, got 2\u{1b}[0m".to_owned(),
            ]);
        events.push(ended(Outcome::Failed(failure.clone())));
        events.push(RunEvent::Concluded {
            conclusion: Conclusion::Failed {
                stage: Stage::Test,
                failure,
            },
        });
        self.run(FAILED, 24, &events).await;
        self.log(FAILED, "build.log", "#1 FROM debian\n#2 RUN make\n");
        self.log(
            FAILED,
            "test.log",
            &format!("1..2\nnot ok 1 {SCRIPT} \u{1b}[31mred\u{1b}[0m\n"),
        );
        let mut events = self.built(0);
        events.truncate(4);
        self.run(OPEN, 1, &events).await;
        self.log(OPEN, "build.log", "#1 FROM debian\n#2 RUN make all\n");
    }

    pub(super) fn log(&self, run: RunId, name: &str, text: &str) {
        let directory = self.state.join("runs").join(run.to_string());
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(name), text).unwrap();
    }

    /// Up to the end of its build.
    fn built(&self, size: u64) -> Vec<RunEvent> {
        let origin = ResolvedRepository {
            own: None,
            commit: Commit {
                id: "3f2a9c1d".repeat(5),
                subject: format!("Say hello {SCRIPT}"),
                author: "Dev".to_owned(),
                time: ago(100),
            },
            frontend: None,
            bases: Vec::new(),
        };
        let platform = Platform {
            os: "linux".to_owned(),
            architecture: "amd64".to_owned(),
            variant: None,
        };
        let survey = Survey {
            pending: vec![pending()],
            newest: Some(ago(100)),
            ..Survey::default()
        };
        let assessment = Box::new(RebuildAssessment {
            survey,
            ..RebuildAssessment::default()
        });
        let build = Build {
            from: Box::new(origin.clone()),
            platform: platform.clone(),
            tag: "lowtide/web:t".to_owned(),
            release_tag: "t".to_owned(),
            labels: std::collections::BTreeMap::new(),
            because: vec![Because::Pending {
                packages: 1,
                security: 1,
            }],
        };
        vec![
            RunEvent::Opened {
                seen: Vec::new(),
                app: Box::new(self.app.clone()),
                trigger: Trigger::Schedule { slot: ago(100) },
                revision: "r1".to_owned(),
                last: None,
                quarantine: vec![],
                judged: None,
            },
            started(Effect::Resolve(Resolve {})),
            ended(Outcome::Resolved(Resolved {
                origin: ResolvedOrigin::Repository(origin),
                platform,
                assessment,
            })),
            started(Effect::Build(build)),
            ended(Outcome::Built(Built {
                image: sha("b").parse().unwrap(),
                size,
            })),
        ]
    }

    async fn rollout(&self, id: RolloutId, hours: i64, events: &[RolloutEvent]) {
        for (seen, event) in (0..).zip(events) {
            let at = ago(hours) + SignedDuration::from_secs(10 * i64::try_from(seen).unwrap());
            let batch = Batch::new().rollout(&self.app.name, id, seen, event);
            self.store.commit(batch, at).await.unwrap();
        }
    }

    async fn rollouts(&self) {
        let target = &self.app.rollout[0];
        let name = target.settings.name.clone();
        let opened = |run, tag: &str, hours| RolloutEvent::Opened {
            app: self.app.name.clone(),
            target: Box::new(target.clone()),
            timezone: self.app.timezone.clone(),
            release: Box::new(release(run, tag, hours)),
            window_ignored: false,
            purpose: Purpose::Release,
        };
        let failure = Failure::new(FailureKind::UnhealthyAfterRoll, "web answered 500 for 2 min");
        let reverted = RolloutConclusion::Reverted {
            failure: failure.clone(),
        };
        let done = RolloutConclusion::Done;
        for (id, run, tag, hours, conclusion) in [
            (DONE, RELEASED, "t1", 70, &done),
            (REVERTED, SECOND, "t2", 46, &reverted),
        ] {
            let rollout = |target| AppEvent::RolloutOpened {
                target,
                release: run,
                rollout: id,
            };
            self.fact(hours, &rollout(name.clone())).await;
            let mut events = vec![opened(run, tag, hours)];
            events.extend(moved(conclusion, &failure));
            events.push(RolloutEvent::Concluded {
                conclusion: conclusion.clone(),
            });
            self.rollout(id, hours, &events).await;
            let ended = AppEvent::RolloutEnded {
                target: name.clone(),
                release: run,
                rollout: id,
                conclusion: conclusion.clone(),
                worked: None,
                placed: None,
            };
            self.fact(hours, &ended).await;
        }
        let halted = AppEvent::Halted {
            reason: HaltReason::Reverted { failure },
            settings: None,
        };
        self.fact(46, &halted).await;
    }
}

/// What a rollout does up to its end; the one that fails saves the log of its new container.
fn moved(conclusion: &RolloutConclusion, failure: &Failure) -> Vec<RolloutEvent> {
    let step = |step: ContainerStep| RolloutEvent::StepStarted {
        attempt: 1,
        step: step.into(),
    };
    let well = |outcome: ContainerOutcome| RolloutEvent::StepEnded {
        outcome: Ended::Well {
            outcome: StepOutcome::from(outcome),
        },
    };
    let container = "c".repeat(64);
    let mut events = vec![
        step(ContainerStep::Preflight),
        well(ContainerOutcome::Preflighted {
            units: vec![unit("web")],
        }),
        step(ContainerStep::Pull),
        well(ContainerOutcome::Pulled {
            image: sha("b").parse().unwrap(),
            dropped: Vec::new(),
        }),
        step(ContainerStep::CreateCandidate { unit: 0 }),
        well(ContainerOutcome::Done),
        step(ContainerStep::AwaitReady {
            unit: 0,
            container: container.clone(),
            which: Which::New,
            deadline: ago(0),
        }),
    ];
    if *conclusion == RolloutConclusion::Done {
        events.push(well(ContainerOutcome::Done));
        return events;
    }
    let failed = Ended::Failed {
        failure: failure.clone(),
    };
    events.push(RolloutEvent::StepEnded { outcome: failed });
    events.push(RolloutEvent::RevertDecided {
        failure: failure.clone(),
    });
    events.push(step(ContainerStep::SaveLog { unit: 0, container }));
    events.push(well(ContainerOutcome::LogSaved {
        log: vec![format!("cannot open {SCRIPT}")],
        exit_code: 137,
    }));
    events
}

fn started(effect: Effect) -> RunEvent {
    RunEvent::EffectStarted { attempt: 1, effect }
}

fn ended(outcome: Outcome) -> RunEvent {
    RunEvent::EffectEnded { outcome }
}

fn pending() -> PendingPackage {
    PendingPackage {
        package: "openssl".to_owned(),
        architecture: "amd64".to_owned(),
        installed: Some("3.0.15-1".to_owned()),
        candidate: "3.0.16-1".to_owned(),
        origin: "Debian-Security:12/stable-security".to_owned(),
        security: true,
        layer: None,
        fix: Fix::Rebuild,
    }
}

fn inspected() -> [RunEvent; 2] {
    let packages = vec![PackageChange {
        name: "openssl".to_owned(),
        old: Some("3.0.15-1".to_owned()),
        new: Some("3.0.16-1".to_owned()),
    }];
    [
        started(Effect::Inspect(Inspect {
            image: sha("b").parse().unwrap(),
            against: None,
        })),
        ended(Outcome::Inspected(Inspected {
            inventory: InventorySummary {
                content: sha("b").parse().unwrap(),
                os: None,
                packages: 90,
                files: 4000,
            },
            change: Some(Change {
                packages,
                ..Change::default()
            }),
            has_command: true,
            left: Box::default(),
        })),
    ]
}

fn test() -> Test {
    Test {
        image: sha("b").parse().unwrap(),
        round: 0,
        bootstrapped: None::<Bootstrapped>,
        production: Production::Start,
    }
}

fn tested() -> [RunEvent; 2] {
    let failed = FailedTest {
        name: format!("suite.{SCRIPT}"),
        message: vec!["it is flaky".to_owned()],
        place: None,
    };
    [
        started(Effect::Test(test())),
        ended(Outcome::Tested(Tested {
            steps: vec![StepResult {
                step: "exec /run".to_owned(),
                took_ms: 900,
            }],
            report: Some(TestReport {
                passed: 128,
                skipped: 2,
                failed: vec![failed],
                failed_count: 1,
            }),
            production_ready_ms: Some(800),
        })),
    ]
}
