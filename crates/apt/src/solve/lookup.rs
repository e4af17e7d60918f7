//! What meets a relation: now, in the plan, or by any version there is.

use super::world::{Clause, NameId, PackageId, Provided, RelationId, Scope, Target, VersionId, World};
use crate::index::stanza::MultiArch;
use std::rc::Rc;

/// In which state of the packages a relation is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// As installed.
    Now,
    Planned,
    /// If every package became its candidate.
    Candidates,
}

impl<'a> World<'a> {
    /// Does the clause hold? Alternatives: one of them; Conflicts and Breaks: nothing is there that they name.
    pub(crate) fn holds(&mut self, clause: &Clause<'a>, when: When) -> bool {
        clause.relations().any(|relation| self.is_met(relation, when)) != clause.is_negative()
    }

    /// Does some package have, in that state, a version that the relation names?
    pub(super) fn is_met(&mut self, relation: RelationId, when: When) -> bool {
        match when {
            When::Now => self.is_met_by(relation, |world, package| world.packages[package.at()].current),
            When::Planned => {
                let notified_at = self.names[self.relations[relation.at()].name.at()].notified_at;
                self.is_met_by(relation, |world, package| world.known_of(package, notified_at).1)
            }
            When::Candidates => {
                // Brings in all that could meet it.
                self.met_by(relation);
                let notified_at = self.names[self.relations[relation.at()].name.at()].notified_at;
                self.is_met_by(relation, |world, package| world.known_of(package, notified_at).0)
            }
        }
    }

    /// Checks only loaded packages: a package that is not loaded is neither installed nor planned.
    pub(super) fn is_met_by(
        &self,
        relation: RelationId,
        chosen: impl Fn(&Self, PackageId) -> Option<VersionId>,
    ) -> bool {
        let target = &self.relations[relation.at()];
        let name = &self.names[target.name.at()];
        let direct = |package: &PackageId| chosen(self, *package).is_some_and(|version| self.meets(target, version));
        let provided = |it: &Provided<'a>| {
            let package = self.versions[it.by.at()].package;
            chosen(self, package) == Some(it.by) && self.provides(target, it)
        };
        name.packages.iter().any(direct) || name.provided.iter().any(provided)
    }

    /// Every version of the archives and of the image that meets the relation: those of the package itself from new to old,
    /// then those that provide it.
    pub(super) fn met_by(&mut self, relation: RelationId) -> Rc<[VersionId]> {
        if let Some(known) = &self.relations[relation.at()].met_by {
            return Rc::clone(known);
        }
        let name = self.relations[relation.at()].name;
        self.load(name);
        let providers = self.providers(name);
        let target = &self.relations[relation.at()];
        let direct = self.names[name.at()].packages.iter();
        let direct = direct.flat_map(|package| self.packages[package.at()].versions.iter().copied());
        let direct = direct.filter(|version| self.meets(target, *version));
        let provided = providers.iter().filter(|it| self.provides(target, it)).map(|it| it.by);
        let found: Rc<[VersionId]> = direct.chain(provided).collect();
        self.relations[relation.at()].met_by = Some(Rc::clone(&found));
        found
    }

    /// All versions that provide a name, the last come first.
    pub(super) fn providers(&mut self, name: NameId) -> Rc<[Provided<'a>]> {
        if let Some(known) = &self.names[name.at()].providers {
            return Rc::clone(known);
        }
        let text = self.names[name.at()].text;
        let archives: Vec<_> = self.files.iter().filter_map(|file| file.archive).collect();
        let mut found: Vec<Provided<'a>> = Vec::new();
        for archive in archives {
            let mut rows: Vec<_> = archive.index.providers(text).collect();
            rows.sort_by_key(|(row, _)| row.place());
            for (row, clause) in rows {
                let Some(by) = self.version_of(row) else { continue };
                // Only the first entry that lists a build counts, as for apt; entries of other archives are ignored.
                if !self.versions[by.at()].described.is_row(row) {
                    continue;
                }
                let Some((_, provided)) = self.provided(by, clause) else {
                    continue;
                };
                if !found.contains(&provided) {
                    found.push(provided);
                }
            }
        }
        // Installed versions that no package repository has any more.
        for provided in &self.names[name.at()].provided {
            if !found.contains(provided) {
                found.push(*provided);
            }
        }
        found.reverse();
        let found: Rc<[Provided<'a>]> = found.into();
        self.names[name.at()].providers = Some(Rc::clone(&found));
        found
    }

    /// As the package that the relation names.
    pub(super) fn meets(&self, target: &Target<'a>, version: VersionId) -> bool {
        let it = &self.versions[version.at()];
        let architecture = self.packages[it.package.at()].architecture;
        let usable = match target.scope {
            Scope::Usable(own) => {
                architecture == own || it.multi_arch == MultiArch::Foreign && self.is_configured(architecture)
            }
            Scope::Any => it.multi_arch == MultiArch::Allowed && self.is_configured(architecture),
            Scope::Exactly(wanted) => architecture == wanted,
            Scope::Every => true,
        };
        usable
            && self.packages[it.package.at()].name == target.name
            && target.limit.is_none_or(|limit| limit.admits(it.text))
            && !(target.negative && self.is_own(target, version))
    }

    /// As one that provides the name.
    pub(super) fn provides(&self, target: &Target<'a>, provided: &Provided<'a>) -> bool {
        let it = &self.versions[provided.by.at()];
        let architecture = self.packages[it.package.at()].architecture;
        let usable = match target.scope {
            Scope::Usable(own) => {
                architecture == own || it.multi_arch == MultiArch::Foreign && self.is_configured(architecture)
            }
            Scope::Any => it.multi_arch == MultiArch::Allowed && self.is_configured(architecture),
            Scope::Exactly(wanted) => architecture == wanted,
            Scope::Every => true,
        };
        let own_name = || {
            let of = self.versions[target.of.at()].package;
            self.packages[of.at()].name == self.packages[it.package.at()].name
        };
        // A limit is never met by something that is provided without a version: Debian Policy §7.5.
        usable
            && !target.implied
            && target
                .limit
                .is_none_or(|limit| provided.version.is_some_and(|version| limit.admits(version)))
            && !(target.negative && own_name())
    }

    /// No package conflicts with itself; nor, where it can be installed for several architectures, with its siblings.
    fn is_own(&self, target: &Target<'a>, version: VersionId) -> bool {
        let of = &self.versions[target.of.at()];
        let package = self.versions[version.at()].package;
        let sibling = self.packages[of.package.at()].name == self.packages[package.at()].name;
        of.package == package || sibling && of.multi_arch == MultiArch::Same && !target.implied
    }
}
