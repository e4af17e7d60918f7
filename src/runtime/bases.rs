//! The digests of base images: requested once a night for the whole fleet, by HEAD where the previous digest is known.

use crate::clients::registry::connect::Registry;
use crate::clients::registry::error::RegistryError;
use jiff::Timestamp;
use lowtide_model::image::{Platform, Reference};
use lowtide_model::stages::resolve::BasePin;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Responses of registries, in memory only: after a start each base is requested once more.
#[derive(Debug, Default)]
pub struct Bases {
    known: Mutex<BTreeMap<(String, String), Known>>,
}

#[derive(Debug, Clone)]
struct Known {
    at: Timestamp,
    pin: BasePin,
}

impl Bases {
    /// The pin of `reference` on `platform`. A response of `since` or later is reused. HEAD does not count as a pull
    /// where pulls are counted (Docker Hub, "Pull usage and limits"); a manifest is fetched only when its digest has
    /// changed.
    ///
    /// # Errors
    /// As [`Registry::resolve`].
    pub async fn resolve(
        &self,
        registry: &Registry,
        reference: &Reference,
        platform: &Platform,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<BasePin, RegistryError> {
        let key = (reference.to_string(), platform.to_string());
        let known = self.known().get(&key).cloned();
        let pin = match known {
            Some(known) if known.at >= since => return Ok(known.pin),
            Some(known) if unmoved(registry, reference, &known.pin).await? => known.pin,
            Some(_) | None => registry.resolve(reference, platform).await?,
        };
        self.known().insert(
            key,
            Known {
                at: now,
                pin: pin.clone(),
            },
        );
        Ok(pin)
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<(String, String), Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn unmoved(registry: &Registry, reference: &Reference, pin: &BasePin) -> Result<bool, RegistryError> {
    match pin {
        BasePin::Registry { served, .. } => Ok(registry.digest(reference).await?.as_ref() == Some(served)),
        BasePin::Local { .. } => Ok(false),
    }
}
