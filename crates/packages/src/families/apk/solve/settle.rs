//! What follows from `world` without any choice: names that are required, packages that are ruled out.
//!
//! Only packages that apk itself rules out before its first decision are ruled out here. An unmet dependency therefore
//! counts only if a provider of one of the package's dependencies was ruled out before: apk rechecks only such
//! packages, and may well choose a package with an unmet dependency and then fail.

use super::universe::{Dependency, Fit, NameId, Out, PackageId, Provider, UNTAGGED, Universe};
use crate::families::apk::pending::{Refusal, Undecided};
use crate::families::apk::relation::Relation;
use std::collections::{BTreeMap, BTreeSet};

/// How many names are looked at before we give up: a large desktop needs some ten thousand looks.
const MAX_LOOKS: usize = 1 << 20;

/// Names that every solution requires, in the order in which they were found, each with the first package that requires
/// it.
#[derive(Debug, Default)]
pub(in crate::families::apk) struct Settled {
    pub(in crate::families::apk) required: Vec<NameId>,
    pub(in crate::families::apk) requirements: BTreeMap<NameId, Requirement>,
    pub(in crate::families::apk) world: Vec<Wish>,
}

/// `by` is none for `world`.
#[derive(Debug, Clone)]
pub(in crate::families::apk) struct Requirement {
    pub(in crate::families::apk) by: Option<PackageId>,
    pub(in crate::families::apk) clause: String,
}

#[derive(Debug)]
pub(in crate::families::apk) struct Wish {
    pub(in crate::families::apk) name: NameId,
    pub(in crate::families::apk) relation: Relation,
}

/// # Errors
/// If no provider is left for a required name; apk fails then, too.
pub(in crate::families::apk) fn settle(universe: &mut Universe<'_>, world: &[Relation]) -> Result<Settled, Refusal> {
    let mut settled = Settled::default();
    for relation in world {
        let name = universe.name(&relation.name);
        settled.wish(universe, name, relation)?;
    }
    let mut looks = 0;
    loop {
        let mut changed = false;
        let mut at = 0;
        // Names that are found on the way are looked at in the same pass.
        while let Some(name) = settled.required.get(at).copied() {
            changed |= settled.look(universe, name)?;
            at += 1;
            looks += 1;
            if looks > MAX_LOOKS {
                return Err(Undecided::TooMuch.into());
            }
        }
        if !changed {
            break;
        }
    }
    for name in &settled.required {
        if !universe
            .providers(*name)
            .iter()
            .any(|p| universe.packages[p.package].out.is_none())
        {
            let requirement = settled.requirements.get(name);
            return Err(Refusal::Unsatisfiable {
                clause: requirement.map_or_else(
                    || universe.text(*name).to_owned(),
                    |requirement| requirement.clause.clone(),
                ),
                required_by: requirement
                    .and_then(|requirement| requirement.by)
                    .map_or_else(|| "world".to_owned(), |by| universe.shown(by)),
            });
        }
    }
    Ok(settled)
}

impl Settled {
    fn wish(&mut self, universe: &mut Universe<'_>, name: NameId, relation: &Relation) -> Result<(), Refusal> {
        let tag = universe
            .tag(relation.tag.as_deref())
            .ok_or_else(|| Refusal::UnknownTag {
                clause: relation.to_string(),
            })?;
        universe.look_up(name);
        self.apply(universe, name, relation, None)?;
        for provider in universe.providers(name).to_vec() {
            if universe.fit(relation, provider, None) == Fit::No {
                continue;
            }
            let package = &mut universe.packages[provider.package];
            if package.preferred.is_some_and(|preferred| preferred != tag) {
                // The last tag counts for apk, and which one is last depends on its order.
                return Err(Undecided::Tags {
                    name: relation.name.clone(),
                }
                .into());
            }
            package.preferred = Some(tag);
            package.allowed |= tag | UNTAGGED;
        }
        self.world.push(Wish {
            name,
            relation: relation.clone(),
        });
        Ok(())
    }

    /// Whether anything new was found.
    fn apply(
        &mut self,
        universe: &mut Universe<'_>,
        name: NameId,
        relation: &Relation,
        by: Option<PackageId>,
    ) -> Result<bool, Refusal> {
        universe.look_up(name);
        let mut changed = !relation.conflict && self.require(name, by, relation);
        for provider in universe.providers(name).to_vec() {
            match universe.fit(relation, provider, by) {
                Fit::Yes => {}
                // Not ruled out: if such a provider is chosen in the end, `check` reports it.
                Fit::Unsure if !relation.conflict => {}
                Fit::Unsure => {
                    return Err(Undecided::Unversioned {
                        clause: relation.to_string(),
                    }
                    .into());
                }
                Fit::No => {
                    let clause = relation.to_string();
                    changed |= rule_out(universe, provider.package, Out::Excluded { by, clause });
                }
            }
        }
        Ok(changed)
    }

    fn require(&mut self, name: NameId, by: Option<PackageId>, relation: &Relation) -> bool {
        if self.requirements.contains_key(&name) {
            return false;
        }
        let clause = relation.to_string();
        self.requirements.insert(name, Requirement { by, clause });
        self.required.push(name);
        true
    }

