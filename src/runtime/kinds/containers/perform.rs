//! The steps of a rollout of containers on a plain engine.

use super::body::{Mark, NewImage};
use super::create::Circumstances;
use super::dependencies::Successor;
use super::hook::{HookResult, run_hook};
use super::preflight::Preflight;
use super::snapshot::Snapshot;
use super::tag::LocalTag;
use super::{
    attach, create, dropped, effects, host, observe, preflight, pull, rollback_image, route, tag, verbs, volumes,
};
use crate::clients::clock;
use crate::clients::credentials::denied_with;
use crate::clients::engine::connect::Engine;
use crate::clients::engine::error::EngineError;
use crate::clients::engine::probe::{ProbePath, ReadyVerdict};
use crate::runtime::bot::{Bot, InForce};
use crate::runtime::perform::room;
use crate::runtime::progress::{Progress, Replica};
use jiff::{SignedDuration, Timestamp};
use lowtide_core::decide::rollout::RolloutState;
use lowtide_core::kinds::containers::model::{OnExit, Unit};
use lowtide_core::kinds::containers::order::{Sequence, sequence};
use lowtide_core::kinds::containers::policy::{ContainerSelect, ContainersPolicy};
use lowtide_core::kinds::containers::state::Containers;
use lowtide_core::kinds::containers::step::{ContainerOutcome, ContainerStep, RouteChange};
use lowtide_core::kinds::kind::Kind;
use lowtide_core::kinds::track::Ended;
use lowtide_model::defaults;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::hide::masked;
use lowtide_model::policy::{Ready, ReadyCheck, Unhealthy};
use lowtide_model::rollout::{HookPhase, Part, Which};
use lowtide_model::secret::Secret;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A busy hook is retried after this.
const HOOK_RETRY: SignedDuration = SignedDuration::from_mins(5);
/// How long the log of a deleted container may take to end.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Log lines retained of a container that was rolled back.
const LOG_LINES: usize = 200;

fn until(end: Timestamp) -> Duration {
    end.duration_since(clock::now()).try_into().unwrap_or(Duration::ZERO)
}

/// The readiness rule for an old container. Its image may have no HEALTHCHECK, and it served without one.
fn as_it_was(rule: &Ready) -> Ready {
    match &rule.check {
        ReadyCheck::Healthcheck => steady(rule),
        ReadyCheck::Steady { .. }
        | ReadyCheck::Http { .. }
        | ReadyCheck::Log { .. }
        | ReadyCheck::Exec { .. }
        | ReadyCheck::Exit { .. } => rule.clone(),
    }
}

/// Its own HEALTHCHECK where it has one, else staying up.
fn steady(rule: &Ready) -> Ready {
    let stay_up = match &rule.check {
        ReadyCheck::Steady { stay_up } => *stay_up,
        ReadyCheck::Healthcheck
        | ReadyCheck::Http { .. }
        | ReadyCheck::Log { .. }
        | ReadyCheck::Exec { .. }
        | ReadyCheck::Exit { .. } => defaults::STAY_UP,
    };
    Ready {
        check: ReadyCheck::Steady { stay_up },
        timeout: rule.timeout,
    }
}

fn unhealthy(which: Which) -> FailureKind {
    match which {
        Which::New => FailureKind::UnhealthyAfterRoll,
        Which::Old => FailureKind::UnhealthyAfterRevert,
    }
}

/// The containers of one rollout, and what its steps need.
pub(in crate::runtime) struct Stage<'a> {
    pub(in crate::runtime) bot: &'a Bot,
    pub(in crate::runtime) fleet: &'a InForce,
    pub(in crate::runtime) engine: &'a Engine,
    pub(in crate::runtime) state: &'a RolloutState,
    pub(in crate::runtime) policy: &'a ContainersPolicy,
    pub(in crate::runtime) containers: &'a Containers,
    /// What else is refused of what preflight found.
    pub(in crate::runtime) refuse: &'a (dyn Fn(&Preflight) -> Result<(), Failure> + Send + Sync),
    /// What may not be shown of what the containers write.
    pub(in crate::runtime) secrets: &'a (dyn Fn() -> Vec<Secret> + Send + Sync),
    pub(in crate::runtime) shutdown: &'a CancellationToken,
}

