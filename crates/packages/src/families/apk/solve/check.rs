//! Checks that the best choices for all names are compatible. If they are, apk's order of names does not matter:
//! whatever it chooses first is one of them, and rules out none of the others.

use super::best::offers_itself;
use super::closure::{Closure, Here};
use super::settle::Settled;
use super::universe::{Fit, NameId, PackageId, Provider, Universe};
use crate::families::apk::pending::Undecided;
use crate::families::apk::relation::Relation;
use std::collections::BTreeSet;

/// Why the choices are not compatible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::families::apk) enum Contradiction {
    /// A dependency of the package `by` excludes the best choice for a name.
    Against {
        by: PackageId,
        name: NameId,
        relation: Relation,
        package: PackageId,
    },
    Other(Undecided),
}

impl From<Undecided> for Contradiction {
    fn from(undecided: Undecided) -> Self {
        Self::Other(undecided)
    }
}

impl Contradiction {
    pub(in crate::families::apk) fn into_undecided(self, universe: &Universe<'_>) -> Undecided {
        match self {
            Self::Other(undecided) => undecided,
            Self::Against {
                by, relation, package, ..
            } => Undecided::Clash {
                package: universe.shown(by),
                clause: relation.to_string(),
                against: universe.shown(package),
            },
        }
    }
}

/// # Errors
/// The first contradiction.
pub(in crate::families::apk) fn check(
    universe: &Universe<'_>,
    settled: &Settled,
    closure: &Closure<'_>,
) -> Result<(), Contradiction> {
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
            // apk takes such a provider only once its package itself is required, and may have chosen another one by
            // then.
            return Err(choice(universe, *name, provider).into());
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
    by: Option<PackageId>,
) -> Result<(), Contradiction> {
    let there = here.0.get(&name).map(Vec::as_slice).unwrap_or_default();
    let clash = |against| Undecided::Clash {
        package: by.map_or_else(|| "world".to_owned(), |package| universe.shown(package)),
        clause: relation.to_string(),
        against,
    };
    if there.is_empty() && !relation.conflict {
        return Err(clash("nothing".to_owned()).into());
    }
    for provider in there {
        // No dependent is passed: apk 2 would not install a package that conflicts with itself.
        let package = provider.package;
        match (universe.fit(relation, *provider, None), by) {
            (Fit::Yes, _) => {}
            (Fit::No, Some(by)) if by != package => {
                let relation = relation.clone();
                return Err(Contradiction::Against {
                    by,
                    name,
                    relation,
                    package,
                });
            }
            (Fit::No | Fit::Unsure, _) => return Err(clash(universe.shown(package)).into()),
        }
    }
    Ok(())
}

/// Names that several chosen packages have. If any of them has the name with a version, they clash.
fn shared(universe: &Universe<'_>, here: &Here<'_>) -> Result<BTreeSet<NameId>, Undecided> {
    let mut found = BTreeSet::new();
    for (name, there) in &here.0 {
        let [first, others @ ..] = there.as_slice() else {
            continue;
        };
        let Some(other) = others.iter().find(|p| p.package != first.package).or(others.first()) else {
            continue;
        };
        // Also if one package has the name twice.
        if there.iter().any(|p| p.version.is_some()) {
            return Err(Undecided::Clash {
                package: universe.shown(first.package),
                clause: universe.text(*name).to_owned(),
                against: universe.shown(other.package),
            });
        }
        found.insert(*name);
    }
    Ok(found)
}

/// apk may end with another package for a shared name, unless the best one is also chosen for a name that is not
/// shared.
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

/// If only some dependents of a package pass on the tag that allows it, the result depends on which of them apk visits
/// first.
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
            let requires = universe.packages[by]
                .depends
                .iter()
                .any(|it| it.name == name && !it.relation.conflict);
            !requires || universe.is_allowed(pick.package, universe.packages[by].allowed | inherited)
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
