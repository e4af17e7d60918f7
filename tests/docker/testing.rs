//! The stages *bootstrap* and *test*, and the engine calls under them. Every test ends with nothing left on the engine.

use crate::engine::{engine, unique};
use lowtide::clients::engine::archive::ArchiveBounds;
use lowtide::clients::engine::connect::Engine;
use lowtide::clients::engine::exec::{ExecBounds, ExecEnd, OnLimit};
use lowtide::clients::engine::probe::{ProbePath, ReadyVerdict};
use lowtide::model::failure::{Failure, FailureKind};
use lowtide::model::fleet::{
    App, BuildPolicy, ContainerLimits, GitRef, Mode, Ready, ReadyCheck, Schedule, Sidecar, Source, TestNetwork,
    TestPolicy, TestSetup, TestStep,
};
use lowtide::model::stages::bootstrap::Bootstrap;
use lowtide::model::stages::test::{Test, TestReport, Tested};
use lowtide::runtime::perform::bench::{Bench, Stop};
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
    let out = child.wait_with_output().unwrap();
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
    cancel: CancellationToken,
    said: Mutex<Vec<String>>,
}

impl Attempt {
    fn new(test: Option<TestPolicy>, ready: ReadyCheck) -> Self {
        let run = unique("run");
        Self {
            engine: engine(),
            app: app(test, ready),
            labels: BTreeMap::from([
                ("io.lowtide.instance".to_owned(), "docker-tests".to_owned()),
                ("io.lowtide.run".to_owned(), run),
                ("io.lowtide.attempt".to_owned(), "1".to_owned()),
            ]),
            via: ProbePath::HostView,
            work: tempfile::tempdir().unwrap(),
            cancel: CancellationToken::new(),
            said: Mutex::new(Vec::new()),
        }
    }

    async fn bootstrap(&self, image: &Image, compose: Option<&Value>) -> Result<Test, Stop> {
        let say = |line: &str| self.said.lock().unwrap().push(line.to_owned());
        let effect = Bootstrap {
            image: image.id.parse().unwrap(),
        };
        let bootstrapped = bootstrap::perform(&self.bench(&say), &effect, compose).await?;
        Ok(Test {
            image: effect.image,
            bootstrapped: Some(bootstrapped),
        })
    }

    async fn test(&self, effect: &Test) -> Result<Tested, Stop> {
        let say = |line: &str| self.said.lock().unwrap().push(line.to_owned());
        test::perform(&self.bench(&say), effect, &junit).await
    }

    async fn both(&self, image: &Image) -> Result<Tested, Stop> {
        let effect = self.bootstrap(image, None).await?;
        self.test(&effect).await
    }

