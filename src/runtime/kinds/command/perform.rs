//! The steps of a rollout whose target is a command: a program beside lowtide.

use super::lock::CommandLock;
use super::probe;
use super::process::{self, End, Program};
use crate::clients::{clock, secrets as files};
use crate::runtime::bot::Bot;
use crate::runtime::progress::Progress;
use jiff::{SignedDuration, Timestamp};
use lowtide_core::decide::app_state::Record;
use lowtide_core::decide::rollout::RolloutState;
use lowtide_core::kinds::command::model::{Aim, CommandUnit, Direction, ProbeResult, TargetRecord, TargetRelease};
use lowtide_core::kinds::command::policy::{CommandPolicy, CommandRequest, Probe};
use lowtide_core::kinds::command::step::{CommandOutcome, CommandStep};
use lowtide_core::kinds::track::Ended;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::hide::{masked, secrets_in};
use lowtide_model::image::Reference;
use lowtide_model::local;
use lowtide_model::rollout::Goal;
use lowtide_model::secret::{EnvValue, Secret, secrets_of};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// The only variables a program inherits: lowtide's own environment may hold the secrets of its configuration.
const INHERITED: [&str; 8] = ["PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR"];
/// A command that is busy is run again after this.
const RETRY: SignedDuration = SignedDuration::from_mins(5);
/// The same during a rollback, where a service may be down.
const RETRY_BACK: SignedDuration = SignedDuration::from_mins(1);
/// Timeout of one probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause between probes while waiting for the target to answer.
const PAUSE: Duration = Duration::from_secs(2);
/// Consecutive failed probes after which a baking target counts as failing.
const TIMES: u32 = 3;
/// Pause between those probes.
const AGAIN: Duration = Duration::from_secs(5);

/// How one request of a probe ended.
enum ProbeAttempt {
    Yes,
    /// Why the probe failed.
    No(String),
}

/// Secrets passed to the command, to be masked in its output. One that cannot be read was not passed either.
pub(super) fn secrets(policy: &CommandPolicy) -> Vec<Secret> {
    let named = policy.env.iter().filter_map(|(name, value)| match value {
        EnvValue::Text(text) => Some((name.as_str(), text.as_str())),
        EnvValue::Secret(_) => None,
    });
    let given = secrets_of(&policy.env).filter_map(|(_, secret)| files::read(secret).ok());
    // Output is masked line by line, so each line of a multi-line secret is masked on its own.
    let lines = given.flat_map(|secret| {
        let lines = secret.expose().lines().map(|line| line.trim().to_owned());
        lines.collect::<Vec<_>>()
    });
    secrets_in(named, lines)
}

/// The command of one rollout, and what its steps need.
pub(super) struct Stage<'a> {
    pub(super) bot: &'a Bot,
    pub(super) state: &'a RolloutState,
    pub(super) policy: &'a CommandPolicy,
    /// What the command is to bring the target to; `None`: it has nowhere to go.
    pub(super) aim: Option<Aim>,
    /// The end of what the command wrote on its way to the release.
    pub(super) output: &'a [String],
    pub(super) shutdown: &'a CancellationToken,
}

