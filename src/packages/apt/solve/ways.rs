//! What apt's versions do differently.

use crate::packages::apt::state::AptState;
use crate::packages::version::debian;

/// By the version of apt that the image has: it is the one that would be asked. Without any, as the newest we know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ways {
    /// From 2.3.12 no solver removes what is essential or protected.
    pub(super) keeps_essential: bool,
    /// From 2.5.2 what depends on the old version, and what is built from the same source, is upgraded along.
    pub(super) upgrades_along: bool,
    /// From 2.7.0 a package stays for which one of its alternatives could be brought in.
    pub(super) keeps_choice: bool,
    /// From 2.9.4 what is new is not needed where something that is installed already does as well.
    pub(super) needs_old_first: bool,
    /// From 2.9.3 what is to be removed is no longer upgraded along.
    pub(super) passes_over_removed: bool,
}

impl Ways {
    pub(super) fn of(state: &AptState) -> Self {
        let apt = state.installed_as("apt").next().map(|apt| apt.version.as_str());
        let from = |version| apt.is_none_or(|apt| debian::compare(apt, version).is_ge());
        Self {
            keeps_essential: from("2.3.12"),
            upgrades_along: from("2.5.2"),
            keeps_choice: from("2.7.0"),
            passes_over_removed: from("2.9.3"),
            needs_old_first: from("2.9.4"),
        }
    }
}
