//! The steps of a test, in its containers one after the other, and the tester beside them.

use super::environment::{Stop, TestEnvironment};
use super::ready::{self, Role};
use super::reports::{self, FILES, ParseReport, Wanted, tests_failed};
use super::stack::copy;
use super::stage_log::StageLog;
use super::{room, writes};
use crate::clients::engine::archive::ArchiveError;
use crate::clients::engine::error::disk_full;
use crate::clients::engine::exec::{ExecBounds, ExecEnd, OnLimit};
use jiff::SignedDuration;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::policy::{Ready, ReadyCheck, StepAction, TestPolicy, TestStep, Tester};
use lowtide_model::stages::bootstrap::Bootstrapped;
use lowtide_model::stages::test::{StepResult, TestReport};
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

/// 128 + SIGKILL.
const KILLED: i64 = 137;

/// One walk through the steps.
pub(super) struct Steps<'a> {
    environment: &'a TestEnvironment<'a>,
    policy: &'a TestPolicy,
    bootstrapped: &'a Bootstrapped,
    /// The work tree of the commit, where a step copies from it.
    tree: Option<&'a Path>,
    deadline: Instant,
    /// Bytes the steps may still write.
    output: u64,
    parse: ParseReport,
}

/// One step on its way.
struct Step<'a> {
    words: String,
    container: &'a str,
    role: Role,
    deadline: Instant,
    /// `None`: the test's own limit comes first.
    own_limit: Option<SignedDuration>,
}

impl<'a> Steps<'a> {
    pub(super) fn new(
        environment: &'a TestEnvironment<'a>,
        policy: &'a TestPolicy,
        bootstrapped: &'a Bootstrapped,
        tree: Option<&'a Path>,
        parse: ParseReport,
    ) -> Self {
        Self {
            environment,
            policy,
            bootstrapped,
            tree,
            deadline: Instant::now() + policy.timeout.unsigned_abs(),
            output: policy.limits.output,
            parse,
        }
    }

    /// What each step took, and what the reports of the container and the tester say together.
    ///
    /// # Errors
    /// The first step that fails.
    pub(super) async fn walk(&mut self, log: &mut StageLog<'_>) -> Result<(Vec<StepResult>, Option<TestReport>), Stop> {
        let mut results = Vec::new();
        let policy = self.policy;
        for step in &policy.steps {
            self.environment.go_on()?;
            let begun = Instant::now();
            let here = self.step(step)?;
            log.note(&here.words);
            match &step.action {
                StepAction::Exec { command } => self.exec(&here, command, log).await?,
                StepAction::Restart => self.restart(&here, log).await?,
                StepAction::Http { port, path, status } => self.http(&here, *port, path, *status).await?,
                StepAction::Wait(ready) => self.wait(&here, ready, log).await?,
                StepAction::CopyIn { from, to } => self.copy_in(&here, from, to).await?,
                StepAction::CopyOut { from, to } => self.copy_out(&here, from, to).await?,
            }
            results.push(result(here.words, begun));
        }
        let own = reports::report(self.environment, self.own_files(), self.parse).await?;
        if let Some(report) = own.as_ref().filter(|report| report.failed_count > 0) {
            return Err(tests_failed("every step passed", Some(report), log.tail()).into());
        }
        let (Some(tester), Some(id)) = (&policy.tester, &self.bootstrapped.tester) else {
            return Ok((results, own));
        };
        self.environment.go_on()?;
        let begun = Instant::now();
        log.note("the tester");
        let outside = self.tester(tester, id, log).await?;
        results.push(result("the tester".to_owned(), begun));
        Ok((results, reports::together(own, outside)))
    }

    /// Also after a failure: that is when artefacts are wanted.
    pub(super) async fn store_artefacts(&self, log: &mut StageLog<'_>) {
        reports::store_artefacts(self.environment, self.own_files(), log).await;
        if let (Some(tester), Some(id)) = (&self.policy.tester, &self.bootstrapped.tester) {
            reports::store_artefacts(self.environment, of_tester(tester, id), log).await;
        }
    }

