//! What apt's versions do differently.

use crate::state::AptState;
use crate::version;

/// Depends on the version of apt in the image, since that one would run. Without apt in the image, as the newest known
/// version.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ways {
    /// From 2.3.12 no solver removes what is essential or protected.
    pub(super) keeps_essential: bool,
    /// From 2.5.2 packages that depend on the old version, and packages built from the same source, are upgraded as
    /// well.
    pub(super) upgrades_along: bool,
    /// From 2.7.0 a package stays in `Mode::Keep` if one of the alternatives it needs can be newly installed.
    pub(super) keeps_choice: bool,
    /// From 2.9.4 a new package is not needed if an installed one meets the dependency as well.
    pub(super) needs_old_first: bool,
    /// From 2.9.3 packages that are to be removed are no longer upgraded as well.
    pub(super) passes_over_removed: bool,
}

impl Ways {
    pub(super) fn of(state: &AptState) -> Self {
        let apt = state.installed_as("apt").next().map(|apt| apt.version.as_str());
        let from = |version| apt.is_none_or(|apt| version::compare(apt, version).is_ge());
        Self {
            keeps_essential: from("2.3.12"),
            upgrades_along: from("2.5.2"),
            keeps_choice: from("2.7.0"),
            passes_over_removed: from("2.9.3"),
            needs_old_first: from("2.9.4"),
        }
    }
}
