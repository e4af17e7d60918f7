//! Chooses the best remaining package for every required name, and for the names that those packages require.

use super::best::{Inherited, best, offers_itself};
use super::settle::Settled;
use super::universe::{Fit, NameId, PackageId, Provider, Universe};
use crate::families::apk::pending::Undecided;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The choices depend on the required names and the required names on the choices, so rounds repeat until nothing
/// changes; in practice the second one changes nothing.
const ROUNDS: usize = 16;
const MAX_CHOSEN: usize = 1 << 17;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::families::apk) struct Closure<'a> {
    pub(in crate::families::apk) picks: BTreeMap<NameId, Pick<'a>>,
    pub(in crate::families::apk) required: BTreeSet<NameId>,
    pub(in crate::families::apk) inherited: Inherited,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::families::apk) struct Pick<'a> {
    pub(in crate::families::apk) package: PackageId,
    pub(in crate::families::apk) version: Option<&'a str>,
}

/// # Errors
/// If a choice is undecided, or if no provider is left for a name that a choice requires.
pub(in crate::families::apk) fn closure<'a>(
    universe: &mut Universe<'a>,
    settled: &Settled,
) -> Result<Closure<'a>, Undecided> {
    let mut known = Closure {
        required: settled.required.iter().copied().collect(),
        ..Closure::default()
    };
    for _ in 0..ROUNDS {
        let next = expand(universe, settled, &known)?;
        if next == known {
            return Ok(next);
        }
        known = next;
    }
    Err(Undecided::TooMuch)
}

/// One round over all names, based on the result of the previous round.
fn expand<'a>(universe: &mut Universe<'a>, settled: &Settled, known: &Closure<'a>) -> Result<Closure<'a>, Undecided> {
    let mut found = Closure::default();
    let mut queue: VecDeque<NameId> = settled.required.iter().copied().collect();
    found.required.extend(&queue);
    let mut by: BTreeMap<NameId, PackageId> = BTreeMap::new();
    loop {
        while let Some(name) = queue.pop_front() {
            universe.look_up(name);
            universe.affordable()?;
            universe.all_installable(name)?;
            if found.picks.len() > MAX_CHOSEN {
                return Err(Undecided::TooMuch);
            }
            let candidates = candidates(universe, name, &known.required);
            let Some(pick) = best(universe, name, &candidates, &known.inherited)? else {
                return Err(match by.get(&name) {
                    Some(package) => Undecided::Unmet {
                        package: universe.shown(*package),
                        name: universe.text(name).to_owned(),
                    },
                    None => Undecided::Nobody {
                        name: universe.text(name).to_owned(),
                    },
                });
            };
            // apk keeps what `install_if` brought in before the name was required, even if another package is better.
            if found.picks.get(&name).is_some_and(|had| had.package != pick.package) {
                return Err(Undecided::Triggered {
                    name: universe.text(name).to_owned(),
                });
            }
            found.take(universe, name, pick, &mut queue, &mut by);
        }
        if !found.add_triggered(universe, known, &mut queue, &mut by)? {
            return Ok(found);
        }
    }
}

fn candidates<'a>(universe: &Universe<'a>, name: NameId, required: &BTreeSet<NameId>) -> Vec<Provider<'a>> {
    let fits = |p: &&Provider<'_>| {
        let package = &universe.packages[p.package];
        package.out.is_none() && (offers_itself(universe, **p) || required.contains(&package.name))
    };
    universe.providers(name).iter().filter(fits).copied().collect()
}

impl<'a> Closure<'a> {
    pub(in crate::families::apk) fn chosen(&self) -> BTreeSet<PackageId> {
        self.picks.values().map(|pick| pick.package).collect()
    }

    fn take(
        &mut self,
        universe: &mut Universe<'a>,
        name: NameId,
        pick: Provider<'a>,
        queue: &mut VecDeque<NameId>,
        by: &mut BTreeMap<NameId, PackageId>,
    ) {
        let Provider { package, version } = pick;
        self.picks.insert(name, Pick { package, version });
        let passed_on = universe.packages[package].allowed | self.inherited.get(&package).copied().unwrap_or_default();
        for at in 0..universe.packages[package].depends.len() {
            let dependency = &universe.packages[package].depends[at];
            let (name, conflict) = (dependency.name, dependency.relation.conflict);
            universe.look_up(name);
            let relation = &universe.packages[package].depends[at].relation;
            for provider in universe.providers(name) {
                if universe.fit(relation, *provider, Some(package)) != Fit::No {
                    *self.inherited.entry(provider.package).or_default() |= passed_on;
                }
            }
            if !conflict && self.required.insert(name) {
                by.insert(name, package);
                queue.push_back(name);
            }
        }
    }

