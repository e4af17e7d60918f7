//! The steps of a rollout, on services of Docker Swarm.

use super::room;
use crate::clients::engine::connect::Engine;
use crate::clients::target::docker::body::Mark;
use crate::clients::target::docker::pull::RegistryAuth;
use crate::clients::target::swarm::body::Keep;
use crate::clients::target::swarm::preflight::{Ours, manager, preflight};
use crate::clients::target::swarm::{find, prepull, verbs};
use crate::decide::rollout::services::Services;
use crate::decide::rollout::{self, RolloutState};
use crate::model::failure::{Failure, FailureKind};
use crate::model::image::Reference;
use crate::model::name::RolloutId;
use crate::model::rollout::{Goal, Step, StepOutcome};
use crate::model::service::{ServiceStep, ServiceUnit};
use crate::runtime::bot::{Bot, InForce};
use std::collections::BTreeSet;
use tokio_util::sync::CancellationToken;

/// Carries out one step.
///
/// # Errors
/// As the step failed, or because the process ends.
pub(super) async fn perform(
    bot: &Bot,
    state: &RolloutState,
    units: &Services,
    step: &Step,
    shutdown: &CancellationToken,
) -> Result<StepOutcome, Failure> {
    let fleet = bot.in_force();
    let stage = Stage {
        bot,
        fleet: &fleet,
        engine: fleet.engine(&state.target.host)?,
        state,
        units,
        shutdown,
    };
    match step {
        Step::Preflight => stage.preflight().await,
        Step::Service(step) => stage.perform(step).await,
        Step::Pull
        | Step::Command(_)
        | Step::RunHook { .. }
        | Step::CreateCandidate { .. }
        | Step::RemoveCandidate { .. }
        | Step::StopOld { .. }
        | Step::SetRestart { .. }
        | Step::Start { .. }
        | Step::AwaitReady { .. }
        | Step::Rename { .. }
        | Step::StopCandidate { .. }
        | Step::KeepLog { .. }
        | Step::RemoveOld { .. }
        | Step::Attach { .. }
        | Step::Route { .. }
        | Step::Drain { .. }
        | Step::KeepImage { .. }
        | Step::TryOut { .. }
        | Step::Restart { .. }
        | Step::LetImageGo { .. }
        | Step::RecreateOld { .. }
        | Step::MoveTag { .. }
        | Step::SelfUpdate(_) => Err(Failure::new(
            FailureKind::Invariant,
            format!("services have no step `{step}`"),
        )),
    }
}

struct Stage<'a> {
    bot: &'a Bot,
    fleet: &'a InForce,
    engine: &'a Engine,
    state: &'a RolloutState,
    units: &'a Services,
    shutdown: &'a CancellationToken,
}

impl Stage<'_> {
    async fn preflight(&self) -> Result<StepOutcome, Failure> {
        manager(self.engine).await?;
        let (target, release) = (&self.state.target, &self.state.release);
        let repository = &release.reference.repository;
        let services = find::find(self.engine, &target.select, repository).await?;
        let over = self.over(find::claims(&services)).await?;
        let ours = Ours {
            instance: &self.bot.instance,
            over: &over,
        };
        let found = preflight(self.engine, target, release, services, ours).await?;
        for note in &found.notes {
            tracing::info!(%note, "left out");
        }
        // Sealed before the journal names them: an event never points at a snapshot that is not there.
        for snapshot in &found.snapshots {
            self.bot
                .sealed
                .keep(snapshot)
                .map_err(|e| e.failure("the snapshot cannot be kept"))?;
        }
        Ok(StepOutcome::ServicesPreflighted { services: found.units })
    }

    async fn perform(&self, step: &ServiceStep) -> Result<StepOutcome, Failure> {
        let image = self.state.release.service_image();
        let mark = self.mark();
        match step {
            ServiceStep::Prepull { unit } => return self.prepull(self.service(*unit)?).await,
            ServiceStep::Update { unit, knobs, .. } => {
                let auth = self.auth(&image).await?;
                verbs::update(self.engine, self.service(*unit)?, &image, knobs, &mark, auth.as_ref()).await?;
            }
            ServiceStep::Revert { unit, knobs, .. } => {
                let unit = self.service(*unit)?;
                // A failed registry login must not block the rollback: the nodes have the old image.
                let auth = self.auth(&unit.old_image).await.unwrap_or_default();
                verbs::revert(self.engine, unit, &image, knobs, &mark, auth.as_ref()).await?;
            }
            ServiceStep::RestoreKnobs { unit, sent } => {
                let unit = self.service(*unit)?;
                let keep = match self.state.goal {
                    Goal::Forward => Keep::Instance,
                    Goal::Back => Keep::Nothing,
                };
                let snapshot = self.snapshot(&unit.snapshot)?;
                verbs::restore(self.engine, unit, &snapshot, sent, &mark, keep).await?;
            }
        }
        Ok(StepOutcome::Done)
    }

    async fn prepull(&self, unit: &ServiceUnit) -> Result<StepOutcome, Failure> {
        // Check the manager's disk at least; the disks of other nodes cannot be inspected.
        let needed = room::for_a_pull(self.fleet.fleet.limits.min_free_disk);
        room::enough_on(self.engine, &self.state.target.host, &self.bot.via, needed).await?;
        let release = &self.state.release;
        let auth = match release.digest {
            Some(_) => self.auth(&release.service_image()).await?,
            None => None,
        };
        let mark = self.mark();
        prepull::prepull(self.engine, unit, release, &mark, auth.as_ref(), self.shutdown).await?;
        let config = prepull::image_config(self.engine, release).await?;
        let snapshot = self.snapshot(&unit.snapshot)?;
        let startup = prepull::startup(&snapshot, config.as_ref(), &self.state.target.ready)?;
        Ok(StepOutcome::Prepulled { startup })
    }

    /// Which of these rollouts are over: concluded, or no longer in the journal.
    async fn over(&self, claims: BTreeSet<String>) -> Result<BTreeSet<String>, Failure> {
        let mut over = BTreeSet::new();
        for claim in claims {
            let Ok(id) = claim.parse::<RolloutId>() else { continue };
            let events = self.bot.store.rollout_events(id).await;
            let events = events.map_err(|e| e.failure("an older rollout"))?;
            if events.is_empty() || rollout::fold(id, &events).is_ok_and(|state| state.conclusion.is_some()) {
                over.insert(claim);
            }
        }
        Ok(over)
    }

    /// Credentials for the registry of `image`.
    async fn auth(&self, image: &str) -> Result<Option<RegistryAuth>, Failure> {
        let Ok(reference) = image.parse::<Reference>() else {
            return Ok(None);
        };
        let login = self.fleet.credentials.login(&reference.repository.registry).await?;
        Ok(login.map(|(username, password)| RegistryAuth { username, password }))
    }

    fn snapshot(&self, name: &str) -> Result<Vec<u8>, Failure> {
        self.bot
            .sealed
            .read(name)
            .map_err(|e| e.failure("the snapshot cannot be read"))
    }

    fn mark(&self) -> Mark<'_> {
        Mark {
            rollout: self.state.id,
            unit: 0,
            instance: &self.bot.instance,
            term: u64::try_from(self.bot.store.term()).unwrap_or_default(),
            role: crate::model::rollout::Which::New,
        }
    }

    fn service(&self, index: usize) -> Result<&ServiceUnit, Failure> {
        let units = self.units.units.as_ref();
        units
            .and_then(|units| units.get(index))
            .ok_or_else(|| Failure::new(FailureKind::Invariant, format!("the rollout has no service {index}")))
    }
}