    fn own_files(&self) -> Wanted<'a> {
        Wanted {
            container: &self.bootstrapped.container,
            junit: self.policy.junit.as_deref(),
            artefacts: &self.policy.artefacts,
            folder: "",
        }
    }

    fn step(&self, step: &TestStep) -> Result<Step<'a>, Failure> {
        let bootstrapped = self.bootstrapped;
        let (container, role) = match &step.service {
            None => (&bootstrapped.container, Role::Tools),
            Some(name) => {
                // Checked before anything was built.
                let unknown = || Failure::new(FailureKind::Invariant, format!("a step in {name}, which does not run"));
                let id = bootstrapped.services.get(name).ok_or_else(unknown)?;
                let is_tested = *id == bootstrapped.container;
                (
                    id,
                    if is_tested {
                        Role::Tools
                    } else {
                        Role::Sidecar(name.clone())
                    },
                )
            }
        };
        let own = step.timeout.map(|limit| (Instant::now() + limit.unsigned_abs(), limit));
        let own = own.filter(|(deadline, _)| *deadline < self.deadline);
        Ok(Step {
            words: describe(step),
            container,
            role,
            deadline: own.map_or(self.deadline, |(deadline, _)| deadline),
            own_limit: own.map(|(_, limit)| limit),
        })
    }

    async fn exec(&mut self, here: &Step<'_>, command: &[String], log: &mut StageLog<'_>) -> Result<(), Stop> {
        let bounds = ExecBounds {
            time: here.left(),
            output: self.output,
            on_limit: OnLimit::KillContainer,
        };
        let mut wrote = 0u64;
        let mut sink = |bytes: &[u8]| {
            wrote += bytes.len() as u64;
            log.write(bytes);
        };
        let engine = self.environment.engine;
        let run = engine.exec(here.container, command, bounds, self.environment.cancel, &mut sink);
        let ended = tokio::select! {
            ended = run => Ok(ended),
            failure = writes::too_much(self.environment, here.container) => Err(failure),
        };
        self.output = self.output.saturating_sub(wrote);
        let ended = match ended {
            Ok(ended) => ended,
            Err(failure) => {
                // Killed here and not in `too_much`: otherwise the select would see the command end first.
                engine.kill_own(here.container).await?;
                return Err(failure.with_excerpt(log.tail()).into());
            }
        };
        let failure = match ended {
            Ok(ExecEnd::Exited { code: 0 }) => return Ok(()),
            Ok(ExecEnd::Cancelled) => return Err(Stop::Cancelled),
            Ok(ExecEnd::Exited { code }) => return Err(self.failed(here, code, log).await?.into()),
            Ok(ExecEnd::TimedOut) => self.timed_out(here),
            Ok(ExecEnd::Flooded) => Failure::new(
                FailureKind::TestOutputFlood,
                format!(
                    "{}: the steps wrote more than {} bytes",
                    here.words, self.policy.limits.output
                ),
            ),
            // The container was not running when the step was to begin.
            Err(error) => match self.died(here.container, &here.role).await? {
                Some(failure) => return Err(failure.into()),
                None => return Err(error.into()),
            },
        };
        Err(failure.with_excerpt(log.tail()).into())
    }

    async fn restart(&self, here: &Step<'_>, log: &mut StageLog<'_>) -> Result<(), Stop> {
        self.environment.engine.restart_own(here.container).await?;
        let rule = match &here.role {
            Role::Tools | Role::Production | Role::Tester => self.policy.ready.clone(),
            Role::Sidecar(_) => Ready {
                check: ReadyCheck::DEFAULT,
                timeout: self.policy.ready.timeout,
            },
        };
        let within = ready::patience(self.environment, here.container, &rule)
            .await?
            .min(here.left());
        let ready = ready::wait(self.environment, here.container, &here.role, &rule, within, log).await;
        self.in_time(here, ready).await
    }

    async fn wait(&self, here: &Step<'_>, rule: &Ready, log: &mut StageLog<'_>) -> Result<(), Stop> {
        let within = rule.timeout.unsigned_abs().min(here.left());
        let ready = ready::within(self.environment, here.container, &here.role, rule, within, log).await;
        self.in_time(here, ready).await
    }

    /// A container that was not ready because the step or the test had no more time is not to blame.
    async fn in_time(&self, here: &Step<'_>, ready: Result<Duration, Stop>) -> Result<(), Stop> {
        let failure = match ready {
            Ok(_) => return Ok(()),
            Err(Stop::Failed(failure)) if here.left().is_zero() => failure,
            Err(stop) => return Err(stop),
        };
        let failure = match self.died(here.container, &here.role).await? {
            Some(_) => failure,
            None => self.timed_out(here).with_excerpt(failure.excerpt),
        };
        Err(failure.into())
    }

    async fn http(&self, here: &Step<'_>, port: u16, path: &str, status: u16) -> Result<(), Stop> {
        let environment = self.environment;
        let request = environment
            .engine
            .http_beside(here.container, port, path, environment.via, environment.cancel);
        let Ok(result) = tokio::time::timeout(here.left(), request).await else {
            return Err(self.timed_out(here).into());
        };
        let result = result?;
        environment.go_on()?;
        let outcome = match result {
            Ok(got) if got == status => return Ok(()),
            Ok(got) => got.to_string(),
            Err(why) => why,
        };
        if let Some(failure) = self.died(here.container, &here.role).await? {
            return Err(failure.into());
        }
        let log = ready::excerpt(environment, here.container).await;
        let detail = format!("{}: the answer was {outcome}", here.words);
        Err(Failure::new(FailureKind::TestFailed, detail).with_excerpt(log).into())
    }

    async fn copy_in(&self, here: &Step<'_>, from: &str, to: &str) -> Result<(), Stop> {
        let Some(tree) = self.tree else {
            return Err(Failure::new(FailureKind::Invariant, "a step copies without a work tree").into());
        };
        let copied = copy::copy_in(self.environment, here.container, tree, (from, to));
        match tokio::time::timeout(here.left(), copied).await {
            Ok(copied) => copied,
            Err(_) => Err(self.timed_out(here).into()),
        }
    }

    async fn copy_out(&self, here: &Step<'_>, from: &str, to: &str) -> Result<(), Stop> {
        let failed = |why: String| Failure::new(FailureKind::TestFailed, format!("{}: {why}", here.words));
        let read = self.environment.engine.files(here.container, from, FILES);
        let Ok(read) = tokio::time::timeout(here.left(), self.environment.unless_cancelled(read)).await else {
            return Err(self.timed_out(here).into());
        };
        let mut files = match read? {
            Ok(files) => files,
            Err(ArchiveError::Engine(e)) => return Err(e.into()),
            Err(e) => return Err(failed(e.to_string()).into()),
        };
        if files.is_empty() {
            return Err(failed(format!("no file matches {from}")).into());
        }
        let wild = from.find(['*', '?', '[', '{']).unwrap_or(from.len());
        let folder = from[..wild].rfind('/').map_or("", |slash| &from[..slash]);
        for file in &mut files {
            file.path = match file.path.strip_prefix(from.trim_end_matches('/')) {
                Some(rest) => format!("{to}{rest}"),
                None => format!("{to}/{}", file.path.strip_prefix(folder).unwrap_or(&file.path)),
            };
        }
        Ok(reports::store_all(self.environment, "", files).await?)
    }

    /// Its end is the verdict.
    async fn tester(&self, tester: &Tester, id: &str, log: &mut StageLog<'_>) -> Result<Option<TestReport>, Stop> {
        let environment = self.environment;
        let left = self.deadline.saturating_duration_since(Instant::now());
        let within = tester.timeout.map_or(left, |own| left.min(own.unsigned_abs()));
        let rule = Ready {
            check: ReadyCheck::Exit { code: 0 },
            timeout: SignedDuration::try_from(within).unwrap_or(SignedDuration::MAX),
        };
        let wanted = of_tester(tester, id);
        let failure = match ready::start(environment, id, &Role::Tester, &rule, log).await {
            Ok(_) => {
                let report = reports::report(environment, wanted, self.parse).await?;
                return match report.as_ref().filter(|report| report.failed_count > 0) {
                    Some(failed) => Err(tests_failed("the tester exited with 0", Some(failed), log.tail()).into()),
                    None => Ok(report),
                };
            }
            Err(Stop::Failed(failure)) => failure,
            Err(Stop::Cancelled) => return Err(Stop::Cancelled),
        };
        if failure.kind != FailureKind::TestFailed {
            return Err(failure.into());
        }
        // What it tests may have ended: that is the better reason.
        if let Some(died) = self.died(&self.bootstrapped.container, &Role::Tools).await? {
            return Err(died.into());
        }
        // The exit code is the verdict; a missing or broken report does not change it.
        let report = reports::report(environment, wanted, self.parse)
            .await
            .unwrap_or_default();
        Err(tests_failed(&failure.detail, report.as_ref(), log.tail()).into())
    }

    /// Why a command ended with another code than 0.
    async fn failed(&self, here: &Step<'_>, code: i64, log: &StageLog<'_>) -> Result<Failure, Stop> {
        let (engine, words) = (self.environment.engine, &here.words);
        // When the container's main process ends, its other processes are killed a moment before the engine notes it.
        if code == KILLED {
            let ended = engine.wait_own(here.container, Duration::from_secs(1)).await;
            tracing::debug!(?ended, "a command was killed");
        }
        if let Some(failure) = self.died(here.container, &here.role).await? {
            return Ok(failure.with_excerpt(log.tail()));
        }
        if engine.ran_out_of_memory(here.container).await? {
            let detail = format!("{words} exited with {code}: {}", self.memory());
            return Ok(Failure::new(FailureKind::OutOfMemory, detail).with_excerpt(log.tail()));
        }
        // A "disk full" in the log may belong to what the tests test, so the disk must really be full, too.
        let free = engine.free_space(self.environment.via).await.ok().flatten();
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
        let report = reports::report(self.environment, self.own_files(), self.parse).await;
        Ok(tests_failed(&what, report.unwrap_or_default().as_ref(), log.tail()))
    }

    /// The container itself ended.
    async fn died(&self, container: &str, role: &Role) -> Result<Option<Failure>, Stop> {
        let seen = self.environment.engine.look(container).await?;
        if !seen.ended() {
            return Ok(None);
        }
        let log = ready::excerpt(self.environment, container).await;
        let failure = match role {
            Role::Sidecar(name) => {
                let detail = format!("sidecar {name} exited with {} during the tests", seen.exit_code);
                Failure::new(FailureKind::SidecarFailed, detail)
            }
            Role::Tools | Role::Production | Role::Tester if seen.oom_killed => {
                Failure::new(FailureKind::OutOfMemory, self.memory())
            }
            Role::Tools | Role::Production | Role::Tester => {
                let detail = format!("the container exited with {} during the tests", seen.exit_code);
                Failure::new(FailureKind::ContainerExited, detail)
            }
        };
        Ok(Some(failure.with_excerpt(log)))
    }

    fn memory(&self) -> String {
        format!("its limit is {} MiB", self.policy.limits.memory >> 20)
    }

    fn timed_out(&self, here: &Step<'_>) -> Failure {
        let words = &here.words;
        let detail = match here.own_limit {
            Some(own) => format!("{words}: this step may take {} s", own.as_secs()),
            None => format!(
                "{words}: all steps together may take {} s",
                self.policy.timeout.as_secs()
            ),
        };
        Failure::new(FailureKind::TestTimeout, detail)
    }
}

