//! *test*: the repository's own tests inside the candidate, then one start in the mode that ships.

use super::environment::{Stop, TestEnvironment};
use super::hidden::Hidden;
use super::ready::{self, Role};
use super::stage_log::{StageLog, private_file};
use super::{build, launch, room, writes};
use crate::clients::engine::archive::{ArchiveBounds, ArchiveError, ArchivedFile};
use crate::clients::engine::error::{EngineError, disk_full};
use crate::clients::engine::exec::{ExecBounds, ExecEnd, OnLimit};
use lowtide_core::report::words;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::hide::masked;
use lowtide_model::policy::{TestNetwork, TestPolicy, TestSetup, TestStep};
use lowtide_model::secret::Secret;
use lowtide_model::stages::bootstrap::Bootstrapped;
use lowtide_model::stages::test::{StepResult, Test, TestReport, Tested};
use std::io::Write;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

/// Reads one JUnit file.
pub type ParseReport = &'static (dyn Fn(&[u8]) -> Result<TestReport, String> + Send + Sync);

/// Bytes read out of a container for reports or for one artefact pattern, and files stored of it.
const FILES: ArchiveBounds = ArchiveBounds {
    stream: 64 << 20,
    files: 2_000,
};

/// Runs the steps in the container that *bootstrap* left, then starts the image once without the testing tools. Output
/// goes to `test.log` and `production.log`, artefacts to `artefacts/`. Whatever happens, nothing is left on the engine.
///
/// # Errors
/// The first failing step, an unreadable or failing report, or an image that does not become ready as it ships.
pub async fn perform(environment: &TestEnvironment<'_>, effect: &Test, parse: ParseReport) -> Result<Tested, Stop> {
    let done = prove(environment, effect, parse).await;
    environment.clean_up().await;
    match done {
        Ok(tested) => Ok(masked_proof(tested, environment.hidden)),
        Err(stop) => Err(stop.masked(environment.hidden)),
    }
}

/// Masks secrets in commands, in names of tests and in their failure messages.
fn masked_proof(mut tested: Tested, hidden: &Hidden) -> Tested {
    let secrets = hidden.secrets();
    for result in &mut tested.steps {
        result.step = masked(&result.step, &secrets);
    }
    for test in tested.report.iter_mut().flat_map(|report| &mut report.failed) {
        test.name = masked(&test.name, &secrets);
        for line in &mut test.message {
            *line = masked(line, &secrets);
        }
    }
    tested
}

