//! What GitHub hears of nights, by the whole way: decision, outbox, client, and a GitHub of our own at the wire.

mod checks;
mod description;
mod limits;
mod nights;

use crate::support::github::app::InstalledApp;
use crate::support::github::fake::{self, Fake};
use lowtide::channels::github::policy::GithubPolicy;
use lowtide::clients::clock;
use lowtide::clients::engine::probe::ProbePath;
use lowtide::clients::github::connect::Github;
use lowtide::config::validate::fleet_with_provenance;
use lowtide::decide::consequences;
use lowtide::decide::run::{self, RunState};
use lowtide::fleet::app::{App, Fleet};
use lowtide::fleet::run::RunEvent;
use lowtide::model::failure::{Failure, FailureKind, SkipReason};
use lowtide::model::freshness::RebuildAssessment;
use lowtide::model::github::{GithubApp, GithubLogin};
use lowtide::model::image::Platform;
use lowtide::model::journal::Recorded;
use lowtide::model::name::RunId;
use lowtide::model::policy::PublicUrl;
use lowtide::model::release::{Images, Release};
use lowtide::model::run::{Conclusion, Effect, Outcome, Stage, Trigger};
use lowtide::model::secret::SecretRef;
use lowtide::model::stages::resolve::{Base, BasePin, Commit, Resolve, Resolved, ResolvedOrigin, ResolvedRepository};
use lowtide::runtime::bot::{Bot, InForce};
use lowtide::runtime::notify;
use lowtide::store::database::Store;
use lowtide::store::journal::Batch;
use lowtide::store::sealed::Sealed;
use lowtide::yaml::age::Beside;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use ulid::Ulid;

