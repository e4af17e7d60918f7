//! The runtime's contract, for services of a swarm.

use super::find::{self, IMAGE};
use super::observe;
use super::perform::Stage;
use super::snapshot::ServiceSnapshot;
use crate::clients::engine::connect::Engine;
use crate::runtime::connectivity::said;
use crate::runtime::kinds::adopted::release;
use crate::runtime::kinds::containers::sight::Listing;
use crate::runtime::kinds::effects::{Connect, Effects, RolloutOf, listed, snapshots};
use lowtide_core::fleet::app::App;
use lowtide_core::kinds::kind::TargetSettings;
use lowtide_core::kinds::services::model::ObservedService;
use lowtide_core::kinds::services::policy::{ServiceSelect, ServicesPolicy};
use lowtide_core::kinds::services::step::{ServiceOutcome, ServiceStep};
use lowtide_core::kinds::track::Ended;
use lowtide_model::drift::Sighted;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::image::{ImageId, Reference};
use lowtide_model::release::Release;
use lowtide_model::secret::Secret;

impl Effects for ServicesPolicy {
    async fn observe(of: &RolloutOf<'_, Self>) -> Result<Option<Vec<ObservedService>>, Failure> {
        let Some(units) = &of.track.state.units else {
            return Ok(None);
        };
        let seen = observe::observe(of.engine()?, of.state.id, units).await;
        seen.map(Some).map_err(|e| e.failure())
    }

    async fn perform(of: &RolloutOf<'_, Self>, step: &ServiceStep) -> Result<Ended<ServiceOutcome>, Failure> {
        let engine = of.engine()?;
        let outcome = Stage { of, engine }.perform(step).await?;
        Ok(Ended::Well { outcome })
    }

    async fn take_up(_: &RolloutOf<'_, Self>, _: &ServiceStep) -> Result<Option<Ended<ServiceOutcome>>, Failure> {
        Ok(None)
    }

    fn secrets(of: &RolloutOf<'_, Self>) -> Vec<Secret> {
        let snapshots = snapshots(of);
        let read = snapshots
            .iter()
            .filter_map(|bytes| ServiceSnapshot::from_bytes(bytes).ok());
        read.flat_map(|snapshot| snapshot.secrets()).collect()
    }

    /// A service's specification names the image by digest, so a pull brings back the same one.
    fn adopted(of: &RolloutOf<'_, Self>) -> Option<Release> {
        let units = of.track.state.units.as_deref()?;
        let first = &units.first()?.old_image;
        if units.iter().any(|unit| unit.old_image != *first) {
            return None;
        }
        let Reference {
            repository,
            tag,
            digest,
        } = first.parse().ok()?;
        let digest = digest?;
        let image: ImageId = digest.to_string().parse().ok()?;
        let tag = tag.unwrap_or_else(|| image.short().to_owned());
        let reference = Reference::tagged(&repository, &tag);
        let mut release = release(of.state, image, reference.to_string(), reference)?;
        release.digest = digest.to_string().try_into().ok();
        release.digest.is_some().then_some(release)
    }

    async fn sight(&self, engine: &Engine, _: &Listing, app: &App) -> Result<Option<Vec<Sighted>>, String> {
        match find::find(engine, &self.select, &find::names(app)).await {
            Ok(services) => {
                let image = |service: &serde_json::Value| Some(service.pointer(IMAGE)?.as_str()?.to_owned());
                let sighted = |image: String| Sighted {
                    named: image.clone(),
                    image,
                };
                Ok(Some(services.iter().filter_map(image).map(sighted).collect()))
            }
            Err(failure) if failure.kind == FailureKind::TargetMissing => Ok(Some(Vec::new())),
            Err(failure) => Err(failure.detail),
        }
    }

    async fn check(&self, connect: Connect<'_>, target: &TargetSettings, app: &App) -> Result<String, String> {
        let found = said(find::find(&connect()?, &self.select, &find::names(app)).await)?;
        let wanted = match &self.select {
            ServiceSelect::Service { name } => format!("service {name}"),
            ServiceSelect::Stack { stack, .. } => format!("stack {stack}"),
        };
        listed(&found, "/Spec/Name").ok_or_else(|| format!("{} has no {wanted}", target.host))
    }
}