    fn bench<'a>(&'a self, say: &'a (dyn Fn(&str) + Send + Sync)) -> Bench<'a> {
        Bench {
            engine: &self.engine,
            app: &self.app,
            labels: &self.labels,
            via: &self.via,
            work: self.work.path(),
            cancel: &self.cancel,
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
    let failed: Vec<String> = text
        .split("<bad>")
        .skip(1)
        .map(|rest| rest.split('<').next().unwrap_or_default().to_owned())
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

fn exec(script: &str) -> TestStep {
    TestStep::Exec {
        command: ["sh", "-c", script].map(ToOwned::to_owned).to_vec(),
    }
}

fn policy(ready: ReadyCheck, steps: Vec<TestStep>) -> TestPolicy {
    TestPolicy {
        how: TestSetup::Sidecars(BTreeMap::new()),
        env: BTreeMap::from([("TESTING_TOOLS".to_owned(), "TRUE".to_owned())]),
        network: TestNetwork::Egress,
        ready: within(ready, PATIENCE),
        steps,
        junit: None,
        artefacts: Vec::new(),
        limits: ContainerLimits {
            memory: 64 << 20,
            cpus: 16.0,
            pids: 64,
            output: 1 << 20,
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
            target: None,
            labels: BTreeMap::new(),
            label_schema: false,
            pull: false,
            timeout: PATIENCE,
            max_log: 1 << 20,
        },
        env: BTreeMap::from([("NEEDED".to_owned(), "yes".to_owned())]),
        test,
        ready: within(ready, PATIENCE),
        publish: None,
        schedule: Schedule::Never,
        rollout: Vec::new(),
        github_repo: None,
    }
}

fn failure<T: std::fmt::Debug>(stopped: Result<T, Stop>) -> Failure {
    match stopped.unwrap_err() {
        Stop::Failed(failure) => failure,
        Stop::Cancelled => panic!("cancelled"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tools_arrive_tests_pass_and_the_image_starts_as_it_ships() {
    let image = Image::running(
        "if [ -n \"$TESTING_TOOLS\" ]; then wget -qO /tools.sh http://files:8080/tools.sh || exit 1; echo tools arrived; fi; \
         mkdir -p /www; echo \"$NEEDED ${TESTING_TOOLS:-off}\" > /www/mode; exec httpd -f -p 8080 -h /www",
    );
    let mut test = policy(
        http("/mode"),
        vec![
            exec("sh /tools.sh && echo ran the tests"),
            TestStep::Restart,
            TestStep::Http {
                port: 8080,
                path: "/missing".to_owned(),
                status: 404,
            },
        ],
    );
    let tools = "mkdir /s; echo 'mkdir -p /data/results; ln -s /data/results /results; echo \"<report><ok><ok>\" > /results/a.xml; echo kept > /results/a.log' > /s/tools.sh; exec httpd -f -p 8080 -h /s";
    test.how = TestSetup::Sidecars(BTreeMap::from([(
        "files".to_owned(),
        sidecar(tools, http("/tools.sh")),
    )]));
    test.junit = Some("/results/*.xml".to_owned());
    test.artefacts = vec!["/data/results".to_owned()];
    let attempt = Attempt::new(Some(test), http("/mode"));

    let tested = attempt.both(&image).await.unwrap();

    let steps: Vec<&str> = tested.steps.iter().map(|s| s.step.as_str()).collect();
    assert_eq!(
        steps,
        [
            "exec sh -c sh /tools.sh && echo ran the tests",
            "restart",
            "GET /missing on port 8080 answers 404"
        ]
    );
    assert_eq!(tested.report.unwrap().passed, 2);
    assert!(attempt.said().contains("tools arrived"), "{}", attempt.said());
    assert!(attempt.said().contains("ran the tests"));
    let log = attempt.work.path().join("test.log");
    assert!(std::fs::read_to_string(&log).unwrap().contains("ran the tests"));
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&log).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let kept = attempt.work.path().join("artefacts/data/results/a.log");
    assert_eq!(std::fs::read_to_string(kept).unwrap(), "kept\n");
    attempt.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_tests_are_named() {
    let image = Image::running("exec sleep 1000");
    let script = "mkdir /r; echo '<report><ok><bad>Cart.total</bad>' > /r/x.xml; echo assertion at line 7; exit 3";
    let mut test = policy(up(), vec![exec(script)]);
    test.junit = Some("/r/*.xml".to_owned());
    let attempt = Attempt::new(Some(test), up());
    let failure = failure(attempt.both(&image).await);
    assert_eq!(failure.kind, FailureKind::TestFailed);
    assert!(
        failure.detail.ends_with("exited with 3; 1 of 2 tests failed"),
        "{failure}"
    );
    assert_eq!(failure.excerpt.first().unwrap(), "failed: Cart.total");
    assert_eq!(failure.excerpt.last().unwrap(), "assertion at line 7");
    attempt.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_is_believed_over_an_exit_code_of_zero() {
    let image = Image::running("exec sleep 1000");
    for (script, kind) in [
        (
            "mkdir /r; echo '<report><bad>Cart.total</bad>' > /r/x.xml",
            FailureKind::TestFailed,
        ),
        ("mkdir /r; echo 'oops' > /r/x.xml", FailureKind::TestReportInvalid),
        ("mkdir /r; echo '<report>' > /r/x.xml", FailureKind::TestReportInvalid),
        ("true", FailureKind::TestReportInvalid),
    ] {
        let mut test = policy(up(), vec![exec(script)]);
        test.junit = Some("/r/*.xml".to_owned());
        let attempt = Attempt::new(Some(test), up());
        let failure = failure(attempt.both(&image).await);
        assert_eq!(failure.kind, kind, "{script}: {failure}");
        attempt.nothing_is_left();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_way_a_step_can_fail_has_its_kind() {
    let image = Image::running("exec sleep 1000");
    let hog = "x=$(head -c 200m /dev/zero | tr '\\0' x); echo $x | wc -c";
    for (script, kind) in [
        (hog, FailureKind::OutOfMemory),
        (
            "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done",
            FailureKind::TestOutputFlood,
        ),
        ("nosuch", FailureKind::TestFailed),
    ] {
        let attempt = Attempt::new(Some(policy(up(), vec![exec(script)])), up());
        let failure = failure(attempt.both(&image).await);
        assert_eq!(failure.kind, kind, "{script}: {failure}");
        attempt.nothing_is_left();
    }
    let attempt = Attempt::new(
        Some(policy(
            up(),
            vec![TestStep::Exec {
                command: vec!["/no/such/script".to_owned()],
            }],
        )),
        up(),
    );
    let failure = failure(attempt.both(&image).await);
    assert_eq!(failure.kind, FailureKind::TestFailed);
    assert_eq!(failure.detail, "exec /no/such/script: a command was not found (127)");
    attempt.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_ends_during_a_step_is_told() {
    let image = Image::running("while [ ! -e /stop ]; do usleep 20000; done; echo giving up; exit 9");
    let attempt = Attempt::new(Some(policy(up(), vec![exec("touch /stop; sleep 1000")])), up());
    let failure = failure(attempt.both(&image).await);
    assert_eq!(failure.kind, FailureKind::ContainerExited, "{failure}");
    assert_eq!(failure.detail, "the container exited with 9 during the tests");
    attempt.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_that_does_not_end_is_ended() {
    let image = Image::running("exec sleep 1000");
    let mut test = policy(up(), vec![exec("echo begun; sleep 1000")]);
    test.timeout = jiff::SignedDuration::from_secs(2);
    let attempt = Attempt::new(Some(test), up());
    let begun = Instant::now();
    let failure = failure(attempt.both(&image).await);
    assert_eq!(failure.kind, FailureKind::TestTimeout, "{failure}");
    assert_eq!(failure.excerpt.last().unwrap(), "begun");
    assert!(begun.elapsed() < Duration::from_secs(40));
    attempt.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_way_a_start_can_fail_has_its_kind() {
    let hog = "x=$(head -c 200m /dev/zero | tr '\\0' x); echo $x | wc -c; sleep 1000";
    for (image, kind) in [
        (Image::running("echo no config; exit 4"), FailureKind::ContainerExited),
        (Image::build("ENTRYPOINT [\"/nosuch\"]"), FailureKind::ContainerExited),
        (
            Image::running("echo 'curl: (6) Could not resolve host: example.org'; exit 6"),
            FailureKind::MirrorUnreachable,
        ),
        (
            Image::running(&format!(
                "exec sh -c \"{}\"",
                hog.replace('"', "\\\"").replace('$', "\\$")
            )),
            FailureKind::OutOfMemory,
        ),
        (
            Image::build("HEALTHCHECK --interval=200ms --retries=1 CMD echo no database; exit 1\nCMD sleep 1000"),
            FailureKind::NotReady,
        ),
        (
            Image::running("while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done"),
            FailureKind::TestOutputFlood,
        ),
    ] {
        let check = if kind == FailureKind::NotReady {
            ReadyCheck::Healthcheck
        } else {
            log("never")
        };
        let attempt = Attempt::new(Some(policy(check, Vec::new())), up());
        let failure = failure(attempt.bootstrap(&image, None).await);
        assert_eq!(failure.kind, kind, "{failure} {:?}", failure.excerpt);
        attempt.nothing_is_left();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_image_is_a_named_failure() {
    let attempt = Attempt::new(Some(policy(up(), Vec::new())), up());
    let image = Image {
        id: format!("sha256:{}", "0".repeat(64)),
        tag: "lowtide-testing-none".to_owned(),
    };
    let failure = failure(attempt.bootstrap(&image, None).await);
    assert_eq!(failure.kind, FailureKind::EngineRefused);
    assert!(failure.detail.contains("does not exist"), "{failure}");
    attempt.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sidecar_that_fails_is_named() {
    let image = Image::running("exec sleep 1000");
    let mut test = policy(up(), Vec::new());
    test.how = TestSetup::Sidecars(BTreeMap::from([(
        "db".to_owned(),
        sidecar("echo no disk; exit 1", up()),
    )]));
    let attempt = Attempt::new(Some(test), up());
    let failure = failure(attempt.bootstrap(&image, None).await);
    assert_eq!(failure.kind, FailureKind::SidecarFailed, "{failure}");
    assert_eq!(failure.detail, "sidecar db exited with code 1");
    assert_eq!(failure.excerpt, ["no disk"]);
    attempt.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sidecar_image_is_pulled_or_told() {
    let registry = std::env::var("LOWTIDE_TEST_REGISTRY").unwrap();
    let image = Image::running("exec sleep 1000");
    for (reference, kind) in [
        (format!("{registry}/base/nosuch:1"), FailureKind::SidecarFailed),
        ("127.0.0.1:1/base/x:1".to_owned(), FailureKind::RegistryUnreachable),
    ] {
        let mut test = policy(up(), Vec::new());
        let mut db = sidecar("sleep 1000", up());
        db.image = reference.parse().unwrap();
        test.how = TestSetup::Sidecars(BTreeMap::from([("db".to_owned(), db)]));
        let attempt = Attempt::new(Some(test), up());
        let failure = failure(attempt.bootstrap(&image, None).await);
        assert_eq!(failure.kind, kind, "{failure}");
        attempt.nothing_is_left();
    }
    // Pulled by digest of a tag of this test's own, so that no other test's image goes away with it.
    let own = format!("{registry}/lowtide-testing/{}:1", unique("pull"));
    docker(&["tag", BASE, &own], "");
    docker(&["push", "-q", &own], "");
    docker(&["rmi", &own], "");
    engine().ensure_image(&own).await.unwrap();
    engine().ensure_image(&own).await.unwrap();
    docker(&["rmi", &own], "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_network_only_sidecars_are_reached() {
    let image = Image::running("exec sleep 1000");
    // An address that nobody has (RFC 5737): with and without egress it does not answer, so the engine's own word counts.
    let steps = vec![
        exec("wget -qO - http://db:8080/x | grep here"),
        exec("! nc -w 1 192.0.2.1 80 </dev/null"),
    ];
    let mut test = policy(up(), steps);
    test.how = TestSetup::Sidecars(BTreeMap::from([(
        "db".to_owned(),
        sidecar("mkdir /s; echo here > /s/x; exec httpd -f -p 8080 -h /s", http("/x")),
    )]));
    for (network, internal) in [(TestNetwork::None, "true"), (TestNetwork::Egress, "false")] {
        test.network = network;
        let attempt = Attempt::new(Some(test.clone()), up());
        let effect = attempt.bootstrap(&image, None).await.unwrap();
        let container = &effect.bootstrapped.as_ref().unwrap().container;
        let networks = attempt.engine.look(container).await.unwrap().networks;
        assert_eq!(networks.len(), 1);
        assert_eq!(
            docker(&["network", "inspect", "-f", "{{.Internal}}", &networks[0]], ""),
            internal
        );
        attempt.test(&effect).await.unwrap();
        attempt.nothing_is_left();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compose_file_surrounds_the_candidate() {
    let image = Image::running("test \"$DB\" = db && echo connected && exec sleep 1000");
    let file = json!({"services": {
        "web": {"build": ".", "environment": {"DB": "db"}, "command": ["sh", "-c", "test $$DB = db && echo as composed && exec sleep 1000"],
            "depends_on": {"db": {"condition": "service_healthy"}, "seed": {"condition": "service_completed_successfully"}}},
        "seed": {"image": BASE, "command": "sh -c 'echo seeded > /data/seed'", "volumes": ["data:/data"]},
        "db": {"image": BASE, "command": "httpd -f -p 80 -h /data", "volumes": ["data:/data"], "depends_on": {"seed": {"condition": "service_completed_successfully"}},
            "healthcheck": {"test": ["CMD", "wget", "-qO", "/dev/null", "http://127.0.0.1/seed"], "interval": "200ms", "retries": 50}},
    }, "volumes": {"data": {}}});
    let mut test = policy(
        log("^as composed$"),
        vec![exec("wget -qO - http://db/seed | grep seeded")],
    );
    test.how = TestSetup::Compose {
        file: "compose.yml".to_owned(),
        service: "web".to_owned(),
    };
    let mut attempt = Attempt::new(Some(test), log("^connected$"));
    attempt.app.env.insert("DB".to_owned(), "db".to_owned());
    let effect = attempt.bootstrap(&image, Some(&file)).await.unwrap();
    assert_eq!(attempt.left().len(), 5, "three containers, a network, a volume");
    attempt.test(&effect).await.unwrap();
    attempt.nothing_is_left();

    let bad = json!({"services": {"web": {"volumes": ["./src:/src"]}}});
    let failure = failure(attempt.bootstrap(&image, Some(&bad)).await);
    assert_eq!(failure.kind, FailureKind::ComposeRefused);
    assert!(
        failure.detail.contains("services.web.volumes[0]: a bind mount"),
        "{failure}"
    );
    attempt.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_only_runs_with_the_tools_does_not_ship() {
    let image = Image::running("if [ -z \"$TESTING_TOOLS\" ]; then echo no tools here; exit 1; fi; exec sleep 1000");
    let attempt = Attempt::new(Some(policy(up(), vec![exec("true")])), up());
    let failure = failure(attempt.both(&image).await);
    assert_eq!(failure.kind, FailureKind::NotReadyInProduction, "{failure}");
    assert_eq!(failure.excerpt, ["no tools here"]);
    attempt.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_tests_the_image_is_started_as_it_ships() {
    let image = Image::running("echo \"env: $NEEDED\"; exec sleep 1000");
    let attempt = Attempt::new(None, log("^env: yes$"));
    let effect = Test {
        image: image.id.parse().unwrap(),
        bootstrapped: None,
    };
    let tested = attempt.test(&effect).await.unwrap();
    assert!(tested.steps.is_empty() && tested.report.is_none());
    attempt.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_leaves_nothing() {
    let image = Image::running("echo waiting; exec sleep 1000");
    // In bootstrap, and in the middle of a step: cancelled by the first line of output.
    for (ready, steps) in [
        (log("never"), Vec::new()),
        (up(), vec![exec("echo waiting for the cancel; sleep 1000")]),
    ] {
        let attempt = Attempt::new(Some(policy(ready, steps)), up());
        let word = if attempt.app.test.as_ref().unwrap().steps.is_empty() {
            "waiting"
        } else {
            "waiting for the cancel"
        };
        let say = |line: &str| {
            if line == word {
                attempt.cancel.cancel();
            }
        };
        let bench = attempt.bench(&say);
        let effect = Bootstrap {
            image: image.id.parse().unwrap(),
        };
        let ended = match bootstrap::perform(&bench, &effect, None).await {
            Ok(bootstrapped) => {
                let effect = Test {
                    image: effect.image,
                    bootstrapped: Some(bootstrapped),
                };
                test::perform(&bench, &effect, &junit).await.map(drop)
            }
            Err(stop) => Err(stop),
        };
        assert_eq!(ended, Err(Stop::Cancelled));
        attempt.nothing_is_left();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_takes_only_what_carries_all_its_labels() {
    let (ours, theirs) = (unique("ours"), unique("theirs"));
    let run = |instance: &str| {
        let label = format!("io.lowtide.instance={instance}");
        docker(&["network", "create", "--label", &label, &unique("net")], "");
        docker(&["volume", "create", "--label", &label], "");
        docker(&["run", "-d", "--label", &label, BASE, "sleep", "1000"], "")
    };
    let (own, other) = (run(&ours), run(&theirs));
    let selector = |instance: &str| vec![("io.lowtide.instance".to_owned(), instance.to_owned())];
    let swept = engine().sweep(&selector(&ours)).await.unwrap();
    assert_eq!((swept.containers, swept.networks, swept.volumes), (1, 1, 1));
    assert!(engine().look(&own).await.is_err());
    assert!(engine().look(&other).await.is_ok());
    assert_eq!(engine().sweep(&selector(&ours)).await.unwrap().containers, 0);
    assert!(engine().sweep(&[]).await.is_err(), "a sweep of everything is refused");
    engine().sweep(&selector(&theirs)).await.unwrap();
}

/// A container made by somebody else; gone with the test.
struct Foreign(String);

impl Foreign {
    fn run(arguments: &[&str], command: &[&str]) -> Self {
        Self(docker(&[&["run", "-d"], arguments, command].concat(), ""))
    }
    async fn ready(&self, check: ReadyCheck, seconds: i64, via: &ProbePath) -> ReadyVerdict {
        let rule = within(check, jiff::SignedDuration::from_secs(seconds));
        let limit = rule.timeout.unsigned_abs();
        engine()
            .ready(&self.0, &rule, limit, via, &CancellationToken::new())
            .await
            .unwrap()
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "-fv", &self.0]).output();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_loop_is_seen_at_once() {
    let looping = Foreign::run(&["--restart", "always"], &[BASE, "false"]);
    let begun = Instant::now();
    let steady = ReadyCheck::Steady {
        stay_up: jiff::SignedDuration::from_secs(50),
    };
    let verdict = looping.ready(steady, 55, &ProbePath::HostView).await;
    assert!(matches!(verdict, ReadyVerdict::Restarting { .. }), "{verdict:?}");
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_checks_are_heard() {
    let healthy = Foreign::run(
        &[
            "--health-cmd",
            "test -e /ok",
            "--health-interval",
            "200ms",
            "--health-retries",
            "100",
        ],
        &[BASE, "sh", "-c", "usleep 300000; touch /ok; sleep 1000"],
    );
    let verdict = healthy.ready(up(), 50, &ProbePath::HostView).await;
    assert!(matches!(verdict, ReadyVerdict::Ready { .. }), "{verdict:?}");

    let sick = Foreign::run(
        &[
            "--health-cmd",
            "echo no database; false",
            "--health-interval",
            "200ms",
            "--health-retries",
            "1",
        ],
        &[BASE, "sleep", "1000"],
    );
    let verdict = sick.ready(ReadyCheck::Healthcheck, 50, &ProbePath::HostView).await;
    assert_eq!(
        verdict,
        ReadyVerdict::Unhealthy {
            last: "no database".to_owned()
        }
    );

    let none = Foreign::run(&[], &[BASE, "sleep", "1000"]);
    let verdict = none.ready(ReadyCheck::Healthcheck, 50, &ProbePath::HostView).await;
    assert!(matches!(verdict, ReadyVerdict::Unhealthy { .. }), "{verdict:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_by_command_and_by_log_with_a_terminal() {
    let container = Foreign::run(
        &["-t"],
        &[
            BASE,
            "sh",
            "-c",
            "usleep 300000; touch /ok; echo ready to serve; sleep 1000",
        ],
    );
    let command = ["sh", "-c", "test -e /ok"].map(ToOwned::to_owned).to_vec();
    let verdict = container
        .ready(ReadyCheck::Exec { command }, 50, &ProbePath::HostView)
        .await;
    assert!(matches!(verdict, ReadyVerdict::Ready { .. }), "{verdict:?}");
    let verdict = container.ready(log("ready to serve$"), 50, &ProbePath::HostView).await;
    assert!(matches!(verdict, ReadyVerdict::Ready { .. }), "{verdict:?}");
    let verdict = container.ready(log("somebody else"), 1, &ProbePath::HostView).await;
    assert_eq!(
        verdict,
        ReadyVerdict::TimedOut {
            last: "no line of its log matches somebody else".to_owned()
        }
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_can_join_the_container() {
    // Stands in for lowtide's own image: the same words, the same answer.
    let image = Image::build(
        "RUN printf '#!/bin/sh\\nwget -S -O /dev/null http://127.0.0.1:$2$3 2>&1 | grep -o \"HTTP/1.[01] [0-9]*\" | tail -n 1 | cut -d \" \" -f 2 | grep .\\n' > /bin/lowtide && chmod +x /bin/lowtide",
    );
    let instance = unique("probe");
    let labels = BTreeMap::from([("io.lowtide.instance".to_owned(), instance.clone())]);
    let via = ProbePath::InContainer {
        image: image.tag.clone(),
        labels,
    };
    let server = Foreign::run(
        &[],
        &[
            BASE,
            "sh",
            "-c",
            "usleep 300000; mkdir /s; echo x > /s/x; httpd -f -p 127.0.0.1:8080 -h /s",
        ],
    );
    let verdict = server.ready(http("/x"), 55, &via).await;
    assert!(matches!(verdict, ReadyVerdict::Ready { .. }), "{verdict:?}");
    let answer = engine()
        .http_beside(&server.0, 8080, "/none", &via, &CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(answer, Ok(404));
    let filter = format!("label=io.lowtide.instance={instance}");
    assert_eq!(docker(&["ps", "-aq", "--filter", &filter], ""), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_in_somebody_elses_container_is_ended_alone() {
    let container = Foreign::run(&[], &[BASE, "sleep", "1000"]);
    let command = ["sh", "-c", "sleep 999 & sleep 998"].map(ToOwned::to_owned);
    let bounds = ExecBounds {
        time: Duration::from_secs(1),
        output: 1 << 20,
        on_limit: OnLimit::KillCommand,
    };
    let cancel = CancellationToken::new();
    let end = engine()
        .exec(&container.0, &command, bounds, &cancel, &mut |_| {})
        .await
        .unwrap();
    assert_eq!(end, ExecEnd::TimedOut);
    let running = docker(&["top", &container.0], "");
    assert!(running.contains("sleep 1000"), "{running}");
    assert!(!running.contains("sleep 99"), "{running}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_left_by_a_command_does_not_hold_it_up() {
    let container = Foreign::run(&[], &[BASE, "sleep", "1000"]);
    let command = ["sh", "-c", "sleep 999 & echo started; exit 5"].map(ToOwned::to_owned);
    let bounds = ExecBounds {
        time: Duration::from_secs(50),
        output: 1 << 20,
        on_limit: OnLimit::KillCommand,
    };
    let mut output = Vec::new();
    let end = engine()
        .exec(&container.0, &command, bounds, &CancellationToken::new(), &mut |b| {
            output.extend_from_slice(b);
        })
        .await
        .unwrap();
    assert_eq!(end, ExecEnd::Exited { code: 5 });
    assert_eq!(output, b"started\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_read_within_bounds() {
    let container = Foreign::run(
        &[],
        &[
            BASE,
            "sh",
            "-c",
            "mkdir -p /a/b; echo 1 > /a/x.xml; echo 2 > /a/b/y.xml; ln -s /etc/passwd /a/z.xml; ln -s /a /link; head -c 2m /dev/zero > /a/big; echo done; sleep 1000",
        ],
    );
    let verdict = container.ready(log("^done$"), 50, &ProbePath::HostView).await;
    assert!(matches!(verdict, ReadyVerdict::Ready { .. }), "{verdict:?}");
    let bounds = |stream| ArchiveBounds { stream, files: 10 };
    let engine = engine();
    let mut table = Vec::new();
    for pattern in [
        "/a/*.xml",
        "/link/*.xml",
        "/a/**/*.xml",
        "/a/x.xml",
        "/a/b",
        "/none/*.xml",
        "/none",
    ] {
        let files = engine.files(&container.0, pattern, bounds(8 << 20)).await.unwrap();
        let mut names: Vec<String> = files.into_iter().map(|f| f.path).collect();
        if names.is_empty() {
            names.push("none".to_owned());
        }
        table.push(format!("{pattern}: {}", names.join(" ")));
    }
    insta::assert_snapshot!(table.join("\n"), @r"
    /a/*.xml: /a/x.xml
    /link/*.xml: /link/x.xml
    /a/**/*.xml: /a/b/y.xml /a/x.xml
    /a/x.xml: /a/x.xml
    /a/b: /a/b/y.xml
    /none/*.xml: none
    /none: none
    ");
    assert!(engine.files(&container.0, "/a/*.xml", bounds(1 << 20)).await.is_err());
}
