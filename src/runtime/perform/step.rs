//! The steps of a rollout, on plain Docker.

use crate::clients::clock;
use crate::clients::engine::connect::Engine;
use crate::clients::engine::error::EngineError;
use crate::clients::engine::probe::ReadyVerdict;
use crate::clients::target::docker::body::{Mark, NewImage};
use crate::clients::target::docker::hook::{HookResult, run_hook};
use crate::clients::target::docker::pull::RegistryAuth;
use crate::clients::target::docker::snapshot::Snapshot;
use crate::clients::target::docker::{create, observe as look, preflight, pull, verbs};
use crate::config::defaults;
use crate::decide::rollout::RolloutState;
use crate::model::failure::{Failure, FailureKind};
use crate::model::fleet::{Ready, ReadyCheck};
use crate::model::rollout::{HookPhase, ObservedUnit, Step, StepOutcome, Unit, Which};
use crate::model::secret::{Secret, masked};
use crate::runtime::bot::{Bot, InForce};
use jiff::SignedDuration;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A busy hook is asked again after this.
const HOOK_RETRY: SignedDuration = SignedDuration::from_mins(5);
/// Lines kept of a container that was taken back.
const LOG_LINES: usize = 200;

/// What is really there.
///
/// # Errors
/// As the engine fails: nothing is known then.
pub async fn observe(bot: &Bot, state: &RolloutState, units: &[Unit]) -> Result<Vec<ObservedUnit>, Failure> {
    let fleet = bot.in_force();
    let engine = fleet.engine(&state.target.host)?;
    look::observe(engine, state.id, units).await.map_err(|e| e.failure())
}

/// Carries out one step; `None` when a wait was broken off because the process ends.
pub async fn perform(
    bot: &Bot,
    state: &RolloutState,
    step: &Step,
    shutdown: &CancellationToken,
) -> Option<StepOutcome> {
    let fleet = bot.in_force();
    let done = match fleet.engine(&state.target.host) {
        Ok(engine) => {
            Stage {
                bot,
                fleet: &fleet,
                engine,
                state,
                shutdown,
            }
            .perform(step)
            .await
        }
        Err(failure) => Err(failure),
    };
    match done {
        Ok(outcome) => Some(masked_outcome(outcome, bot, state)),
        Err(_) if shutdown.is_cancelled() && matches!(step, Step::AwaitReady { .. }) => None,
        Err(failure) => Some(masked_outcome(StepOutcome::Failed { failure }, bot, state)),
    }
}

/// Readiness of a container that served before. It may come from an image without HEALTHCHECK, and was fine so.
fn as_it_was(rule: &Ready) -> Ready {
    let check = match &rule.check {
        ReadyCheck::Healthcheck => ReadyCheck::Steady {
            stay_up: defaults::STAY_UP,
        },
        same @ (ReadyCheck::Steady { .. }
        | ReadyCheck::Http { .. }
        | ReadyCheck::Log { .. }
        | ReadyCheck::Exec { .. }) => same.clone(),
    };
    Ready {
        check,
        timeout: rule.timeout,
    }
}

fn unhealthy(which: Which) -> FailureKind {
    match which {
        Which::New => FailureKind::UnhealthyAfterRoll,
        Which::Old => FailureKind::UnhealthyAfterRevert,
    }
}

/// What a container or a hook wrote goes into the journal and into mails; its secrets stay here.
fn masked_outcome(outcome: StepOutcome, bot: &Bot, state: &RolloutState) -> StepOutcome {
    match outcome {
        StepOutcome::Failed { failure } => StepOutcome::Failed {
            failure: failure.masked(&secrets(bot, state)),
        },
        StepOutcome::Kept { log, exit_code } => {
            let secrets = secrets(bot, state);
            StepOutcome::Kept {
                log: log.iter().map(|line| masked(line, &secrets)).collect(),
                exit_code,
            }
        }
        StepOutcome::Done
        | StepOutcome::Preflighted { .. }
        | StepOutcome::ServicesPreflighted { .. }
        | StepOutcome::Pulled { .. }
        | StepOutcome::Prepulled { .. }
        | StepOutcome::Busy { .. } => outcome,
    }
}

