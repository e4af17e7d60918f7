//! Where registries differ from what lowtide put there.

use super::{AppState, RegistryDifference};
use crate::decide::registry_drift::expected;
use crate::fleet::app::App;
use jiff::Timestamp;
use lowtide_model::image::Reference;
use lowtide_model::name::RunId;
use lowtide_model::registry_tag::RegistryDrift;

impl AppState {
    pub(super) fn registry_drifts(
        &mut self,
        reference: &Reference,
        release: RunId,
        drift: Option<&RegistryDrift>,
        at: Timestamp,
    ) {
        let known = self.registry.iter().position(|known| known.reference == *reference);
        let known = known.map(|index| self.registry.remove(index));
        let Some(drift) = drift.cloned() else { return };
        let since = known
            .filter(|known| known.release == release)
            .map_or(at, |known| known.since);
        self.registry.push(RegistryDifference {
            reference: reference.clone(),
            since,
            release,
            drift,
        });
    }

    /// Differences that still matter: the target or channel has the same release as when they were found.
    #[must_use]
    pub fn registry_differences(&self, app: &App) -> Vec<&RegistryDifference> {
        if self.registry.is_empty() {
            return Vec::new();
        }
        let expected = expected(app, self);
        let stands = |difference: &&RegistryDifference| {
            let mut expected = expected.iter();
            expected.any(|one| one.reference == difference.reference && one.release == difference.release)
        };
        self.registry.iter().filter(stands).collect()
    }
}