impl Step<'_> {
    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

fn of_tester<'a>(tester: &'a Tester, id: &'a str) -> Wanted<'a> {
    Wanted {
        container: id,
        junit: tester.junit.as_deref(),
        artefacts: &tester.artefacts,
        folder: "tester",
    }
}

fn result(step: String, begun: Instant) -> StepResult {
    StepResult {
        step,
        took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}

/// As a person would write it.
fn describe(step: &TestStep) -> String {
    let service = step.service.as_deref();
    let within = service.map(|name| format!(" in {name}")).unwrap_or_default();
    let of = service.map(|name| format!("{name}:")).unwrap_or_default();
    match &step.action {
        StepAction::Exec { command } => format!("exec {}{within}", command.join(" ")),
        StepAction::Restart => format!("restart{}", service.map(|name| format!(" {name}")).unwrap_or_default()),
        StepAction::Http { port, path, status } => format!("GET {path} on port {port}{within} answers {status}"),
        StepAction::Wait(_) => format!("wait for {}", service.unwrap_or("the container")),
        StepAction::CopyIn { from, to } => format!("copy {from} to {of}{to}"),
        StepAction::CopyOut { from, to } => format!("copy {of}{from} to the artefacts, as {to}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_described_with_its_service() {
        let step = |action, service: Option<&str>| {
            describe(&TestStep {
                action,
                service: service.map(ToOwned::to_owned),
                timeout: None,
            })
        };
        let exec = || StepAction::Exec {
            command: vec!["bin/x".to_owned(), "-v".to_owned()],
        };
        let get = || StepAction::Http {
            port: 80,
            path: "/".to_owned(),
            status: 200,
        };
        let wait = || {
            StepAction::Wait(Ready {
                check: ReadyCheck::Healthcheck,
                timeout: SignedDuration::from_secs(1),
            })
        };
        let copied = |inside: bool| {
            let (repository, container) = ("a.sql".to_owned(), "/tmp/a.sql".to_owned());
            if inside {
                StepAction::CopyIn {
                    from: repository,
                    to: container,
                }
            } else {
                StepAction::CopyOut {
                    from: container,
                    to: repository,
                }
            }
        };
        let all = [None, Some("db")].map(|service| {
            [exec(), StepAction::Restart, get(), wait(), copied(true), copied(false)]
                .map(|action| step(action, service))
                .join("\n")
        });
        insta::assert_snapshot!(all.join("\n"), @"
        exec bin/x -v
        restart
        GET / on port 80 answers 200
        wait for the container
        copy a.sql to /tmp/a.sql
        copy /tmp/a.sql to the artefacts, as a.sql
        exec bin/x -v in db
        restart db
        GET / on port 80 in db answers 200
        wait for db
        copy a.sql to db:/tmp/a.sql
        copy db:/tmp/a.sql to the artefacts, as a.sql
        ");
    }
}
