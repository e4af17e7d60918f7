//! The steps of a rollout of services of Docker Swarm.

use super::body::Retain;
use super::preflight::{Ours, manager, preflight};
use super::{find, prepull, verbs};
use crate::clients::credentials::{Found, denied_with};
use crate::clients::engine::connect::Engine;
use crate::runtime::kinds::containers::body::Mark;
use crate::runtime::kinds::effects::RolloutOf;
use crate::runtime::perform::room;
use lowtide_core::decide::rollout;
use lowtide_core::kinds::services::model::ServiceUnit;
use lowtide_core::kinds::services::policy::ServicesPolicy;
use lowtide_core::kinds::services::step::{ServiceOutcome, ServiceStep};
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::image::Reference;
use lowtide_model::name::RolloutId;
use lowtide_model::rollout::{Goal, Which};
use std::collections::BTreeSet;

/// The services of one rollout, and what its steps need.
pub(super) struct Stage<'a> {
    pub(super) of: &'a RolloutOf<'a, ServicesPolicy>,
    pub(super) engine: &'a Engine,
}

impl Stage<'_> {
    async fn preflight(&self) -> Result<ServiceOutcome, Failure> {
        manager(self.engine).await?;
        let (target, release, policy) = (&self.of.state.target, &self.of.state.release, &self.of.track.policy);
        // Until its first rollout under a new name, a service runs an old one.
        let app = self.of.fleet.fleet.apps.get(&self.of.state.app);
        let mut names = app.map(|app| find::names(app)).unwrap_or_default();
        names.push(release.reference.repository.clone());
        let services = find::find(self.engine, &policy.select, &names).await?;
        let over = self.over(find::claims(&services)).await?;
        let ours = Ours {
            instance: &self.of.bot.instance,
            over: &over,
        };
        let found = preflight(self.engine, target, policy, release, services, ours).await?;
        for note in &found.notes {
            tracing::info!(%note, "left out");
        }
        // Sealed before the journal names them: an event never points at a snapshot that is not there.
        for snapshot in &found.snapshots {
            self.of
                .bot
                .sealed
                .store(snapshot)
                .map_err(|e| e.failure("the snapshot cannot be saved"))?;
        }
        Ok(ServiceOutcome::Preflighted { services: found.units })
    }

    /// Carries out one step.
    ///
    /// # Errors
    /// As the step failed, or because the process ends.
    pub(super) async fn perform(&self, step: &ServiceStep) -> Result<ServiceOutcome, Failure> {
        let image = self.of.state.release.service_image();
        let mark = self.mark();
        match step {
            ServiceStep::Preflight => return self.preflight().await,
            ServiceStep::Prepull { unit } => return self.prepull(self.service(*unit)?).await,
            ServiceStep::Update { unit, knobs, .. } => {
                let auth = self.auth(&image).await?;
                let auth = auth.as_ref().map(|found| &found.credential);
                verbs::update(self.engine, self.service(*unit)?, &image, knobs, &mark, auth).await?;
            }
            ServiceStep::Revert { unit, knobs, .. } => {
                let unit = self.service(*unit)?;
                // A failed registry login must not block the rollback: the nodes have the old image.
                let auth = self.auth(&unit.old_image).await.unwrap_or_default();
                let auth = auth.as_ref().map(|found| &found.credential);
                verbs::revert(self.engine, unit, &image, knobs, &mark, auth).await?;
            }
            ServiceStep::RestoreKnobs { unit, sent } => {
                let unit = self.service(*unit)?;
                let retain = match self.of.state.goal {
                    Goal::Forward => Retain::Instance,
                    Goal::Back => Retain::Nothing,
                };
                let snapshot = self.snapshot(&unit.snapshot)?;
                verbs::restore(self.engine, unit, &snapshot, sent, &mark, retain).await?;
            }
        }
        Ok(ServiceOutcome::Done)
    }

    async fn prepull(&self, unit: &ServiceUnit) -> Result<ServiceOutcome, Failure> {
        // Check the manager's disk at least; the disks of other nodes cannot be inspected.
        let needed = room::for_a_pull(self.of.fleet.fleet.limits.min_free_disk);
        room::enough_on(self.engine, &self.of.state.target.host, &self.of.bot.via, needed).await?;
        let release = &self.of.state.release;
        let auth = match release.digest {
            Some(_) => self.auth(&release.service_image()).await?,
            None => None,
        };
        let mark = self.mark();
        let credential = auth.as_ref().map(|found| &found.credential);
        let pulled = prepull::prepull(self.engine, unit, release, &mark, credential, self.of.shutdown).await;
        pulled.map_err(|failure| denied_with(auth.as_ref(), failure))?;
        let config = prepull::image_config(self.engine, release).await?;
        let snapshot = self.snapshot(&unit.snapshot)?;
        let startup = prepull::startup(&snapshot, config.as_ref(), &self.of.state.target.ready)?;
        Ok(ServiceOutcome::Prepulled { startup })
    }

    /// Which of these rollouts are over: concluded, or no longer in the journal.
    async fn over(&self, claims: BTreeSet<String>) -> Result<BTreeSet<String>, Failure> {
        let mut over = BTreeSet::new();
        for claim in claims {
            let Ok(id) = claim.parse::<RolloutId>() else { continue };
            let events = self.of.bot.store.rollout_events(id).await;
            let events = events.map_err(|e| e.failure("an older rollout"))?;
            if events.is_empty() || rollout::fold(id, &events).is_ok_and(|state| state.conclusion.is_some()) {
                over.insert(claim);
            }
        }
        Ok(over)
    }

    /// Credentials for the repository of `image`.
    async fn auth(&self, image: &str) -> Result<Option<Found>, Failure> {
        let Ok(reference) = image.parse::<Reference>() else {
            return Ok(None);
        };
        self.of.fleet.credentials.login(&reference.repository).await
    }

    fn snapshot(&self, name: &str) -> Result<Vec<u8>, Failure> {
        self.of
            .bot
            .sealed
            .read(name)
            .map_err(|e| e.failure("the snapshot cannot be read"))
    }

    fn mark(&self) -> Mark<'_> {
        Mark {
            rollout: self.of.state.id,
            unit: 0,
            instance: &self.of.bot.instance,
            term: u64::try_from(self.of.bot.store.term()).unwrap_or_default(),
            role: Which::New,
        }
    }

    fn service(&self, index: usize) -> Result<&ServiceUnit, Failure> {
        let units = self.of.track.state.units.as_ref();
        units
            .and_then(|units| units.get(index))
            .ok_or_else(|| Failure::new(FailureKind::Invariant, format!("the rollout has no service {index}")))
    }
}