/// Reads the secrets of *bootstrap*'s containers again from the engine: lowtide may have restarted since.
async fn learn(environment: &TestEnvironment<'_>, bootstrapped: &Bootstrapped) -> Result<(), Stop> {
    for id in &bootstrapped.leftovers {
        match environment.engine.environment(id).await {
            Ok(env) => environment.hidden.learn(&env),
            // A network, or a container that is gone: neither writes anything.
            Err(EngineError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// 128 + SIGKILL.
const KILLED: i64 = 137;

async fn prove(environment: &TestEnvironment<'_>, effect: &Test, parse: ParseReport) -> Result<Tested, Stop> {
    let mut steps = Vec::new();
    let mut report = None;
    let mut networks = match (&effect.bootstrapped, environment.policy()) {
        (Some(bootstrapped), Some(policy)) => {
            let container = &bootstrapped.container;
            let seen = environment.engine.look(container).await?;
            learn(environment, bootstrapped).await?;
            let mut log = StageLog::open(environment, "test.log")?;
            let mut test_run = TestRun {
                environment,
                policy,
                container,
                deadline: Instant::now() + policy.timeout.unsigned_abs(),
                output: policy.limits.output,
                parse,
            };
            let walked = test_run.walk(&mut log).await;
            test_run.store_artefacts(&mut log).await;
            (steps, report) = walked?;
            environment.engine.remove_own(container).await?;
            // Those of the test itself: what ships is not put on a network of the host.
            let is_own = |network: &String| bootstrapped.leftovers.contains(network);
            seen.networks.into_iter().filter(is_own).collect()
        }
        (None, _) | (Some(_), None) => Vec::new(),
    };
    let production_ready_ms = if effect.starts {
        if networks.is_empty() {
            networks.push(launch::network(environment, "test", TestNetwork::Egress).await?);
        }
        Some(as_it_ships(environment, effect, &networks).await?)
    } else {
        (environment.say)(words::NOT_STARTED);
        None
    };
    Ok(Tested {
        steps,
        report,
        production_ready_ms,
    })
}

/// The mode that ships: the test environment is off, the sidecars are still there.
async fn as_it_ships(environment: &TestEnvironment<'_>, effect: &Test, networks: &[String]) -> Result<u64, Stop> {
    environment.go_on()?;
    let mut log = StageLog::open(environment, "production.log")?;
    log.note("the image as it ships, without the testing tools");
    // In a stack of the repository its name may be another service's.
    let aliases = match environment.policy().map(|test| &test.how) {
        Some(TestSetup::Compose(_)) => Vec::new(),
        Some(TestSetup::Sidecars(_)) | None => vec![environment.app.name.as_str().to_owned()],
    };
    let (network, others) = networks
        .split_first()
        .map_or(("none", &[][..]), |(first, rest)| (first, rest));
    let spec = launch::production(environment, effect.image.as_str(), network, aliases);
    let created = environment.create(&spec).await;
    let container = created.map_err(|e| ready::not_created(&Role::Production, &e))?;
    for network in others {
        environment
            .engine
            .connect_container(network, &container, &[], &[])
            .await?;
    }
    let after = ready::start(
        environment,
        &container,
        &Role::Production,
        &environment.app.ready,
        &mut log,
    )
    .await?;
    Ok(millis(after))
}

/// One walk through the steps.
struct TestRun<'a> {
    environment: &'a TestEnvironment<'a>,
    policy: &'a TestPolicy,
    container: &'a str,
    deadline: Instant,
    /// Bytes the steps may still write.
    output: u64,
    parse: ParseReport,
}

impl TestRun<'_> {
    async fn walk(&mut self, log: &mut StageLog<'_>) -> Result<(Vec<StepResult>, Option<TestReport>), Stop> {
        let mut results = Vec::new();
        for step in &self.policy.steps {
            self.environment.go_on()?;
            let words = describe(step);
            log.note(&words);
            let begun = Instant::now();
            match step {
                TestStep::Exec { command } => self.exec(&words, command, log).await?,
                TestStep::Restart => self.restart(log).await?,
                TestStep::Http { port, path, status } => self.http(&words, *port, path, *status).await?,
            }
            results.push(StepResult {
                step: words,
                took_ms: millis(begun.elapsed()),
            });
        }
        let report = self.report().await?;
        if let Some(report) = report.as_ref().filter(|r| r.failed_count > 0) {
            return Err(tests_failed("every step passed", Some(report), log.tail()).into());
        }
        Ok((results, report))
    }

    async fn exec(&mut self, words: &str, command: &[String], log: &mut StageLog<'_>) -> Result<(), Stop> {
        let bounds = ExecBounds {
            time: self.left(),
            output: self.output,
            on_limit: OnLimit::KillContainer,
        };
        let mut wrote = 0u64;
        let mut sink = |bytes: &[u8]| {
            wrote += bytes.len() as u64;
            log.write(bytes);
        };
        let run = self
            .environment
            .engine
            .exec(self.container, command, bounds, self.environment.cancel, &mut sink);
        let ended = tokio::select! {
            ended = run => Ok(ended),
            failure = writes::too_much(self.environment, self.container) => Err(failure),
        };
        self.output = self.output.saturating_sub(wrote);
        let ended = match ended {
            Ok(ended) => ended,
            Err(failure) => {
                // Killed here and not in `too_much`: otherwise the select would see the command end first.
                self.environment.engine.kill_own(self.container).await?;
                return Err(failure.with_excerpt(log.tail()).into());
            }
        };
        let failure = match ended {
            Ok(ExecEnd::Exited { code: 0 }) => return Ok(()),
            Ok(ExecEnd::Cancelled) => return Err(Stop::Cancelled),
            Ok(ExecEnd::Exited { code }) => return Err(self.failed(words, code, log).await?.into()),
            Ok(ExecEnd::TimedOut) => self.timed_out(words),
            Ok(ExecEnd::Flooded) => Failure::new(
                FailureKind::TestOutputFlood,
                format!("{words}: the steps wrote more than {} bytes", self.policy.limits.output),
            ),
            // The container was not running when the step was to begin.
            Err(error) => match self.died().await? {
                Some(failure) => return Err(failure.into()),
                None => return Err(error.into()),
            },
        };
        Err(failure.with_excerpt(log.tail()).into())
    }

    async fn restart(&self, log: &mut StageLog<'_>) -> Result<(), Stop> {
        self.environment.engine.restart_own(self.container).await?;
        let own = ready::patience(self.environment, self.container, &self.policy.ready).await?;
        let left = self.left();
        let within = own.min(left);
        match ready::wait(
            self.environment,
            self.container,
            &Role::Tools,
            &self.policy.ready,
            within,
            log,
        )
        .await
        {
            Ok(_) => Ok(()),
            Err(Stop::Failed(failure))
                if failure.kind == FailureKind::NotReady && left < own && self.left().is_zero() =>
            {
                Err(self.timed_out("restart").with_excerpt(failure.excerpt).into())
            }
            Err(stop) => Err(stop),
        }
    }

    async fn http(&self, words: &str, port: u16, path: &str, status: u16) -> Result<(), Stop> {
        let result = self
            .environment
            .engine
            .http_beside(
                self.container,
                port,
                path,
                self.environment.via,
                self.environment.cancel,
            )
            .await?;
        self.environment.go_on()?;
        let outcome = match result {
            Ok(got) if got == status => return Ok(()),
            Ok(got) => got.to_string(),
            Err(why) => why,
        };
        if let Some(failure) = self.died().await? {
            return Err(failure.into());
        }
        let log = ready::excerpt(self.environment, self.container).await;
        let detail = format!("{words}: the answer was {outcome}");
        Err(Failure::new(FailureKind::TestFailed, detail).with_excerpt(log).into())
    }

    /// Why a command ended with another code than 0.
    async fn failed(&self, words: &str, code: i64, log: &StageLog<'_>) -> Result<Failure, Stop> {
        // When the container's main process ends, its other processes are killed a moment before the engine notes it.
        if code == KILLED {
            let ended = self
                .environment
                .engine
                .wait_own(self.container, Duration::from_secs(1))
                .await;
            tracing::debug!(?ended, "a command was killed");
        }
        if let Some(failure) = self.died().await? {
            return Ok(failure.with_excerpt(log.tail()));
        }
        if self.environment.engine.ran_out_of_memory(self.container).await? {
            let detail = format!("{words} exited with {code}: {}", self.memory());
            return Ok(Failure::new(FailureKind::OutOfMemory, detail).with_excerpt(log.tail()));
        }
        // A "disk full" in the log may belong to what the tests test, so the disk must really be full, too.
        let free = self
            .environment
            .engine
            .free_space(self.environment.via)
            .await
            .ok()
            .flatten();
        if free.is_some_and(|free| free < room::LAST) && log.tail().iter().any(|line| disk_full(line)) {
            let detail = format!("{words} exited with {code} on a full disk of the build host");
            return Ok(Failure::new(FailureKind::DiskFull, detail).with_excerpt(log.tail()));
        }
        let what = match code {
            126 => format!("{words} cannot be executed (126)"),
            127 => format!("{words}: a command was not found (127)"),
            _ => format!("{words} exited with {code}"),
        };
        // The exit code is the verdict; a missing or broken report does not change it.
        let report = self.report().await.unwrap_or_default();
        Ok(tests_failed(&what, report.as_ref(), log.tail()))
    }

    /// The container itself ended.
    async fn died(&self) -> Result<Option<Failure>, Stop> {
        let seen = self.environment.engine.look(self.container).await?;
        if !seen.ended() {
            return Ok(None);
        }
        let log = ready::excerpt(self.environment, self.container).await;
        let failure = if seen.oom_killed {
            Failure::new(FailureKind::OutOfMemory, self.memory())
        } else {
            let detail = format!("the container exited with {} during the tests", seen.exit_code);
            Failure::new(FailureKind::ContainerExited, detail)
        };
        Ok(Some(failure.with_excerpt(log)))
    }

    fn memory(&self) -> String {
        format!("its limit is {} MiB", self.policy.limits.memory >> 20)
    }

    fn timed_out(&self, words: &str) -> Failure {
        let detail = format!(
            "{words}: all steps together may take {} s",
            self.policy.timeout.as_secs()
        );
        Failure::new(FailureKind::TestTimeout, detail)
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// `None`: no JUnit files are requested.
    async fn report(&self) -> Result<Option<TestReport>, Stop> {
        let Some(pattern) = &self.policy.junit else {
            return Ok(None);
        };
        let invalid = |detail: String| Failure::new(FailureKind::TestReportInvalid, detail);
        let read = self.environment.engine.files(self.container, pattern, FILES);
        let files = match self.environment.unless_cancelled(read).await? {
            Ok(files) => files,
            Err(ArchiveError::Engine(e)) => return Err(e.into()),
            Err(e) => return Err(invalid(e.to_string()).into()),
        };
        if files.is_empty() {
            return Err(invalid(format!("no file matches {pattern}")).into());
        }
        let parse = self.parse;
        let parsed = build::aside(move || {
            let mut whole = TestReport::default();
            for file in files {
                let invalid =
                    |why: String| Failure::new(FailureKind::TestReportInvalid, format!("{}: {why}", file.path));
                add(&mut whole, parse(&file.bytes).map_err(invalid)?);
            }
            Ok(whole)
        });
        let whole = parsed.await?;
        if whole.passed + whole.failed_count + whole.skipped == 0 {
            return Err(invalid(format!("{pattern}: not one test was run")).into());
        }
        Ok(Some(whole))
    }

    /// Best effort, and also after a failure: that is when artefacts are wanted.
    async fn store_artefacts(&self, log: &mut StageLog<'_>) {
        for pattern in self.policy.artefacts.iter().chain(&self.policy.junit) {
            let read = self.environment.engine.files(self.container, pattern, FILES);
            let Ok(files) = self.environment.unless_cancelled(read).await else {
                return;
            };
            let (folder, secrets) = (
                self.environment.work.join("artefacts"),
                self.environment.hidden.secrets(),
            );
            let stored = match files {
                Ok(files) => {
                    let store_all = move || files.iter().try_for_each(|file| store(&folder, file, &secrets));
                    build::aside(move || store_all().map_err(|e| Failure::local("an artefact", &e))).await
                }
                Err(error) => Err(Failure::new(FailureKind::TestReportInvalid, error.to_string())),
            };
            if let Err(failure) = stored {
                log.note(&format!("{pattern} was not kept: {}", failure.detail));
            }
        }
    }
}

/// As a person would write it.
fn describe(step: &TestStep) -> String {
    match step {
        TestStep::Exec { command } => format!("exec {}", command.join(" ")),
        TestStep::Restart => "restart".to_owned(),
        TestStep::Http { port, path, status } => format!("GET {path} on port {port} answers {status}"),
    }
}

fn add(whole: &mut TestReport, part: TestReport) {
    whole.passed += part.passed;
    whole.skipped += part.skipped;
    whole.failed_count += part.failed_count;
    let room = TestReport::NAMES.saturating_sub(whole.failed.len());
    whole.failed.extend(part.failed.into_iter().take(room));
}

/// Names first, with the first lines of their messages as far as there is room, then as much of the log as still fits.
fn tests_failed(what: &str, report: Option<&TestReport>, mut log: Vec<String>) -> Failure {
    let Some(report) = report.filter(|r| r.failed_count > 0) else {
        return Failure::new(FailureKind::TestFailed, what).with_excerpt(log);
    };
    const NAMED: usize = Failure::EXCERPT_LINES / 2;
    let named = report.failed.len().min(NAMED);
    // Every name comes before any message.
    let mut room = NAMED - named;
    let mut lines: Vec<String> = Vec::new();
    for failed in report.failed.iter().take(named) {
        lines.push(format!("failed: {}", failed.name));
        let said = failed.message.len().min(room);
        room -= said;
        lines.extend(failed.message.iter().take(said).map(|line| format!("  {line}")));
    }
    if report.failed_count > named {
        lines.push(format!("and {} more", report.failed_count - named));
    }
    let surplus = (log.len() + lines.len()).saturating_sub(Failure::EXCERPT_LINES);
    log.drain(..surplus.min(log.len()));
    lines.append(&mut log);
    let all = report.passed + report.failed_count + report.skipped;
    let detail = format!("{what}; {} of {all} tests failed", report.failed_count);
    Failure::new(FailureKind::TestFailed, detail).with_excerpt(lines)
}

/// Text is kept without secrets; in anything else a replaced byte would break the file.
fn store(folder: &Path, file: &ArchivedFile, secrets: &[Secret]) -> std::io::Result<()> {
    let inside: PathBuf = Path::new(&file.path)
        .components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .collect();
    let path = folder.join(inside);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut out = private_file(&path)?;
    match std::str::from_utf8(&file.bytes) {
        Ok(text) => out.write_all(masked(text, secrets).as_bytes()),
        Err(_) => out.write_all(&file.bytes),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowtide_model::stages::test::FailedTest;

    fn report(failed: usize) -> TestReport {
        TestReport {
            passed: 3,
            skipped: 1,
            failed: (0..failed.min(TestReport::NAMES))
                .map(|n| FailedTest {
                    name: format!("suite.case{n}"),
                    message: Vec::new(),
                })
                .collect(),
            failed_count: failed,
        }
    }

    #[test]
    fn failing_tests_are_named_before_the_log() {
        let failure = tests_failed(
            "exec /run exited with 1",
            Some(&report(2)),
            vec!["last line".to_owned()],
        );
        insta::assert_snapshot!(failure, @"tests failed: exec /run exited with 1; 2 of 6 tests failed");
        assert_eq!(
            failure.excerpt,
            ["failed: suite.case0", "failed: suite.case1", "last line"]
        );
    }

    #[test]
    fn what_a_failing_test_says_follows_its_name_where_there_is_room() {
        let mut two = report(2);
        two.failed[0].message = vec!["expected 200".to_owned(), "got 500".to_owned()];
        let failure = tests_failed("x", Some(&two), vec!["last line".to_owned()]);
        assert_eq!(
            failure.excerpt,
            [
                "failed: suite.case0",
                "  expected 200",
                "  got 500",
                "failed: suite.case1",
                "last line"
            ]
        );
        let mut many = report(18);
        for failed in &mut many.failed {
            failed.message = vec!["why".to_owned(); FailedTest::LINES];
        }
        let failure = tests_failed("x", Some(&many), Vec::new());
        let names = failure
            .excerpt
            .iter()
            .filter(|line| line.starts_with("failed: "))
            .count();
        assert_eq!((names, failure.excerpt.len()), (18, 20), "{:?}", failure.excerpt);
    }

    #[test]
    fn an_excerpt_never_loses_its_names() {
        let log: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        let failure = tests_failed("x", Some(&report(70)), log);
        assert_eq!(failure.excerpt.len(), Failure::EXCERPT_LINES);
        assert_eq!(failure.excerpt[0], "failed: suite.case0");
        assert_eq!(failure.excerpt[20], "and 50 more");
        assert_eq!(failure.excerpt[39], "99");
    }

    #[test]
    fn reports_add_up_within_bounds() {
        let mut whole = report(40);
        add(&mut whole, report(40));
        assert_eq!(
            (whole.passed, whole.failed_count, whole.failed.len()),
            (6, 80, TestReport::NAMES)
        );
    }

    #[test]
    fn artefacts_stay_in_their_folder() {
        let folder = tempfile::tempdir().unwrap();
        let file = ArchivedFile {
            path: "/../../a/./b.txt".to_owned(),
            bytes: b"x".to_vec(),
        };
        store(folder.path(), &file, &[]).unwrap();
        assert!(folder.path().join("a/b.txt").is_file());
    }
}
