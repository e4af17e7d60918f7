//! Who is watched more closely than configured after an incident, and for how long yet.

use crate::model::name::{RunId, TargetName};
use std::collections::{BTreeMap, BTreeSet};

/// Each target has as many new releases of its own to prove: what another one takes, and what only goes back, counts for
/// nobody else.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Probation {
    /// New releases that have to arrive on each target.
    each: u32,
    /// Those that have.
    arrived: BTreeMap<TargetName, BTreeSet<RunId>>,
}

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
