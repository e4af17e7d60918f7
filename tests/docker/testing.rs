//! The stages *bootstrap* and *test*, and the engine calls under them. Every test ends with nothing left on the engine.

mod around;
mod compose;
mod ends;
mod engine;
mod health;
mod secrets;
mod steps;
mod tester;

use crate::engine::{engine, unique};
use lowtide::clients::credentials::Credentials;
use lowtide::clients::engine::archive::ArchiveBounds;
use lowtide::clients::engine::connect::Engine;
use lowtide::clients::engine::exec::{ExecBounds, ExecEnd, OnLimit};
use lowtide::clients::engine::probe::{ProbePath, ReadyVerdict};
use lowtide::clients::registry::connect::Registry;
use lowtide::fleet::app::App;
use lowtide::model::failure::{Failure, FailureKind};
use lowtide::model::image::Platform;
use lowtide::model::policy::{
    BuildPolicy, ComposeTest, ContainerLimits, GitRef, ImageOrigin, Mode, Ready, ReadyCheck, Schedule, Sidecar, Source,
    StepAction, TestNetwork, TestPolicy, TestSetup, TestStep, Tester, TesterFrom,
};
use lowtide::model::stages::bootstrap::Bootstrap;
use lowtide::model::stages::test::{FailedTest, Production, Test, TestReport, Tested};
use lowtide::runtime::bases::Bases;
use lowtide::runtime::perform::environment::{SidecarImages, Stop, TestEnvironment};
use lowtide::runtime::perform::hidden::Hidden;
use lowtide::runtime::perform::{bootstrap, test};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

// Several threads: while a blocking `docker` command runs in one, the client's connections can still be closed by another.

const BASE: &str = "lowtide-test/busybox:1";
/// Long enough for a slow machine; no passing test waits for it.
const PATIENCE: jiff::SignedDuration = jiff::SignedDuration::from_secs(60);

