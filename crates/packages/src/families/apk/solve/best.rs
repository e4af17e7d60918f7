//! Which of several packages apk would rather have under a name.

use super::universe::{Mask, NameId, PackageId, Provider, Universe};
use crate::families::apk::pending::Undecided;
use crate::families::apk::version;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Tags that packages inherit from their dependents.
pub(in crate::families::apk) type Inherited = BTreeMap<PackageId, Mask>;

/// The candidate that is better than every other one. Order: tags, version of the name, version of the package; then,
/// in apk 3, the higher priority before whether it is installed, in apk 2 the other way round; last, the first
/// repository.
///
/// # Errors
/// If there is no such candidate, or not the same one for apk 2 and apk 3.
pub(in crate::families::apk) fn best<'a>(
    universe: &Universe<'_>,
    name: NameId,
    candidates: &[Provider<'a>],
    inherited: &Inherited,
) -> Result<Option<Provider<'a>>, Undecided> {
    let Some(first) = candidates.first() else {
        return Ok(None);
    };
    let compared = |a: &Provider<'_>, b: &Provider<'_>| compare(universe, *a, *b, inherited);
    // Only the winner of pairwise comparisons along the list can be better than all others.
    let left = candidates.iter().fold(first, |best, it| {
        if compared(it, best) == [Ordering::Greater; 2] {
            it
        } else {
            best
        }
    });
    let rival = candidates
        .iter()
        .find(|it| it.package != left.package && compared(left, it) != [Ordering::Greater; 2]);
    match rival {
        None => Ok(Some(*left)),
        Some(rival) => Err(Undecided::Choice {
            name: universe.text(name).to_owned(),
            between: [universe.shown(left.package), universe.shown(rival.package)],
        }),
    }
}

/// As apk 2 and apk 3 see it.
fn compare(universe: &Universe<'_>, a: Provider<'_>, b: Provider<'_>, inherited: &Inherited) -> [Ordering; 2] {
    let tags = |it: Provider<'_>| {
        let inherited = inherited.get(&it.package).copied().unwrap_or_default();
        (
            universe.is_allowed(it.package, inherited),
            universe.is_preferred(it.package),
        )
    };
    let (first, second) = (&universe.packages[a.package], &universe.packages[b.package]);
    let named = match (a.version, b.version) {
        (Some(a), Some(b)) => version::compare(a, b),
        (None, _) | (_, None) => Ordering::Equal,
    };
    let own = || match first.name == second.name {
        true => version::compare(first.entry.version, second.entry.version),
        false => Ordering::Equal,
    };
    let versions = tags(a).cmp(&tags(b)).then(named).then_with(own);
    let priority = first.entry.priority.cmp(&second.entry.priority);
    let installed = first.installed.cmp(&second.installed);
    let place = second.listed.trailing_zeros().cmp(&first.listed.trailing_zeros());
    [
        versions.then(installed).then(priority).then(place),
        versions.then(priority).then(installed).then(place),
    ]
}

/// Would apk choose the provider for this name without its package being required? Only if it provides the name with a
/// version, or if the package has a provider priority.
pub(in crate::families::apk) fn offers_itself(universe: &Universe<'_>, provider: Provider<'_>) -> bool {
    provider.version.is_some() || universe.packages[provider.package].entry.priority > 0
}