impl Stage<'_> {
    /// Carries out one step.
    ///
    /// # Errors
    /// As the step failed, or because the process ends.
    pub(in crate::runtime) async fn perform(&self, step: &ContainerStep) -> Result<Ended<ContainerOutcome>, Failure> {
        let failed = |e: EngineError| e.failure();
        match step {
            ContainerStep::Preflight => return self.preflight().await,
            ContainerStep::Pull => return self.pull().await,
            ContainerStep::TryOut { unit } => self.try_out(*unit).await?,
            ContainerStep::RunHook { phase, unit, hook } => return self.hook(*phase, *unit, *hook).await,
            ContainerStep::SaveLog { container, .. } => return self.save_log(container).await,
            ContainerStep::CreateCandidate { unit } => self.create(*unit).await?,
            ContainerStep::RecreateOld { unit } => self.recreate_old(*unit).await?,
            ContainerStep::StopOld { unit, container } | ContainerStep::StopCandidate { unit, container } => {
                self.stop(*unit, container).await?;
            }
            ContainerStep::SetRestart { container, policy, .. } => {
                verbs::set_restart(self.engine, container, policy)
                    .await
                    .map_err(failed)?;
            }
            ContainerStep::Start { unit, container, which } => self.start(*unit, container, *which).await?,
            ContainerStep::Restart { unit, container, .. } => self.start(*unit, container, Which::New).await?,
            ContainerStep::AwaitReady {
                unit,
                container,
                which,
                deadline,
            } => self.await_ready(*unit, container, *which, until(*deadline)).await?,
            ContainerStep::Rename { container, to, .. } => {
                verbs::rename(self.engine, container, to).await.map_err(failed)?
            }
            ContainerStep::RemoveCandidate { unit, container } => {
                let old = &self.unit(*unit)?.old;
                let removed = volumes::remove_candidate(self.engine, container, old).await;
                removed.map_err(failed)?;
            }
            ContainerStep::RemoveOld { container, .. } => {
                verbs::remove_container(self.engine, container).await.map_err(failed)?;
            }
            ContainerStep::Attach { unit, container } => {
                let snapshot = self.snapshot(self.unit(*unit)?)?;
                if !attach::attach(self.engine, &snapshot, container).await? {
                    return Ok(well(ContainerOutcome::Unchanged));
                }
            }
            ContainerStep::Route { container, change, .. } => self.route(container, *change).await?,
            ContainerStep::Drain { until: end, .. } => self.drain(until(*end)).await?,
            ContainerStep::RetainImage { unit } => {
                let image = &self.unit(*unit)?.old_image;
                rollback_image::retain(self.engine, image, self.state.id, *unit)
                    .await
                    .map_err(failed)?;
            }
            ContainerStep::DropImage { unit } => rollback_image::let_go(self.engine, self.state.id, *unit)
                .await
                .map_err(failed)?,
            ContainerStep::MoveTag { tag, image, .. } => {
                let meaning = LocalTag {
                    reference: tag.clone(),
                    image: image.clone(),
                };
                tag::point(self.engine, &meaning).await.map_err(failed)?;
            }
        }
        Ok(well(ContainerOutcome::Done))
    }

    async fn stop(&self, unit: usize, container: &str) -> Result<(), Failure> {
        verbs::stop(self.engine, container, self.policy.stop_timeout)
            .await
            .map_err(|e| e.failure())?;
        match self.unit(unit)?.on_exit {
            OnExit::Stays => Ok(()),
            OnExit::Removed => verbs::await_removal(self.engine, container)
                .await
                .map_err(|e| e.failure()),
        }
    }

    async fn start(&self, unit: usize, container: &str, which: Which) -> Result<(), Failure> {
        let unit = self.unit(unit)?;
        match (unit.on_exit, which) {
            (OnExit::Removed, Which::New) => {
                verbs::start_with_log(self.engine, container, Failure::EXCERPT_LINES).await
            }
            (OnExit::Stays, Which::New | Which::Old) | (OnExit::Removed, Which::Old) => {
                verbs::start(self.engine, container).await
            }
        }
    }

    /// Can HTTP readiness be probed from the container's own host? Its address is not valid on any other.
    async fn can_probe_http(&self) -> Result<(), Failure> {
        let http = matches!(self.state.target.ready.check, ReadyCheck::Http { .. });
        if !http || !self.engine.is_remote() {
            return Ok(());
        }
        let host = &self.state.target.host;
        let refused = |why: String| {
            let hint = "use `healthcheck` or `exec`";
            Err(Failure::new(
                FailureKind::PreflightRefused,
                format!("ready.http cannot be checked on {host}: {why}; {hint}"),
            ))
        };
        match &self.bot.via {
            ProbePath::HostView => refused("it is another host, and lowtide runs in no container".to_owned()),
            ProbePath::InContainer { image, .. } => {
                match self.engine.inspect_image(image).await.map_err(|e| e.failure())? {
                    Some(_) => Ok(()),
                    None => refused(format!("lowtide's own image {image} is not there")),
                }
            }
        }
    }

    async fn preflight(&self) -> Result<Ended<ContainerOutcome>, Failure> {
        self.can_probe_http().await?;
        let found = preflight::preflight(self.engine, &self.state.target, self.policy).await?;
        (self.refuse)(&found)?;
        for warning in &found.warnings {
            tracing::warn!(%warning, "found before the rollout");
            self.bot.watchers.publish(Progress::RolloutLine {
                rollout: self.state.id,
                line: warning.clone(),
            });
        }
        // Sealed before the journal names them: an event never points at a snapshot that is not there.
        for snapshot in &found.snapshots {
            self.bot
                .sealed
                .store(snapshot)
                .map_err(|e| e.failure("the snapshot cannot be saved"))?;
        }
        Ok(well(ContainerOutcome::Preflighted { units: found.units }))
    }

    async fn pull(&self) -> Result<Ended<ContainerOutcome>, Failure> {
        let needed = room::for_a_pull(self.fleet.fleet.limits.min_free_disk);
        room::enough_on(self.engine, &self.state.target.host, &self.bot.via, needed).await?;
        let release = &self.state.release;
        let login = match release.digest {
            Some(_) => self.fleet.credentials.login(&release.reference.repository).await?,
            None => None,
        };
        effects::retain_adopted(self).await;
        let pulled = pull::pull(self.engine, release, login.as_ref().map(|found| &found.credential)).await;
        let image = pulled.map_err(|failure| denied_with(login.as_ref(), failure))?;
        let mut snapshots = Vec::new();
        let units = self.containers.units.iter().flatten();
        for unit in units.filter(|unit| unit.part == Part::Release) {
            snapshots.push(Snapshot::read(&self.snapshot(unit)?)?);
        }
        let dropped = dropped::dropped(self.engine, &image, &snapshots)
            .await
            .map_err(|e| e.failure())?;
        for what in &dropped {
            tracing::warn!(%image, "the new image differs from the old one: {what}");
            self.bot.watchers.publish(Progress::RolloutLine {
                rollout: self.state.id,
                line: format!("the new image differs from the old one: {what}"),
            });
        }
        Ok(well(ContainerOutcome::Pulled { image, dropped }))
    }

    async fn try_out(&self, index: usize) -> Result<(), Failure> {
        let unit = self.unit(index)?;
        let snapshot = self.snapshot(unit)?;
        host::try_out(self.engine, unit, &snapshot, &self.bot.instance, self.state.id).await
    }

    async fn create(&self, index: usize) -> Result<(), Failure> {
        let unit = self.unit(index)?;
        let snapshot = self.snapshot(unit)?;
        let reference = match unit.part {
            Part::Release => self.state.release.reference.to_string(),
            // A dependent container keeps its image, under the reference in its snapshot.
            Part::Dependent => create::reference(&snapshot)?,
        };
        let id = match unit.part {
            Part::Release => self
                .containers
                .image
                .as_ref()
                .unwrap_or(&self.state.release.images.first().image),
            Part::Dependent => &unit.old_image,
        };
        let circumstances = Circumstances {
            successors: self.successors(unit).await?,
            withheld: self.withheld(unit, &snapshot).await?,
        };
        let image = NewImage {
            reference: &reference,
            id,
        };
        let mark = self.mark(index, Which::New);
        create::create_candidate(self.engine, unit, &snapshot, &image, &mark, &circumstances).await?;
        Ok(())
    }

    async fn recreate_old(&self, index: usize) -> Result<(), Failure> {
        let unit = self.unit(index)?;
        let snapshot = self.snapshot(unit)?;
        let image = NewImage {
            reference: &create::reference(&snapshot)?,
            id: &unit.old_image,
        };
        let mark = self.mark(index, Which::Old);
        let circumstances = Circumstances::default();
        create::create_candidate(self.engine, unit, &snapshot, &image, &mark, &circumstances).await?;
        Ok(())
    }

    /// The new containers of the units that this unit depends on.
    async fn successors(&self, unit: &Unit) -> Result<Vec<Successor>, Failure> {
        let mut successors = Vec::new();
        for dependency in &unit.depends_on {
            let held = self.unit(dependency.unit)?;
            let seen = observe::observe(self.engine, self.state.id, std::slice::from_ref(held)).await;
            let mut seen = seen.map_err(|e| e.failure())?;
            let new = seen.pop().and_then(|seen| seen.candidates.into_iter().next());
            let gone = || {
                Failure::new(
                    FailureKind::Diverged,
                    format!("the new container of {} is gone", held.name),
                )
            };
            successors.push(Successor {
                old: held.old.clone(),
                name: held.name.clone(),
                new: new.ok_or_else(gone)?.id,
            });
        }
        Ok(successors)
    }

    /// Networks shared with the router, where a start-first container gets the service's names only once it serves.
    async fn withheld(&self, unit: &Unit, snapshot: &[u8]) -> Result<Vec<String>, Failure> {
        match (&self.policy.router, sequence(self.policy, unit)) {
            (Some(router), Sequence::StartFirst) => attach::shared(self.engine, snapshot, &router.container).await,
            (None, _) | (_, Sequence::StopFirst) => Ok(Vec::new()),
        }
    }

    async fn route(&self, container: &str, change: RouteChange) -> Result<(), Failure> {
        match &self.policy.router {
            Some(router) => route::route(self.engine, router, container, change).await,
            None => Ok(()),
        }
    }

    async fn drain(&self, wait: Duration) -> Result<(), Failure> {
        tokio::select! {
            () = tokio::time::sleep(wait) => Ok(()),
            () = self.shutdown.cancelled() => Err(Failure::new(FailureKind::Invariant, "the wait was cancelled")),
        }
    }

    async fn save_log(&self, container: &str) -> Result<Ended<ContainerOutcome>, Failure> {
        let log = verbs::log_tail(self.engine, container, LOG_LINES)
            .await
            .map_err(|e| e.failure())?;
        let exit_code = verbs::exit_code(self.engine, container)
            .await
            .map_err(|e| e.failure())?;
        Ok(well(ContainerOutcome::LogSaved { log, exit_code }))
    }

    fn snapshot(&self, unit: &Unit) -> Result<Vec<u8>, Failure> {
        self.bot
            .sealed
            .read(&unit.snapshot)
            .map_err(|e| e.failure("the snapshot cannot be read"))
    }

    /// Was the old container unhealthy, and replaced only because of `unhealthy: replace`?
    fn was_sick(&self, unit: usize) -> Result<bool, Failure> {
        if self.state.target.unhealthy == Unhealthy::Refuse {
            return Ok(false);
        }
        preflight::was_sick(&self.snapshot(self.unit(unit)?)?)
    }

    pub(in crate::runtime) fn mark(&self, unit: usize, role: Which) -> Mark<'_> {
        Mark {
            rollout: self.state.id,
            unit,
            instance: &self.bot.instance,
            term: u64::try_from(self.bot.store.term()).unwrap_or_default(),
            role,
        }
    }

    async fn hook(&self, phase: HookPhase, unit: usize, hook: usize) -> Result<Ended<ContainerOutcome>, Failure> {
        let policy = self
            .policy
            .hook(phase, hook)
            .ok_or_else(|| Failure::new(FailureKind::Invariant, "no such hook"))?;
        // A hook runs in the container that serves: the old one before the switch, the new one (under the same name)
        // after it.
        let (container, kind) = match phase {
            HookPhase::Before => (self.unit(unit)?.old.clone(), FailureKind::BeforeHookFailed),
            HookPhase::After => (self.unit(unit)?.name.clone(), FailureKind::HookFailed),
        };
        let shown = policy.command.join(" ");
        let timeout = policy.timeout.unsigned_abs();
        let result = run_hook(self.engine, &container, &policy.command, timeout)
            .await
            .map_err(|e| e.failure())?;
        match result {
            HookResult::Passed => Ok(well(ContainerOutcome::Done)),
            HookResult::Busy => Ok(Ended::Busy {
                retry: clock::now() + HOOK_RETRY,
            }),
            HookResult::Failed { code, output } => {
                let detail = format!("`{shown}` exited with code {code}");
                Err(Failure::new(kind, detail).with_excerpt(output))
            }
            HookResult::TimedOut { output } => {
                let detail = format!("`{shown}` did not end within {} s", timeout.as_secs());
                Err(Failure::new(kind, detail).with_excerpt(output))
            }
        }
    }

    async fn await_ready(&self, unit: usize, container: &str, which: Which, within: Duration) -> Result<(), Failure> {
        if which == Which::Old && self.was_sick(unit)? {
            // It was unhealthy before the rollout: running again is all that can be required of it.
            return Ok(());
        }
        // The target's readiness rule is for the release: a dependent container is judged by its own HEALTHCHECK, or by
        // staying up.
        let rule = match (which, self.unit(unit)?.part) {
            (Which::New, Part::Release) => self.state.target.ready.clone(),
            (Which::Old, Part::Release) => as_it_was(&self.state.target.ready),
            (Which::New | Which::Old, Part::Dependent) => steady(&self.state.target.ready),
        };
        // `--rm` deletes the log together with the container, so follow the log while it is written.
        let removed = self.unit(unit)?.on_exit == OnExit::Removed;
        let log = removed.then(|| verbs::follow_log(self.engine.clone(), container.to_owned(), Failure::EXCERPT_LINES));
        let mut report = self.not_ready(unit);
        let via = &self.bot.via;
        let ready = self
            .engine
            .ready(container, &rule, within, via, self.shutdown, &mut report);
        let mut ready = ready.await;
        // If an old container's log can no longer be read, judge by its HEALTHCHECK, or by staying up.
        if which == Which::Old && ready.as_ref().is_err_and(verbs::is_unreadable_log) {
            let rule = steady(&rule);
            let again = self
                .engine
                .ready(container, &rule, within, via, self.shutdown, &mut report);
            ready = again.await;
        }
        let verdict = match (ready, log) {
            (Err(EngineError::NotFound { .. }), Some(log)) => {
                let lines = tokio::time::timeout(LAST_WORDS, log).await;
                let lines = lines.ok().and_then(Result::ok).unwrap_or_default();
                let failure = Failure::new(FailureKind::ContainerExited, "it exited, and `--rm` deleted it");
                return Err(failure.with_excerpt(lines));
            }
            (ready, _) => ready.map_err(|e| e.failure())?,
        };
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
        let role = which;
        let which = match which {
            Which::Old => "the old container",
            Which::New => "the new container",
        };
        if matches!(kind, FailureKind::ContainerExited | FailureKind::OutOfMemory)
            && self.was_stopped(container, role).await
        {
            let detail = "someone stopped the new container before it was ready";
            return Err(Failure::new(FailureKind::Diverged, detail));
        }
        // The verdict stands even if the log cannot be read.
        let lines = log().await.unwrap_or_default();
        Err(Failure::new(kind, format!("{which} {detail}")).with_excerpt(lines))
    }

    /// Did someone else stop the new container? Not checked for an old one, where service comes first, nor for
    /// lowtide's own, which its update helper may stop.
    async fn was_stopped(&self, container: &str, which: Which) -> bool {
        if which == Which::Old || self.policy.select == ContainerSelect::Own {
            return false;
        }
        observe::was_stopped(self.engine, container).await
    }

    /// Reports to watchers what readiness still waits for, with the container's secrets masked.
    fn not_ready(&self, unit: usize) -> impl FnMut(&str) + Send {
        let secrets = std::sync::LazyLock::new(|| (self.secrets)());
        let replica = Replica::of(self.state, unit);
        move |answer| {
            if let Some(replica) = replica.clone() {
                self.bot.watchers.publish(Progress::NotReady {
                    rollout: self.state.id,
                    replica,
                    answer: masked(answer, &secrets),
                });
            }
        }
    }

    pub(in crate::runtime) fn unit(&self, index: usize) -> Result<&Unit, Failure> {
        self.containers
            .units
            .as_ref()
            .and_then(|units| units.get(index))
            .ok_or_else(|| Failure::new(FailureKind::Invariant, format!("the rollout has no unit {index}")))
    }
}

fn well(outcome: ContainerOutcome) -> Ended<ContainerOutcome> {
    Ended::Well { outcome }
}