const FLEET: &str = r#"
version: 1
hosts: { build: { docker: unix:///run/none.sock } }
notify: { github: { token: { env: LOWTIDE_TEST_NO_TOKEN } } }
apps:
  web:
    source: { repo: https://github.com/example/web.git }
    maintainers: [dev@example.org]
"#;

const OLD: &str = "1111111111111111111111111111111111111111";
const NEW: &str = "3f2a9c1d0e3f2a9c1d0e3f2a9c1d0e3f2a9c1d0e";
const APP: u64 = 123_456;
const PATIENT: Duration = Duration::from_secs(30);

/// One app, one bot without engines, one GitHub.
struct House {
    fake: Fake,
    bot: Bot,
    app: App,
    last: Option<Release>,
    nights: u64,
    folder: TempDir,
}

impl House {
    async fn new() -> Self {
        Self::of(Fake::start().await).await
    }

    async fn of(fake: Fake) -> Self {
        Self::at(fake, FLEET).await
    }

    /// The app's repository is `owner/name` on GitHub.
    async fn of_repo(repo: &str) -> Self {
        let named = format!("{FLEET}    github: {{ repo: {repo} }}\n");
        Self::at(Fake::start().await, &named).await
    }

    async fn at(fake: Fake, text: &str) -> Self {
        Self::inside(tempfile::tempdir().unwrap(), fake, text).await
    }

    /// Lowtide writes as a GitHub App.
    async fn as_app() -> Self {
        let (folder, fake) = (tempfile::tempdir().unwrap(), Fake::start().await);
        let app = InstalledApp::new(APP, folder.path());
        fake.world().app = Some(app);
        Self::inside(folder, fake, FLEET).await
    }

    async fn inside(folder: TempDir, fake: Fake, text: &str) -> Self {
        std::fs::write(folder.path().join("token"), format!("{}\n", fake::TOKEN)).unwrap();
        let bot = bot(folder.path(), fleet(text, &fake, folder.path())).await;
        let app = bot.app(&"web".parse().unwrap()).unwrap().as_ref().clone();
        Self {
            fake,
            bot,
            app,
            last: None,
            nights: 0,
            folder,
        }
    }

    /// Lowtide was killed and starts again over the same state.
    async fn restart(&mut self) {
        self.bot = bot(self.folder.path(), fleet(FLEET, &self.fake, self.folder.path())).await;
    }

    /// A run ends so, and its app's stream and the outbox take it up. Nothing is delivered.
    async fn ends(&mut self, sha: &str, conclusion: Conclusion) {
        self.nights += 1;
        let state = self.run(self.nights, sha);
        self.end(&state, conclusion).await;
    }

    async fn end(&mut self, state: &RunState, conclusion: Conclusion) {
        let (now, app_state) = (clock::now(), self.bot.app_state(&self.app.name));
        let bases = bases();
        let end = consequences::RunEnd {
            app_state: &app_state,
            last_bases: Some(&bases),
            timezone: "UTC",
        };
        let consequences = consequences::run_ended(state, &conclusion, &end, now);
        self.bot
            .commit(
                Batch::new(),
                &self.app.name,
                &consequences.facts,
                &consequences.messages,
            )
            .await
            .unwrap();
        if let Conclusion::Released { release } = conclusion {
            self.last = Some(release);
        }
    }

    async fn deliver(&self) -> usize {
        notify::deliver_once(&self.bot).await.unwrap()
    }

    /// A whole night.
    async fn night(&mut self, sha: &str, conclusion: Conclusion) {
        self.ends(sha, conclusion).await;
        self.deliver().await;
    }

    async fn waiting(&self) -> u64 {
        self.bot.store.pending_notices().await.unwrap()
    }

    fn released(&self, sha: &str) -> Conclusion {
        Conclusion::Released {
            release: release(self.nights + 1, sha),
        }
    }

    fn run(&self, number: u64, sha: &str) -> RunState {
        let events = [
            RunEvent::Opened {
                seen: Vec::new(),
                app: Box::new(self.app.clone()),
                trigger: Trigger::Manual {
                    by: "a test".to_owned(),
                    rebuild: false,
                },
                revision: "1".to_owned(),
                last: self.last.clone().map(Box::new),
                quarantine: vec![],
                judged: None,
            },
            RunEvent::EffectStarted {
                attempt: 1,
                effect: Effect::Resolve(Resolve {}),
            },
            RunEvent::EffectEnded {
                outcome: Outcome::Resolved(Resolved {
                    origin: ResolvedOrigin::Repository(ResolvedRepository {
                        own: None,
                        commit: Commit {
                            id: sha.to_owned(),
                            subject: "Say hello".to_owned(),
                            author: "Dev".to_owned(),
                            time: clock::now(),
                        },
                        frontend: None,
                        bases: bases(),
                    }),
                    platform: Platform {
                        os: "linux".to_owned(),
                        architecture: "amd64".to_owned(),
                        variant: None,
                    },
                    assessment: Box::new(RebuildAssessment::default()),
                }),
            },
        ];
        let recorded: Vec<_> = (1..)
            .zip(events)
            .map(|(seq, event)| Recorded {
                seq,
                at: clock::now(),
                event,
            })
            .collect();
        run::fold(id(number), &recorded).unwrap()
    }
}

async fn bot(state: &Path, fleet: Fleet) -> Bot {
    let store = Store::open(&state.join("lowtide.db"), true).unwrap();
    let sealed = Sealed::open(state).unwrap();
    let in_force = InForce::new("1".to_owned(), fleet, None, state).unwrap();
    let (state, instance) = (state.to_owned(), "harbour".to_owned());
    Bot::new(store, sealed, state, instance, ProbePath::HostView, in_force)
        .await
        .unwrap()
}

fn fleet(text: &str, fake: &Fake, folder: &Path) -> Fleet {
    let (mut fleet, _) = fleet_with_provenance(text.as_bytes(), &Beside::new(), &|_| true).unwrap();
    // No engine takes part.
    fleet.hosts.clear();
    let mut policy = policy(&fake.api, &folder.join("token"));
    let key = folder.join("app.pem");
    if key.exists() {
        policy.login = GithubLogin::App(GithubApp {
            id: APP,
            key: SecretRef::File(key),
        });
    }
    // As the pages of a fleet are linked to.
    fleet.web.public_url = Some(PublicUrl("https://lowtide.example.org".to_owned()));
    fleet.channels.github = Some(policy);
    fleet
}

fn policy(api: &str, token: &Path) -> GithubPolicy {
    GithubPolicy {
        login: GithubLogin::Token(SecretRef::File(token.to_owned())),
        api: api.to_owned(),
        deployments: true,
    }
}

fn client(fake: &Fake, folder: &Path, timeout: Duration) -> Github {
    let GithubPolicy { login, api, .. } = policy(&fake.api, &folder.join("token"));
    Github::new(&login, &api, timeout).unwrap()
}

fn id(number: u64) -> RunId {
    RunId(Ulid::from_parts(1_795_000_000_000 + number, u128::from(number)))
}

fn bases() -> Vec<Base> {
    vec![Base {
        reference: "debian:13".parse().unwrap(),
        platform: None,
        pin: BasePin::Local {
            image: Some("sha256:1".to_owned()),
        },
    }]
}

fn release(number: u64, sha: &str) -> Release {
    let digest = format!("sha256:{}", "a".repeat(64));
    Release {
        upstream: None,
        run: id(number),
        images: Images::one(digest.parse().unwrap(), digest.parse().unwrap()),
        commit: Some(sha.to_owned()),
        tag: format!("20261123.{number}"),
        digest: None,
        reference: "lowtide/web:1".parse().unwrap(),
        change: None,
        sidecars: std::collections::BTreeMap::new(),
        at: clock::now(),
    }
}

fn failed(kind: FailureKind, detail: &str) -> Conclusion {
    let stage = if kind == FailureKind::BuildFailed {
        Stage::Build
    } else {
        Stage::Test
    };
    let failure = Failure::new(kind, detail).with_excerpt(["hello.t: not ok 1 - says hello"]);
    Conclusion::Failed { stage, failure }
}

fn tests_failed() -> Conclusion {
    failed(FailureKind::TestFailed, "1 of 2 tests failed")
}

fn build_failed() -> Conclusion {
    failed(FailureKind::BuildFailed, "exit code 100 at line 7 of the Dockerfile")
}

fn unchanged() -> Conclusion {
    Conclusion::Unchanged {
        why: SkipReason::SameContent,
    }
}
