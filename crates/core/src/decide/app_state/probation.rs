//! Probation after an incident: which targets are watched more closely than configured, and for how many more releases.

use super::Probation;
use lowtide_model::name::{RunId, TargetName};
use std::collections::{BTreeMap, BTreeSet};

impl Probation {
    pub(super) fn begin(each: u32) -> Self {
        Self {
            each,
            arrived: BTreeMap::new(),
        }
    }

    /// A release that arrives twice proves nothing new.
    pub(super) fn arrive(&mut self, target: &TargetName, release: RunId) {
        if self.left(target) > 0 {
            self.arrived.entry(target.clone()).or_default().insert(release);
        }
    }

    /// New releases that still have to arrive there.
    #[must_use]
    pub fn left(&self, target: &TargetName) -> u32 {
        let arrived = self.arrived.get(target).map_or(0, BTreeSet::len);
        self.each.saturating_sub(u32::try_from(arrived).unwrap_or(u32::MAX))
    }
}