    /// Adds packages whose `install_if` condition holds. Returns whether there were any.
    fn add_triggered(
        &mut self,
        universe: &mut Universe<'a>,
        known: &Self,
        queue: &mut VecDeque<NameId>,
        by: &mut BTreeMap<NameId, PackageId>,
    ) -> Result<bool, Undecided> {
        let mut triggered: BTreeMap<NameId, Vec<Provider<'a>>> = BTreeMap::new();
        let here = Here::of(universe, self);
        let mut seen = BTreeSet::new();
        for name in here.0.keys() {
            for package in universe.triggered_by(*name) {
                if !seen.insert(package) || universe.packages[package].out.is_some() {
                    continue;
                }
                if !here.trigger(universe, package)? {
                    continue;
                }
                // The packages that trigger it pass on their tags.
                let passed_on = here.behind(universe, package).fold(0, |mask, by| {
                    mask | universe.packages[by].allowed | known.inherited.get(&by).copied().unwrap_or_default()
                });
                *self.inherited.entry(package).or_default() |= passed_on;
                let inherited = known.inherited.get(&package).copied().unwrap_or_default() | passed_on;
                if universe.is_allowed(package, inherited) {
                    let it = &universe.packages[package];
                    let version = Some(it.entry.version);
                    triggered
                        .entry(it.name)
                        .or_default()
                        .push(Provider { package, version });
                }
            }
        }
        let mut added = false;
        for (name, candidates) in triggered {
            let picked = self.picks.get(&name).map(|pick| pick.package);
            let conditions = |p: &Provider<'_>| -> BTreeSet<NameId> {
                universe.packages[p.package]
                    .install_if
                    .iter()
                    .map(|it| it.name)
                    .collect()
            };
            let together = candidates
                .windows(2)
                .all(|pair| conditions(&pair[0]) == conditions(&pair[1]));
            let undecided = || Undecided::Triggered {
                name: universe.text(name).to_owned(),
            };
            if self.required.contains(&name) {
                // `install_if` may bring it in before it is required, and then in another version.
                let same = candidates.iter().any(|p| Some(p.package) == picked);
                let best = best(universe, name, &candidates, &known.inherited)?;
                if !same || best.map(|p| p.package) != picked {
                    return Err(undecided());
                }
                continue;
            }
            if !together {
                return Err(undecided());
            }
            let Some(best) = best(universe, name, &candidates, &known.inherited)? else {
                continue;
            };
            if picked != Some(best.package) {
                self.take(universe, name, best, queue, by);
                added = true;
            }
        }
        Ok(added)
    }
}

/// The chosen packages by each of their names.
pub(in crate::families::apk) struct Here<'a>(pub(in crate::families::apk) BTreeMap<NameId, Vec<Provider<'a>>>);

impl<'a> Here<'a> {
    pub(in crate::families::apk) fn of(universe: &Universe<'a>, closure: &Closure<'a>) -> Self {
        let mut found: BTreeMap<NameId, Vec<Provider<'a>>> = BTreeMap::new();
        for package in closure.chosen() {
            for (name, version) in &universe.packages[package].names {
                found.entry(*name).or_default().push(Provider {
                    package,
                    version: *version,
                });
            }
        }
        Self(found)
    }

    /// The packages that trigger another one through its `install_if`.
    fn behind(&self, universe: &Universe<'_>, package: PackageId) -> impl Iterator<Item = PackageId> {
        let conditions = universe.packages[package].install_if.iter();
        conditions
            .filter_map(|it| self.0.get(&it.name))
            .flatten()
            .map(|p| p.package)
    }

    fn trigger(&self, universe: &Universe<'_>, package: PackageId) -> Result<bool, Undecided> {
        let conditions = &universe.packages[package].install_if;
        let holds = |name, relation| {
            let there = self.0.get(&name).map(Vec::as_slice).unwrap_or_default();
            there
                .iter()
                .any(|p| universe.fit(relation, *p, Some(package)) == Fit::Yes)
        };
        let positive = conditions.iter().filter(|it| !it.relation.conflict);
        if conditions.is_empty() || !positive.clone().all(|it| holds(it.name, &it.relation)) {
            return Ok(false);
        }
        let mut negative = conditions.iter().filter(|it| it.relation.conflict);
        if negative
            .clone()
            .any(|it| self.0.contains_key(&it.name) && !holds(it.name, &it.relation))
        {
            return Ok(false);
        }
        // With a negative condition apk 3 would install it, apk 2 would not.
        match negative.next() {
            None => Ok(true),
            Some(_) => Err(Undecided::Triggered {
                name: universe.packages[package].entry.name.to_owned(),
            }),
        }
    }
}