fn docker(arguments: &[&str], stdin: &str) -> String {
    let out = crate::support::engine::or_again(|| {
        let mut child = Command::new("docker")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .env("DOCKER_BUILDKIT", "0")
            .env(
                "DOCKER_HOST",
                format!("unix://{}", std::env::var("LOWTIDE_TEST_ENGINE").unwrap()),
            )
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    });
    assert!(
        out.status.success(),
        "docker {arguments:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

/// An image of this test's own; gone with it.
struct Image {
    id: String,
    tag: String,
}

impl Image {
    /// `lines` follow `FROM` in its Dockerfile.
    fn build(lines: &str) -> Self {
        let tag = unique("lowtide-testing");
        let text = format!("FROM {BASE}\nLABEL io.lowtide.testing={tag}\n{lines}\n");
        let id = docker(&["build", "-q", "--force-rm", "-t", &tag, "-"], &text);
        Self { id, tag }
    }
    /// One that runs `script` as its process.
    fn running(script: &str) -> Self {
        Self::build(&format!("CMD {}", json!(["sh", "-c", script])))
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rmi", "-f", &self.tag]).output();
    }
}

/// One attempt of a run with its app.
struct Attempt {
    engine: Engine,
    app: App,
    labels: BTreeMap<String, String>,
    via: ProbePath,
    work: tempfile::TempDir,
    platform: Platform,
    /// The work tree of the commit.
    tree: tempfile::TempDir,
    cancel: CancellationToken,
    said: Mutex<Vec<String>>,
    credentials: Credentials,
    /// Where the images of sidecars are resolved; `None`: in the engine's own store.
    registry: Option<(Bases, Registry)>,
    hidden: Hidden,
}

impl Attempt {
    fn new(test: Option<TestPolicy>, ready: ReadyCheck) -> Self {
        let run = unique("run");
        let app = app(test, ready);
        Self {
            hidden: Hidden::of(&app),
            engine: engine(),
            app,
            labels: BTreeMap::from([
                ("io.lowtide.instance".to_owned(), "docker-tests".to_owned()),
                ("io.lowtide.run".to_owned(), run),
                ("io.lowtide.attempt".to_owned(), "1".to_owned()),
            ]),
            via: ProbePath::HostView,
            work: tempfile::tempdir().unwrap(),
            platform: "linux/amd64".parse().unwrap(),
            tree: tempfile::tempdir().unwrap(),
            cancel: CancellationToken::new(),
            said: Mutex::new(Vec::new()),
            credentials: Credentials::new(BTreeMap::new(), None),
            registry: None,
        }
    }

    /// A file of the commit.
    fn write(&self, path: &str, text: &str) {
        let path = self.tree.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    async fn bootstrap(&self, image: &Image) -> Result<Test, Stop> {
        let say = |line: &str| self.said.lock().unwrap().push(line.to_owned());
        let effect = Bootstrap {
            image: image.id.parse().unwrap(),
            round: 0,
            pull: None,
        };
        let bootstrapped = bootstrap::perform(&self.environment(&say), &effect, Some(self.tree.path())).await?;
        Ok(Test {
            image: effect.image,
            round: 0,
            bootstrapped: Some(bootstrapped),
            production: Production::Start,
        })
    }

    async fn test(&self, effect: &Test) -> Result<Tested, Stop> {
        let say = |line: &str| self.said.lock().unwrap().push(line.to_owned());
        test::perform(&self.environment(&say), effect, Some(self.tree.path()), &junit).await
    }

    async fn both(&self, image: &Image) -> Result<Tested, Stop> {
        let effect = self.bootstrap(image).await?;
        self.test(&effect).await
    }

    fn environment<'a>(&'a self, say: &'a (dyn Fn(&str) + Send + Sync)) -> TestEnvironment<'a> {
        TestEnvironment {
            engine: &self.engine,
            credentials: &self.credentials,
            sidecar_images: match &self.registry {
                None => SidecarImages::Engine,
                Some((bases, registry)) => SidecarImages::Registry {
                    bases,
                    registry,
                    platform: &self.platform,
                    since: jiff::Timestamp::MAX,
                },
            },
            app: &self.app,
            round: 0,
            labels: &self.labels,
            via: &self.via,
            work: self.work.path(),
            cancel: &self.cancel,
            hidden: &self.hidden,
            say,
        }
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().join("\n")
    }

    /// What of this attempt is on the engine.
    fn left(&self) -> Vec<String> {
        let filter = format!("label=io.lowtide.run={}", self.labels["io.lowtide.run"]);
        let mut left = Vec::new();
        for list in [
            &["ps", "-aq"][..],
            &["network", "ls", "-q"][..],
            &["volume", "ls", "-q"][..],
        ] {
            let arguments = [list, &["--filter", &filter]].concat();
            left.extend(docker(&arguments, "").lines().map(ToOwned::to_owned));
        }
        left
    }

    fn nothing_is_left(&self) {
        assert_eq!(self.left(), Vec::<String>::new());
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        // Only a failing test leaves something here; the next one must not see it.
        if std::thread::panicking() {
            for id in self.left() {
                for kind in [&["rm", "-fv"][..], &["network", "rm"][..], &["volume", "rm"][..]] {
                    let _ = Command::new("docker").args(kind).arg(&id).output();
                }
            }
        }
    }
}

/// Counts `<ok>` and names `<bad>`; the real format has its own parser and its own tests.
fn junit(bytes: &[u8]) -> Result<TestReport, String> {
    let text = String::from_utf8_lossy(bytes);
    if !text.starts_with("<report>") {
        return Err("not a report".to_owned());
    }
    let failed: Vec<FailedTest> = text
        .split("<bad>")
        .skip(1)
        .map(|rest| FailedTest {
            name: rest.split('<').next().unwrap_or_default().to_owned(),
            message: Vec::new(),
            place: None,
        })
        .collect();
    Ok(TestReport {
        passed: text.matches("<ok>").count(),
        skipped: 0,
        failed_count: failed.len(),
        failed,
    })
}

fn http(path: &str) -> ReadyCheck {
    ReadyCheck::Http {
        port: 8080,
        path: path.to_owned(),
    }
}

fn log(pattern: &str) -> ReadyCheck {
    ReadyCheck::Log {
        pattern: pattern.to_owned(),
    }
}

fn up() -> ReadyCheck {
    ReadyCheck::Steady {
        stay_up: jiff::SignedDuration::from_millis(100),
    }
}

fn within(check: ReadyCheck, timeout: jiff::SignedDuration) -> Ready {
    Ready { check, timeout }
}

fn step(action: StepAction) -> TestStep {
    TestStep {
        action,
        service: None,
        timeout: None,
    }
}

fn exec(script: &str) -> TestStep {
    step(StepAction::Exec {
        command: ["sh", "-c", script].map(ToOwned::to_owned).to_vec(),
    })
}

fn policy(ready: ReadyCheck, steps: Vec<TestStep>) -> TestPolicy {
    TestPolicy {
        how: TestSetup::Sidecars(BTreeMap::new()),
        env: BTreeMap::from([("TESTING_TOOLS".to_owned(), "TRUE".into())]),
        matrix: BTreeMap::new(),
        network: TestNetwork::Egress,
        ready: within(ready, PATIENCE),
        steps,
        tester: None,
        junit: None,
        artefacts: Vec::new(),
        limits: ContainerLimits {
            memory: 64 << 20,
            cpus: 16.0,
            pids: 64,
            output: 1 << 20,
            disk: 1 << 30,
        },
        timeout: PATIENCE,
    }
}

fn sidecar(script: &str, ready: ReadyCheck) -> Sidecar {
    Sidecar {
        image: BASE.parse().unwrap(),
        env: BTreeMap::new(),
        command: ["sh", "-c", script].map(ToOwned::to_owned).to_vec(),
        ready: within(ready, PATIENCE),
    }
}

fn app(test: Option<TestPolicy>, ready: ReadyCheck) -> App {
    App {
        name: "web".parse().unwrap(),
        mode: Mode::Observe,
        timezone: "UTC".to_owned(),
        maintainers: Vec::new(),
        origin: ImageOrigin::Built {
            source: Source {
                repo: "https://git.example.org/web.git".to_owned(),
                git_ref: GitRef::Head,
                context: String::new(),
                dockerfile: "Dockerfile".to_owned(),
                submodules: false,
                username: None,
                token: None,
                ssh_key: None,
                timeout: PATIENCE,
                max_size: 1 << 20,
            },
            build: BuildPolicy {
                host: "build".parse().unwrap(),
                args: BTreeMap::new(),
                secrets: BTreeMap::new(),
                ssh: BTreeMap::new(),
                target: None,
                labels: BTreeMap::new(),
                label_schema: false,
                pull: false,
                timeout: PATIENCE,
                limits: lowtide::model::policy::BuildLimits::default(),
                max_log: 1 << 20,
                upgrade: false,
                max_age: None,
                ignore_paths: vec![],
            },
        },
        env: BTreeMap::from([("NEEDED".to_owned(), "yes".into())]),
        tests: test.into_iter().collect(),
        ready: within(ready, PATIENCE),
        publish: None,
        schedule: Schedule::Never,
        rollout: Vec::new(),
        github_repo: None,
        halt: lowtide::model::halt::HaltPolicy::default(),
        repository_file: None,
    }
}

fn failure<T: std::fmt::Debug>(stopped: Result<T, Stop>) -> Failure {
    match stopped.unwrap_err() {
        Stop::Failed(failure) => failure,
        Stop::Cancelled => panic!("cancelled"),
    }
}
