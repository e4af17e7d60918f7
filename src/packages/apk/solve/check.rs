//! Whether the best of everything go together. Then it does not matter which name apk looks at first: whatever it has chosen
//! by then is among these, and rules out none of these.

use super::best::offers_itself;
use super::closure::{Closure, Here};
use super::settle::Settled;
use super::universe::{Fit, NameId, PackageId, Provider, Universe};
use crate::packages::apk::pending::Undecided;
use crate::packages::apk::relation::Relation;
use std::collections::BTreeSet;

/// # Errors
/// The first contradiction.
pub(in crate::packages::apk) fn check(
    universe: &Universe<'_>,
    settled: &Settled,
    closure: &Closure<'_>,
) -> Result<(), Undecided> {
    let here = Here::of(universe, closure);
    for wish in &settled.world {
        met(universe, &here, wish.name, &wish.relation, None)?;
    }
    for package in closure.chosen() {
        for dependency in &universe.packages[package].depends {
            met(universe, &here, dependency.name, &dependency.relation, Some(package))?;
        }
    }
    let shared = shared(universe, &here)?;
    for name in &shared {
        on_its_own(universe, closure, *name, &shared)?;
    }
    for (name, pick) in &closure.picks {
        let provider = Provider {
            package: pick.package,
            version: pick.version,
        };
        let bare = !offers_itself(universe, provider);
        if bare && others(universe, *name, provider).any(|other| offers_itself(universe, *other)) {
            // Only once the package itself is asked for would it be taken, and then another may have been.
            return Err(choice(universe, *name, provider));
        }
        tagged(universe, settled, closure, *name, provider)?;
    }
    Ok(())
}

fn met(
    universe: &Universe<'_>,
    here: &Here<'_>,
    name: NameId,
    relation: &Relation,
    of: Option<PackageId>,
) -> Result<(), Undecided> {
    let there = here.0.get(&name).map(Vec::as_slice).unwrap_or_default();
    let missing = there.is_empty() && !relation.conflict;
    let clashes = |p: &&Provider<'_>| universe.fit(relation, **p, of) != Fit::Yes;
    match there.iter().find(clashes) {
        None if !missing => Ok(()),
        against => Err(Undecided::Clash {
            package: of.map_or_else(|| "world".to_owned(), |package| universe.shown(package)),
            clause: relation.to_string(),
            against: against.map_or_else(|| "nothing".to_owned(), |p| universe.shown(p.package)),
        }),
    }
}

/// The names that several chosen packages have. With versions, only one may.
fn shared(universe: &Universe<'_>, here: &Here<'_>) -> Result<BTreeSet<NameId>, Undecided> {
    let mut found = BTreeSet::new();
    for (name, there) in &here.0 {
        let other = there.iter().find(|p| p.package != there[0].package);
        let Some(other) = other else { continue };
        if there.iter().any(|p| p.version.is_some()) {
            return Err(Undecided::Clash {
                package: universe.shown(there[0].package),
                clause: universe.text(*name).to_owned(),
                against: universe.shown(other.package),
            });
        }
        found.insert(*name);
    }
    Ok(found)
}

/// The best for a shared name may not be what apk ends with, unless it is there for another reason as well.
fn on_its_own(
    universe: &Universe<'_>,
    closure: &Closure<'_>,
    name: NameId,
    shared: &BTreeSet<NameId>,
) -> Result<(), Undecided> {
    let Some(pick) = closure.picks.get(&name) else {
        return Ok(());
    };
    let same =
        |(other, it): (&NameId, &super::closure::Pick<'_>)| it.package == pick.package && !shared.contains(other);
    if closure.picks.iter().any(same) {
        return Ok(());
    }
    Err(choice(
        universe,
        name,
        Provider {
            package: pick.package,
            version: pick.version,
        },
    ))
}

/// A tag that only some of those who need a package pass on arrives in time or not.
fn tagged(
    universe: &Universe<'_>,
    settled: &Settled,
    closure: &Closure<'_>,
    name: NameId,
    pick: Provider<'_>,
) -> Result<(), Undecided> {
    let undecided = || Undecided::Tags {
        name: universe.text(name).to_owned(),
    };
    let late = |p: &Provider<'_>| !universe.is_allowed(p.package, 0);
    if late(&pick) {
        let all = closure.chosen().into_iter().all(|by| {
            let inherited = closure.inherited.get(&by).copied().unwrap_or_default();
            let asks = universe.packages[by]
                .depends
                .iter()
                .any(|it| it.name == name && !it.relation.conflict);
            !asks || universe.is_allowed(pick.package, universe.packages[by].allowed | inherited)
        });
        if !all || settled.world.iter().any(|wish| wish.name == name) {
            return Err(undecided());
        }
    } else if !universe.is_preferred(pick.package) && others(universe, name, pick).any(late) {
        return Err(undecided());
    }
    Ok(())
}

fn others<'u, 'a>(
    universe: &'u Universe<'a>,
    name: NameId,
    pick: Provider<'_>,
) -> impl Iterator<Item = &'u Provider<'a>> {
    let left = move |p: &&Provider<'_>| p.package != pick.package && universe.packages[p.package].out.is_none();
    universe.providers(name).iter().filter(left)
}

fn choice(universe: &Universe<'_>, name: NameId, pick: Provider<'_>) -> Undecided {
    let other = others(universe, name, pick).next();
    Undecided::Choice {
        name: universe.text(name).to_owned(),
        between: [
            universe.shown(pick.package),
            other.map_or_else(|| "others".to_owned(), |p| universe.shown(p.package)),
        ],
    }
}
