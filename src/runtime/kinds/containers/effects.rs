//! The runtime's contract, for containers.

use super::perform::Stage;
use super::sight::Listing;
use super::snapshot::Snapshot;
use super::tag::{self, LocalTag};
use super::{create, find, host, observe};
use crate::clients::engine::connect::Engine;
use crate::runtime::connectivity::said;
use crate::runtime::kinds::adopted::{ADOPTED_REPOSITORY, release};
use crate::runtime::kinds::effects::{Connect, Effects, RolloutOf, listed, snapshots};
use lowtide_core::fleet::app::App;
use lowtide_core::kinds::containers::model::{ObservedUnit, Unit};
use lowtide_core::kinds::containers::policy::{ContainerSelect, ContainersPolicy};
use lowtide_core::kinds::containers::state::Containers;
use lowtide_core::kinds::containers::step::{ContainerOutcome, ContainerStep};
use lowtide_core::kinds::kind::{Kind, TargetSettings};
use lowtide_core::kinds::track::Ended;
use lowtide_model::drift::Sighted;
use lowtide_model::failure::Failure;
use lowtide_model::release::Release;
use lowtide_model::rollout::Part;
use lowtide_model::secret::Secret;
use tracing::warn;

impl Effects for ContainersPolicy {
    async fn observe(of: &RolloutOf<'_, Self>) -> Result<Option<Vec<ObservedUnit>>, Failure> {
        let Some(units) = &of.track.state.units else {
            return Ok(None);
        };
        let seen = observe::observe(of.engine()?, of.state.id, units).await;
        seen.map(Some).map_err(|e| e.failure())
    }

    async fn perform(of: &RolloutOf<'_, Self>, step: &ContainerStep) -> Result<Ended<ContainerOutcome>, Failure> {
        let stage = Stage {
            bot: of.bot,
            fleet: of.fleet,
            engine: of.engine()?,
            state: of.state,
            policy: &of.track.policy,
            containers: &of.track.state,
            refuse: &|_| Ok(()),
            secrets: &|| Self::secrets(of),
            shutdown: of.shutdown,
        };
        stage.perform(step).await
    }

    async fn take_up(
        of: &RolloutOf<'_, Self>,
        step: &ContainerStep,
    ) -> Result<Option<Ended<ContainerOutcome>>, Failure> {
        if let ContainerStep::TryOut { .. } = step {
            sweep_trial(of).await;
        }
        Ok(None)
    }

    fn secrets(of: &RolloutOf<'_, Self>) -> Vec<Secret> {
        secrets(of)
    }

    fn adopted(of: &RolloutOf<'_, Self>) -> Option<Release> {
        adopted(of, &of.track.state)
    }

    async fn sight(&self, engine: &Engine, listing: &Listing, _: &App) -> Result<Option<Vec<Sighted>>, String> {
        let found = listing.of(engine, &self.select).await;
        found.map(Some).map_err(|e| e.to_string())
    }

    async fn check(&self, connect: Connect<'_>, target: &TargetSettings, _: &App) -> Result<String, String> {
        let found = said(find::find(&connect()?, &self.select).await)?;
        if let ContainerSelect::Compose { services, .. } = &self.select
            && let Some(lacking) = find::lacking(&found, services)
        {
            return Err(format!("{} has no container of the service {lacking}", target.host));
        }
        let wanted = match &self.select {
            ContainerSelect::Name { name } => format!("container {name}"),
            ContainerSelect::Label { key, value } => format!("container with the label {key}={value}"),
            ContainerSelect::Compose { project, .. } => format!("container of the compose project {project}"),
            ContainerSelect::Own => "container that runs this lowtide: run `check` inside it".to_owned(),
        };
        listed(&found, "/Name").ok_or_else(|| format!("{} has no {wanted}", target.host))
    }
}

/// Removes the container that a killed `TryOut` step left. If that fails, the next try removes it.
pub(in crate::runtime) async fn sweep_trial<K: Kind>(of: &RolloutOf<'_, K>) {
    let Ok(engine) = of.engine() else { return };
    if let Err(error) = host::sweep(engine, &of.bot.instance, of.state.id).await {
        warn!(%error, "a container that tried the host out could not be removed yet");
    }
}

/// The secrets in the settings of the rollout's containers.
pub(in crate::runtime) fn secrets<K: Kind>(of: &RolloutOf<'_, K>) -> Vec<Secret> {
    let snapshots = snapshots(of);
    let read = snapshots.iter().filter_map(|bytes| Snapshot::from_bytes(bytes).ok());
    read.flat_map(|snapshot| snapshot.secrets()).collect()
}

/// The image that the containers ran before our first release.
pub(in crate::runtime) fn adopted<K: Kind>(of: &RolloutOf<'_, K>, containers: &Containers) -> Option<Release> {
    let unit = shared(containers)?;
    let snapshot = of.bot.sealed.read(&unit.snapshot).ok()?;
    // The owner's name for the image, or its id if it had none.
    let name = create::reference(&snapshot).ok()?;
    let name = name
        .strip_prefix("sha256:")
        .map_or(name.clone(), |_| unit.old_image.short().to_owned());
    let reference = format!("{ADOPTED_REPOSITORY}:{}", unit.old_image.short())
        .parse()
        .ok()?;
    release(of.state, unit.old_image.clone(), name, reference)
}

/// Retains the image that a target runs, unless one of our releases put it there. A failure does not affect the
/// rollout: only a later `revert` may find the image missing, and reports that.
pub(super) async fn retain_adopted(stage: &Stage<'_>) {
    let app_state = stage.bot.app_state(&stage.state.app);
    let known = app_state.targets.get(&stage.state.target.name);
    let known = known.and_then(|known| known.current);
    if let (None, Some(image)) = (known, shared(stage.containers).map(|unit| &unit.old_image)) {
        let local_tag = LocalTag {
            reference: format!("{ADOPTED_REPOSITORY}:{}", image.short()),
            image: Some(image.clone()),
        };
        if let Err(error) = tag::point(stage.engine, &local_tag).await {
            warn!(%image, %error, "the image that runs now cannot be retained for a rollback");
        }
    }
}

/// One of the units, if all of them run one image.
fn shared(containers: &Containers) -> Option<&Unit> {
    let mut moved = containers
        .units
        .iter()
        .flatten()
        .filter(|unit| unit.part == Part::Release);
    let first = moved.next()?;
    moved.all(|unit| unit.old_image == first.old_image).then_some(first)
}
