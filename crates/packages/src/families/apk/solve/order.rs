//! The one property of apk's order of names that this solver relies on: a package is chosen before the names it depends
//! on. apk numbers the names by going down from `world`, and chooses from the top. The property holds only if no path
//! leads back up, and if each package above is required by its own name, from `world` on: names that packages only
//! provide come later.

use super::check::{Contradiction, check};
use super::closure::{Closure, closure};
use super::settle::Settled;
use super::universe::{NameId, Out, PackageId, Universe};
use crate::families::apk::pending::Undecided;
use std::collections::BTreeSet;

/// Limits for the packages excluded from above, and for the names walked to prove that no path leads back.
const MAX_EXCLUDED: usize = 64;
const MAX_WALK: usize = 1 << 14;

/// # Errors
/// If a choice is undecided.
pub(in crate::families::apk) fn ordered<'a>(
    universe: &mut Universe<'a>,
    settled: &Settled,
) -> Result<Closure<'a>, Undecided> {
    let mut excluded: Vec<(PackageId, Contradiction)> = Vec::new();
    loop {
        let closure = closure(universe, settled).map_err(|open| first(universe, &excluded, open))?;
        match check(universe, settled, &closure) {
            Ok(()) => {
                let above = above(universe, settled, &closure);
                let stands = excluded.iter().all(|(by, _)| above.contains(by));
                return if stands {
                    Ok(closure)
                } else {
                    Err(first(universe, &excluded, Undecided::TooMuch))
                };
            }
            Err(Contradiction::Against {
                by,
                name,
                relation,
                package,
            }) => {
                let found = Contradiction::Against {
                    by,
                    name,
                    relation: relation.clone(),
                    package,
                };
                let late = excluded.len() < MAX_EXCLUDED && !leads_back(universe, package, by);
                if !late || !above(universe, settled, &closure).contains(&by) {
                    let open = found.into_undecided(universe);
                    return Err(first(universe, &excluded, open));
                }
                let clause = relation.to_string();
                universe.packages[package].out = Some(Out::Excluded { by: Some(by), clause });
                excluded.push((by, found));
            }
            Err(Contradiction::Other(open)) => return Err(first(universe, &excluded, open)),
        }
    }
}

/// The first contradiction is the most useful one to report.
fn first(universe: &Universe<'_>, excluded: &[(PackageId, Contradiction)], open: Undecided) -> Undecided {
    excluded
        .first()
        .map_or(open, |(_, found)| found.clone().into_undecided(universe))
}

/// Packages chosen by their own names that are reached from `world` through such packages only.
fn above(universe: &Universe<'_>, settled: &Settled, closure: &Closure<'_>) -> BTreeSet<PackageId> {
    let mut found = BTreeSet::new();
    let wished = settled.world.iter().filter(|wish| !wish.relation.conflict);
    let mut ahead: Vec<NameId> = wished.map(|wish| wish.name).collect();
    while let Some(name) = ahead.pop() {
        let Some(pick) = closure.picks.get(&name) else { continue };
        let it = &universe.packages[pick.package];
        if it.name == name && found.insert(pick.package) {
            let depends = it.depends.iter().filter(|it| !it.relation.conflict);
            ahead.extend(depends.map(|it| it.name));
        }
    }
    found
}

/// Does a path lead from a name of `package` to a name of `to`, over dependencies, provided names and `install_if`?
/// Also true if the walk exceeds its limits.
fn leads_back(universe: &mut Universe<'_>, package: PackageId, to: PackageId) -> bool {
    let names = |universe: &Universe<'_>, package: PackageId| -> Vec<NameId> {
        universe.packages[package].names.iter().map(|(name, _)| *name).collect()
    };
    let goal = names(universe, to);
    let mut ahead = names(universe, package);
    let mut seen: BTreeSet<NameId> = ahead.iter().copied().collect();
    while let Some(name) = ahead.pop() {
        if goal.contains(&name) || seen.len() > MAX_WALK || universe.affordable().is_err() {
            return true;
        }
        universe.look_up(name);
        let mut near: Vec<PackageId> = universe.providers(name).iter().map(|p| p.package).collect();
        let depends = near.iter().flat_map(|package| &universe.packages[*package].depends);
        let mut next: Vec<NameId> = depends.map(|it| it.name).collect();
        near.extend(universe.triggered_by(name));
        next.extend(near.iter().flat_map(|package| names(universe, *package)));
        ahead.extend(next.into_iter().filter(|name| seen.insert(*name)));
    }
    false
}