impl Stage<'_> {
    /// Carries out one step.
    ///
    /// # Errors
    /// As the step failed, or because the process ends.
    pub(super) async fn perform(&self, step: &CommandStep) -> Result<Ended<CommandOutcome>, Failure> {
        match step {
            CommandStep::Preflight => self.preflight().map(well),
            CommandStep::Run { aim } => self.run(aim).await,
            CommandStep::AwaitAnswer { deadline, .. } => self.await_response(*deadline).await.map(well),
        }
    }

    /// Probes the target while it bakes. Only several failures in a row count: one lost packet must not cause a
    /// rollback.
    ///
    /// # Errors
    /// When the probe cannot be run: that says nothing about the target.
    pub(super) async fn look(&self) -> Result<ProbeResult, Failure> {
        let (Some(probe), Some(aim)) = (&self.policy.probe, &self.aim) else {
            return Ok(ProbeResult::NotRun);
        };
        let given = secrets(self.policy);
        let mut said = String::new();
        for time in 1..=TIMES {
            match self.run_probe(probe, aim, PROBE_TIMEOUT).await? {
                ProbeAttempt::Yes => return Ok(ProbeResult::Passes),
                ProbeAttempt::No(why) => said = masked(&why, &given),
            }
            if time < TIMES {
                tokio::time::sleep(AGAIN).await;
            }
        }
        Ok(ProbeResult::Fails { times: TIMES, said })
    }

    /// Checks that the programs and secrets are there, and reads from the app's record the target's last good release
    /// and whether that is certain.
    fn preflight(&self) -> Result<CommandOutcome, Failure> {
        let exec = match self.policy.probe.as_ref().map(|probe| &probe.ask) {
            Some(CommandRequest::Exec { command }) => command.as_slice(),
            Some(CommandRequest::Http { .. }) | None => &[],
        };
        for argv in [&self.policy.run, &self.policy.back, exec] {
            if let Some(program) = argv.first()
                && executable(program).is_none()
            {
                let detail = format!("{program} is not there, or is not executable");
                return Err(Failure::new(FailureKind::CommandMissing, detail));
            }
        }
        for (_, secret) in secrets_of(&self.policy.env) {
            files::read(secret)?;
        }
        let app_state = self.bot.app_state(&self.state.app);
        let known = app_state.targets.get(&self.state.target.name);
        let before = known
            .and_then(|known| app_state.release(known.current?))
            .map(|release| {
                let mut release = release.clone();
                // Named by the repository of this target's channel.
                let repository = &self.state.release.reference.repository;
                release.reference = Reference::tagged(repository, &release.tag);
                TargetRelease::of(&release)
            });
        let record = match known.map(|known| known.record) {
            Some(Record::Doubtful) => TargetRecord::Doubtful,
            Some(Record::Certain) | None => TargetRecord::Certain,
        };
        let command = CommandUnit { before, record };
        Ok(CommandOutcome::Preflighted { command })
    }

    async fn run(&self, aim: &Aim) -> Result<Ended<CommandOutcome>, Failure> {
        let timeout: Duration = self.policy.timeout.try_into().unwrap_or(Duration::ZERO);
        let argv = match (self.policy.back.as_slice(), aim.direction) {
            ([_, ..], Direction::Back) => &self.policy.back,
            (_, _) => &self.policy.run,
        };
        let env = self.environment(aim)?;
        let lock = self
            .bot
            .state
            .join("commands")
            .join(self.state.app.as_str())
            .join(self.state.target.name.as_str());
        let command_lock = tokio::select! {
            command_lock = CommandLock::take(&lock, timeout) => command_lock.map_err(|e| unlocked(&lock, &e))?,
            () = self.shutdown.cancelled() => return Err(interrupted()),
        };
        let secrets = secrets(self.policy);
        let mut say = |line: &str| {
            let line = masked(line, &secrets);
            tracing::debug!(%line, "command");
            self.bot.watchers.publish(Progress::RolloutLine {
                rollout: self.state.id,
                line,
            });
        };
        let program = Program {
            argv,
            env: &env,
            timeout,
            command_lock: Some(&command_lock),
        };
        let ended = process::run(program, &mut say, self.shutdown).await;
        // Mask with the secrets read before the run: the secret files may have changed since.
        let ended = ended.map(|process::Ended { end, output }| process::Ended {
            end,
            output: output.iter().map(|line| masked(line, &secrets)).collect(),
        });
        self.outcome(&argv.join(" "), ended)
    }

    fn outcome(&self, shown: &str, ended: std::io::Result<process::Ended>) -> Result<Ended<CommandOutcome>, Failure> {
        let failed = |kind, detail: String, output: Vec<String>| Err(Failure::new(kind, detail).with_excerpt(output));
        let process::Ended { end, output } = match ended {
            Ok(ended) => ended,
            Err(error) => {
                let detail = format!("`{shown}` could not be started: {error}");
                // The machine is short of processes or memory, or the executable is being written. The program did not
                // run: retry.
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::OutOfMemory | ErrorKind::ExecutableFileBusy
                ) || local::exhausted(&error).is_some()
                {
                    warn!(detail);
                    return Ok(self.later());
                }
                return failed(FailureKind::CommandFailed, detail, Vec::new());
            }
        };
        match end {
            End::Exited { code: 0 } => Ok(well(CommandOutcome::Ran { output })),
            // `EX_TEMPFAIL` of sysexits.h.
            End::Exited { code: 75 } => Ok(self.later()),
            End::Exited { code } => {
                let detail = format!("`{shown}` exited with code {code}");
                failed(FailureKind::CommandFailed, detail, output)
            }
            End::Signalled { signal } => {
                let detail = format!("`{shown}` was ended by signal {signal}");
                failed(FailureKind::CommandFailed, detail, output)
            }
            End::TimedOut => {
                let detail = format!("`{shown}` did not end within {} s", self.policy.timeout.as_secs());
                failed(FailureKind::CommandTimeout, detail, output)
            }
            End::Stopped => Err(interrupted()),
        }
    }

    fn later(&self) -> Ended<CommandOutcome> {
        let pause = match self.state.goal {
            Goal::Forward => RETRY,
            Goal::Back => RETRY_BACK,
        };
        Ended::Busy {
            retry: clock::now() + pause,
        }
    }

    async fn await_response(&self, deadline: Timestamp) -> Result<CommandOutcome, Failure> {
        let (Some(probe), Some(aim)) = (&self.policy.probe, &self.aim) else {
            return Ok(CommandOutcome::Answered);
        };
        let probing = async {
            loop {
                let left = deadline.duration_since(clock::now()).try_into().unwrap_or_default();
                let result = self.run_probe(probe, aim, PROBE_TIMEOUT.min(left)).await;
                let is_late = clock::now() + SignedDuration::from_secs(2) >= deadline;
                match result {
                    Ok(ProbeAttempt::Yes) => return Ok(CommandOutcome::Answered),
                    Ok(ProbeAttempt::No(said)) if is_late => {
                        let detail = format!("for {} s: {said}", probe.timeout.as_secs());
                        let failure = Failure::new(FailureKind::NoAnswer, detail);
                        return Err(failure.with_excerpt(self.output.iter().cloned()));
                    }
                    Err(failure) if is_late => return Err(failure),
                    Ok(ProbeAttempt::No(_)) | Err(_) => {}
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::select! {
            probing = probing => probing,
            () = self.shutdown.cancelled() => Err(interrupted()),
        }
    }

    /// Runs one probe.
    ///
    /// # Errors
    /// When it cannot be asked: `SecretMissing`, `CommandMissing`, `LocalTrouble`.
    async fn run_probe(&self, probe: &Probe, aim: &Aim, limit: Duration) -> Result<ProbeAttempt, Failure> {
        let command = match &probe.ask {
            CommandRequest::Http { url } => {
                let response = probe::get(url, limit).await?;
                return Ok(response.map_or_else(ProbeAttempt::No, |()| ProbeAttempt::Yes));
            }
            CommandRequest::Exec { command } => command,
        };
        let env = self.environment(aim)?;
        let program = Program {
            argv: command,
            env: &env,
            timeout: limit,
            command_lock: None,
        };
        let shown = command.join(" ");
        let ended = process::run(program, &mut |_| {}, self.shutdown).await;
        let process::Ended { end, output } = ended.map_err(|e| {
            let kind = local::exhausted(&e).unwrap_or(FailureKind::CommandMissing);
            Failure::new(kind, format!("`{shown}` could not be started: {e}"))
        })?;
        let last = output.last().map(|line| format!(": {line}")).unwrap_or_default();
        Ok(match end {
            End::Exited { code: 0 } => ProbeAttempt::Yes,
            End::Exited { code } => ProbeAttempt::No(format!("`{shown}` exited with code {code}{last}")),
            End::Signalled { signal } => ProbeAttempt::No(format!("`{shown}` was ended by signal {signal}{last}")),
            End::TimedOut | End::Stopped => {
                ProbeAttempt::No(format!("`{shown}` did not end within {} s{last}", limit.as_secs()))
            }
        })
    }

    /// The complete environment of a command. The `LOWTIDE_` variables come last: the configuration cannot override
    /// them.
    fn environment(&self, aim: &Aim) -> Result<BTreeMap<OsString, OsString>, Failure> {
        let mut env: BTreeMap<OsString, OsString> = INHERITED
            .iter()
            .filter_map(|name| Some((name.into(), std::env::var_os(name)?)))
            .collect();
        let own = files::environment(&self.policy.env)?;
        env.extend(own.into_iter().map(|(name, value)| (name.into(), value.into())));
        let digest = aim.to.digest.as_ref().map(ToString::to_string).unwrap_or_default();
        let from = aim.from.as_ref().map(|from| from.image.clone()).unwrap_or_default();
        let variables = [
            ("LOWTIDE_APP", self.state.app.to_string()),
            ("LOWTIDE_TARGET", self.state.target.name.to_string()),
            ("LOWTIDE_ROLLOUT", self.state.id.to_string()),
            ("LOWTIDE_DIRECTION", aim.direction.as_str().to_owned()),
            ("LOWTIDE_IMAGE", aim.to.image.clone()),
            ("LOWTIDE_DIGEST", digest),
            ("LOWTIDE_TAG", aim.to.tag.clone()),
            ("LOWTIDE_PREVIOUS_IMAGE", from),
        ];
        env.extend(variables.into_iter().map(|(name, value)| (name.into(), value.into())));
        Ok(env)
    }
}

/// The executable file that `program` names. It is started with the `PATH` of lowtide (execvp(3)).
pub(super) fn executable(program: &str) -> Option<PathBuf> {
    let runs = |path: &PathBuf| {
        let meta = std::fs::metadata(path);
        meta.is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(runs);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(runs)
}

fn unlocked(lock: &Path, error: &std::io::Error) -> Failure {
    // A timeout without an OS error code is our own limit on the wait for the lock.
    if error.kind() == ErrorKind::TimedOut && error.raw_os_error().is_none() {
        return Failure::new(FailureKind::CommandTimeout, format!("{}: {error}", lock.display()));
    }
    Failure::local(lock.display(), error)
}

/// Never reported: the next start takes the step up again.
fn interrupted() -> Failure {
    Failure::new(FailureKind::Invariant, "lowtide ends")
}

fn well(outcome: CommandOutcome) -> Ended<CommandOutcome> {
    Ended::Well { outcome }
}