/// A snapshot that cannot be read says nothing here: the step that needs it fails by itself.
fn secrets(bot: &Bot, state: &RolloutState) -> Vec<Secret> {
    let units = state.units.iter().flatten();
    units
        .filter_map(|unit| Snapshot::from_bytes(&bot.sealed.read(&unit.snapshot).ok()?).ok())
        .flat_map(|snapshot| snapshot.secrets())
        .collect()
}

struct Stage<'a> {
    bot: &'a Bot,
    fleet: &'a InForce,
    engine: &'a Engine,
    state: &'a RolloutState,
    shutdown: &'a CancellationToken,
}

impl Stage<'_> {
    async fn perform(&self, step: &Step) -> Result<StepOutcome, Failure> {
        let failed = |e: EngineError| e.failure();
        match step {
            Step::Preflight => return self.preflight().await,
            Step::Service(_) => {}
            Step::Pull => return self.pull().await,
            Step::RunHook { phase, unit, hook } => return self.hook(*phase, *unit, *hook).await,
            Step::CreateCandidate { unit } => self.create(*unit).await?,
            Step::StopOld { container, .. } | Step::StopCandidate { container, .. } => {
                verbs::stop(self.engine, container, self.state.target.stop_timeout)
                    .await
                    .map_err(failed)?;
            }
            Step::SetRestart { container, policy, .. } => {
                verbs::set_restart(self.engine, container, policy)
                    .await
                    .map_err(failed)?;
            }
            Step::Start { container, .. } => verbs::start(self.engine, container).await?,
            Step::AwaitReady {
                container,
                which,
                deadline,
                ..
            } => {
                let within = deadline
                    .duration_since(clock::now())
                    .try_into()
                    .unwrap_or(Duration::ZERO);
                self.await_ready(container, *which, within).await?;
            }
            Step::Rename { container, to, .. } => verbs::rename(self.engine, container, to).await.map_err(failed)?,
            Step::RemoveCandidate { container, .. } | Step::RemoveOld { container, .. } => {
                verbs::remove_container(self.engine, container).await.map_err(failed)?;
            }
            Step::KeepLog { container, .. } => {
                let log = verbs::log_tail(self.engine, container, LOG_LINES)
                    .await
                    .map_err(failed)?;
                let exit_code = verbs::exit_code(self.engine, container).await.map_err(failed)?;
                return Ok(StepOutcome::Kept { log, exit_code });
            }
        }
        Ok(StepOutcome::Done)
    }

    async fn preflight(&self) -> Result<StepOutcome, Failure> {
        let found = preflight::preflight(self.engine, &self.state.target).await?;
        for warning in &found.warnings {
            tracing::warn!(%warning, "stays behind in the old container");
        }
        // Sealed before the journal names them: an event never points at a snapshot that is not there.
        for snapshot in &found.snapshots {
            self.bot
                .sealed
                .keep(snapshot)
                .map_err(|e| Failure::new(FailureKind::Invariant, format!("the snapshot cannot be kept: {e}")))?;
        }
        Ok(StepOutcome::Preflighted { units: found.units })
    }

    async fn pull(&self) -> Result<StepOutcome, Failure> {
        let release = &self.state.release;
        let host = &release.reference.repository.registry;
        let login = match release.digest {
            Some(_) => self.fleet.credentials.login(host).await?,
            None => None,
        };
        let auth = login.map(|(username, password)| RegistryAuth { username, password });
        let image = pull::pull(self.engine, release, auth.as_ref()).await?;
        Ok(StepOutcome::Pulled { image })
    }

    async fn create(&self, index: usize) -> Result<(), Failure> {
        let unit = self.unit(index)?;
        let snapshot = self
            .bot
            .sealed
            .read(&unit.snapshot)
            .map_err(|e| Failure::new(FailureKind::Invariant, format!("the snapshot cannot be read: {e}")))?;
        let id = self.state.image.as_ref().unwrap_or(&self.state.release.image);
        let reference = self.state.release.reference.to_string();
        let image = NewImage {
            reference: &reference,
            id,
        };
        let term = u64::try_from(self.bot.store.term()).unwrap_or_default();
        let mark = Mark {
            rollout: self.state.id,
            unit: index,
            instance: &self.bot.instance,
            term,
        };
        create::create_candidate(self.engine, unit, &snapshot, &image, &mark).await?;
        Ok(())
    }

    async fn hook(&self, phase: HookPhase, unit: usize, hook: usize) -> Result<StepOutcome, Failure> {
        let hooks = match phase {
            HookPhase::Before => &self.state.target.before,
            HookPhase::After => &self.state.target.after,
        };
        let policy = hooks
            .get(hook)
            .ok_or_else(|| Failure::new(FailureKind::Invariant, "no such hook"))?;
        // The one that serves now: old before the switch, new (under the same name) after it.
        let container = match phase {
            HookPhase::Before => self.unit(unit)?.old.clone(),
            HookPhase::After => self.unit(unit)?.name.clone(),
        };
        let shown = policy.command.join(" ");
        let timeout = policy.timeout.unsigned_abs();
        let result = run_hook(self.engine, &container, &policy.command, timeout)
            .await
            .map_err(|e| e.failure())?;
        match result {
            HookResult::Passed => Ok(StepOutcome::Done),
            HookResult::Busy => Ok(StepOutcome::Busy {
                retry: clock::now() + HOOK_RETRY,
            }),
            HookResult::Failed { code, output } => {
                let detail = format!("`{shown}` exited with code {code}");
                Err(Failure::new(FailureKind::HookFailed, detail).with_excerpt(output))
            }
            HookResult::TimedOut { output } => {
                let detail = format!("`{shown}` did not end within {} s", timeout.as_secs());
                Err(Failure::new(FailureKind::HookFailed, detail).with_excerpt(output))
            }
        }
    }

    async fn await_ready(&self, container: &str, which: Which, within: Duration) -> Result<(), Failure> {
        let rule = match which {
            Which::New => self.state.target.ready.clone(),
            Which::Old => as_it_was(&self.state.target.ready),
        };
        let verdict = self
            .engine
            .ready(container, &rule, within, &self.bot.via, self.shutdown)
            .await
            .map_err(|e| e.failure())?;
        let log = || verbs::log_tail(self.engine, container, Failure::EXCERPT_LINES);
        let (kind, detail) = match verdict {
            ReadyVerdict::Ready { .. } => return Ok(()),
            ReadyVerdict::Exited { code, oom, error } => {
                let kind = if oom {
                    FailureKind::OutOfMemory
                } else {
                    FailureKind::ContainerExited
                };
                (kind, format!("exited with code {code} {error}").trim_end().to_owned())
            }
            ReadyVerdict::Restarting { count } => (FailureKind::Restarting, format!("restarted {count} times")),
            ReadyVerdict::Unhealthy { last } => (unhealthy(which), format!("unhealthy: {last}")),
            ReadyVerdict::TimedOut { last } => (
                unhealthy(which),
                format!("not ready within {} s: {last}", within.as_secs()),
            ),
            ReadyVerdict::Cancelled => (FailureKind::Invariant, "the wait was cancelled".to_owned()),
        };
        let which = match which {
            Which::Old => "the old container",
            Which::New => "the new container",
        };
        // A log that cannot be read takes nothing from the verdict.
        let lines = log().await.unwrap_or_default();
        Err(Failure::new(kind, format!("{which} {detail}")).with_excerpt(lines))
    }

    fn unit(&self, index: usize) -> Result<&Unit, Failure> {
        self.state
            .units
            .as_ref()
            .and_then(|units| units.get(index))
            .ok_or_else(|| Failure::new(FailureKind::Invariant, format!("the rollout has no unit {index}")))
    }
}
