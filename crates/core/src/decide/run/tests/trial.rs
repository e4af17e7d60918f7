//! A run against a simulated world.

use super::*;
use crate::decide::labels;
use jiff::SignedDuration;
use lowtide_model::freshness::RebuildAssessment;
use lowtide_model::freshness::Survey;
use lowtide_model::image::Reference;
use lowtide_model::inventory::{Change, InventorySummary};
use lowtide_model::policy::{
    BuildPolicy, Channel, ContainerLimits, GitRef, ImageOrigin, PublishPolicy, Ready, ReadyCheck, Schedule, Source,
    TestNetwork, TestPolicy, TestSetup,
};
use lowtide_model::release::Images;
use lowtide_model::stages::pull::ListedImage;
use lowtide_model::stages::resolve::{Commit, ResolvedImages, ResolvedOrigin, ResolvedRepository};
use std::collections::BTreeMap;

pub(in super::super) const A: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
pub(in super::super) const B: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

pub(in super::super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

pub(in super::super) fn build_policy() -> BuildPolicy {
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

pub(in super::super) fn app(mode: Mode, published: bool, tested: bool) -> App {
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
pub(in super::super) struct Trial {
    pub(in super::super) events: Vec<Recorded<RunEvent>>,
    /// Content that the build produces.
    pub(in super::super) content: &'static str,
    pub(in super::super) fails: Option<(Stage, FailureKind, u32)>,
    pub(in super::super) has_command: bool,
    /// Images beside the last release that are others now.
    pub(in super::super) moved: Vec<String>,
    /// Images that the followed repository has.
    pub(in super::super) listed: Vec<ListedImage>,
    /// What is pending in the last release, and in the candidate.
    pub(in super::super) survey: Survey,
    pub(in super::super) left: Survey,
    pub(in super::super) now: i64,
    pub(in super::super) stages: Vec<String>,
}

impl Trial {
    pub(in super::super) fn new(app: App) -> Self {
        let mut trial = Self {
            events: Vec::new(),
            content: B,
            fails: None,
            has_command: true,
            moved: Vec::new(),
            listed: Vec::new(),
            survey: Survey::default(),
            left: Survey::default(),
            now: 0,
            stages: Vec::new(),
        };
        trial.push(RunEvent::Opened {
            seen: Vec::new(),
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

    pub(in super::super) fn push(&mut self, event: RunEvent) {
        let seq = self.events.len() as u64 + 1;
        self.events.push(Recorded {
            seq,
            at: at(self.now),
            event,
        });
    }

    pub(in super::super) fn state(&self) -> RunState {
        fold(RunId(ulid::Ulid(1)), &self.events).unwrap()
    }

    fn origin(&self) -> ResolvedOrigin {
        if let ImageOrigin::Followed(_) = self.state().app.origin {
            return ResolvedOrigin::Images(ResolvedImages {
                listed: self.listed.clone(),
                running: Vec::new(),
            });
        }
        ResolvedOrigin::Repository(ResolvedRepository {
            own: None,
            commit: Commit {
                id: "c".repeat(40),
                subject: "s".to_owned(),
                author: "a".to_owned(),
                time: at(0),
            },
            frontend: None,
            bases: Vec::new(),
        })
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
                origin: self.origin(),
                platform: "linux/amd64".parse().unwrap(),
                assessment: Box::new(RebuildAssessment {
                    moved_sidecars: self.moved.clone(),
                    survey: self.survey.clone(),
                    ..RebuildAssessment::default()
                }),
            }),
            Effect::Pull(_) => Outcome::Pulled(Pulled {
                image: B.parse().unwrap(),
                size: 1,
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
                left: Box::new(self.left.clone()),
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

    pub(in super::super) fn finish(&mut self) -> Conclusion {
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

pub(in super::super) fn opened_with(trial: &mut Trial, content: Option<&str>, quarantined: Option<&str>) {
    let RunEvent::Opened {
        last, quarantine, app, ..
    } = &mut trial.events[0].event
    else {
        panic!("not opened")
    };
    *last = content.map(|content| {
        Box::new(Release {
            upstream: None,
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