    /// Whether anything new was found.
    fn look(&mut self, universe: &mut Universe<'_>, name: NameId) -> Result<bool, Refusal> {
        universe.look_up(name);
        universe.all_installable(name)?;
        let mut changed = look_again(universe, name)?;
        let left: Vec<Provider<'_>> = seen_by_apk(universe, name);
        let mut seen = BTreeSet::new();
        match left.as_slice() {
            [] => {}
            [only] => {
                let only = only.package;
                for at in 0..universe.packages[only].depends.len() {
                    let Dependency { name, relation } = &universe.packages[only].depends[at];
                    // Of several dependencies on the same name, apk applies only the first before it chooses.
                    if !relation.conflict && seen.insert(*name) {
                        let (name, relation) = (*name, relation.clone());
                        changed |= self.apply(universe, name, &relation, Some(only))?;
                    }
                }
            }
            [first, others @ ..] => {
                let has = |package: PackageId, name: NameId| {
                    let mut depends = universe.packages[package].depends.iter();
                    depends.any(|it| it.name == name && !it.relation.conflict)
                };
                for it in &universe.packages[first.package].depends {
                    if !it.relation.conflict && others.iter().all(|other| has(other.package, it.name)) {
                        changed |= self.require(it.name, Some(first.package), &it.relation);
                    }
                }
            }
        }
        Ok(changed | rule_out_others(universe, name, &left))
    }
}

/// The providers that apk considers for a name. It does not recheck the name when another name rules one of them out.
fn seen_by_apk<'a>(universe: &Universe<'a>, name: NameId) -> Vec<Provider<'a>> {
    let left = |p: &&Provider<'_>| match &universe.packages[p.package].out {
        None | Some(Out::Excluded { by: Some(_), .. } | Out::Beside { .. }) => true,
        Some(Out::Excluded { by: None, .. } | Out::Needs { .. } | Out::Uninstallable) => false,
    };
    universe.providers(name).iter().filter(left).copied().collect()
}

/// Rules a package out; returns whether it was not ruled out before.
fn rule_out(universe: &mut Universe<'_>, package: PackageId, why: Out) -> bool {
    let out = &mut universe.packages[package].out;
    let new = out.is_none();
    if new {
        *out = Some(why);
    }
    new
}

/// Once any package that the providers depend on was ruled out, rules out the providers with an unmet dependency.
fn look_again(universe: &mut Universe<'_>, name: NameId) -> Result<bool, Undecided> {
    let providers = universe.providers(name).to_vec();
    for provider in &providers {
        for at in 0..universe.packages[provider.package].depends.len() {
            let name = universe.packages[provider.package].depends[at].name;
            universe.look_up(name);
        }
    }
    let lost = |name: NameId| {
        universe
            .providers(name)
            .iter()
            .any(|p| universe.packages[p.package].is_ruled_out())
    };
    let touched = |p: &Provider<'_>| universe.packages[p.package].depends.iter().any(|it| lost(it.name));
    let mut any = false;
    for provider in &providers {
        universe.affordable()?;
        any = any || touched(provider);
    }
    if !any {
        return Ok(false);
    }
    let mut changed = false;
    for provider in providers {
        universe.affordable()?;
        let it = &universe.packages[provider.package];
        let unmet = it.depends.iter().find(|dependency| {
            !dependency.relation.conflict
                && !universe.providers(dependency.name).iter().any(|p| {
                    universe.packages[p.package].out.is_none()
                        && universe.fit(&dependency.relation, *p, Some(provider.package)) != Fit::No
                })
        });
        if let Some(unmet) = unmet {
            let clause = unmet.relation.to_string();
            changed |= rule_out(universe, provider.package, Out::Needs { clause });
        }
    }
    Ok(changed)
}

/// If all remaining providers of a name share another name, rules out all other providers of that other name.
fn rule_out_others(universe: &mut Universe<'_>, name: NameId, left: &[Provider<'_>]) -> bool {
    let Some((first, others)) = left.split_first() else {
        return false;
    };
    let mut changed = false;
    let names: BTreeSet<NameId> = universe.packages[first.package]
        .names
        .iter()
        .map(|(it, _)| *it)
        .collect();
    for shared in names.into_iter().filter(|it| *it != name) {
        let has = |p: &Provider<'_>| universe.packages[p.package].names.iter().any(|(it, _)| *it == shared);
        if !others.iter().all(has) {
            continue;
        }
        // Several packages may have the same name without a version. For a package's own name, apk checks the version
        // of the name through which it got here.
        let skip = left.iter().any(|p| {
            let it = &universe.packages[p.package];
            let version = it
                .names
                .iter()
                .find(|(name, _)| *name == shared)
                .and_then(|(_, version)| *version);
            if it.name == shared {
                p.version.is_none()
            } else {
                version.is_none()
            }
        });
        universe.look_up(shared);
        for provider in universe.providers(shared).to_vec() {
            let it = &universe.packages[provider.package];
            let has = it
                .names
                .iter()
                .any(|(it, version)| *it == name || skip && version.is_none());
            if !(has || skip && provider.version.is_none()) {
                changed |= rule_out(universe, provider.package, Out::Beside { name });
            }
        }
    }
    changed
}
