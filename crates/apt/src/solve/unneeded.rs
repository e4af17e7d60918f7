//! Drops newly marked packages that no other package needs in the end.
//!
//! Packages are needed if they were installed manually, are essential, required, held or protected, or if such a
//! package depends on, recommends or suggests them. Automatically installed packages that are no longer needed stay
//! (`dist-upgrade` only lists them), but nothing new is installed for them.
//!
//! Not followed: what apt keeps by name or section (`APT::NeverAutoRemove`, `APT::Move-Autobit-Sections`). That is about
//! kernels and transitional packages.

use super::plan::Mode;
use super::world::{Clause, NameId, PackageId, RelationId, VersionId, World};
use crate::index::stanza::Kind;
use crate::version;
use std::collections::{BTreeMap, HashSet};

const REQUIRED: u8 = 1;

impl<'a> World<'a> {
    /// Returns whether the plan still has no broken package.
    pub(super) fn leave_out_unneeded(&mut self) -> bool {
        let new = |world: &Self, package: &PackageId| {
            world.mode(*package) == Mode::Install && world.packages[package.at()].current.is_none()
        };
        let all = (0..self.packages.len()).map(PackageId::nth);
        let mut out: Vec<PackageId> = all.filter(|package| new(self, package)).collect();
        if out.is_empty() {
            return true;
        }
        let needed = self.needed();
        out.retain(|package| !needed.contains(package));
        for package in &out {
            self.remove(*package);
        }
        if !out.is_empty() && self.lacks_anything() {
            self.bring_back(out);
        }
        self.count_broken() == 0
    }

    fn lacks_anything(&mut self) -> bool {
        (0..self.packages.len())
            .map(PackageId::nth)
            .any(|package| self.is_wanting(package))
    }

    /// Reinstates dropped packages that a package in the plan still names as a dependency. apt before 2.9.4 does so
    /// even if an installed package meets that dependency.
    fn bring_back(&mut self, mut out: Vec<PackageId>) {
        while let Some(at) = (0..out.len()).find(|at| self.is_named_by_any(out[*at])) {
            let package = out.swap_remove(at);
            self.install(package, false, 0);
        }
    }

    /// Does an installed or newly marked package name this one, or a name that its candidate provides, as a dependency?
    fn is_named_by_any(&mut self, package: PackageId) -> bool {
        let it = &self.packages[package.at()];
        let mut names = vec![(it.name, None)];
        if let Some(candidate) = it.planned.candidate {
            names[0].1 = Some(self.versions[candidate.at()].text);
            for (name, provided) in self.provided_by(candidate) {
                names.push((self.number(name), provided.version));
            }
        }
        (0..self.packages.len()).map(PackageId::nth).any(|other| {
            let it = &self.packages[other.at()];
            let version = match it.planned.mode {
                Mode::Keep => it.current,
                Mode::Install => it.planned.candidate.filter(|_| it.planned.newer),
                Mode::Remove => None,
            };
            let clauses = version.map(|version| self.clauses(version));
            clauses.iter().flat_map(|clauses| clauses.iter()).any(|clause| {
                let counts = !clause.is_negative() && self.important(clause);
                counts && clause.relations().any(|relation| self.names_one(relation, &names))
            })
        })
    }

    fn names_one(&mut self, relation: RelationId, names: &[(NameId, Option<&'a str>)]) -> bool {
        let target = &self.relations[relation.at()];
        let named = names.iter().any(|(name, version)| {
            let admits = |version: &str| target.limit.is_none_or(|limit| limit.admits(version));
            let fits = version.map_or(target.limit.is_none(), admits);
            *name == target.name && (fits || !self.ways.needs_old_first)
        });
        if !named || !self.ways.needs_old_first {
            return named;
        }
        let all = self.met_by(relation);
        !all.iter().any(|version| {
            let it = &self.packages[self.versions[version.at()].package.at()];
            it.current.is_some() && it.planned.target == Some(*version)
        })
    }

    fn needed(&mut self) -> HashSet<PackageId> {
        let mut needed = HashSet::new();
        let mut explored = HashSet::new();
        for package in self.walk() {
            let mut open = Vec::new();
            if self.chosen(package).is_some() && self.is_needed_anyway(package) {
                open.push(package);
            }
            while let Some(package) = open.pop() {
                let Some(version) = self.chosen(package) else { continue };
                if !needed.insert(package) {
                    continue;
                }
                for clause in self.clauses(version).iter() {
                    if self.makes_needed(clause) {
                        for relation in clause.relations() {
                            self.needed_by(relation, &mut explored, &mut open);
                        }
                    }
                }
            }
        }
        needed
    }

    /// Packages that are needed whether or not another package needs them.
    fn is_needed_anyway(&self, package: PackageId) -> bool {
        let it = &self.packages[package.at()];
        let required = it
            .current
            .is_some_and(|current| self.versions[current.at()].priority == REQUIRED);
        let held = it.held && !self.state.settings.ignore_holds;
        !self.is_automatic(package) || it.essential || it.protected || required || held || it.planned.protected
    }

    fn is_automatic(&self, package: PackageId) -> bool {
        let it = &self.packages[package.at()];
        if it.current.is_none() {
            return true;
        }
        let mut all = self.state.installed_as(self.name(package));
        all.any(|installed| {
            installed.automatic && self.architectures[it.architecture] == self.own_architecture(&installed.architecture)
        })
    }

    fn own_architecture<'s>(&'s self, architecture: &'s str) -> &'s str {
        match architecture {
            "all" => self.architectures.first().copied().unwrap_or_default(),
            own => own,
        }
    }

    /// The version a package will have; `None` if it is removed or not installed.
    fn chosen(&self, package: PackageId) -> Option<VersionId> {
        let it = &self.packages[package.at()];
        match it.planned.mode {
            Mode::Install => it.planned.target,
            Mode::Keep => it.current,
            Mode::Remove => None,
        }
    }

    fn makes_needed(&self, clause: &Clause<'_>) -> bool {
        let settings = &self.state.settings;
        match clause.kind {
            Kind::PreDepends | Kind::Depends => true,
            Kind::Recommends => settings.needs_recommends,
            Kind::Suggests => settings.needs_suggests,
            Kind::Conflicts | Kind::Breaks | Kind::Provides => false,
        }
    }

    /// Adds to `open` every planned package that meets a relation; of several built from one source only those of its
    /// newest version. A name is visited once, unless a version limit excluded one of its packages.
    fn needed_by(&mut self, relation: RelationId, explored: &mut HashSet<NameId>, open: &mut Vec<PackageId>) {
        let target = self.relations[relation.at()].clone();
        if explored.contains(&target.name) {
            return;
        }
        let mut left_out = false;
        let mut by_source: BTreeMap<&'a str, Vec<VersionId>> = BTreeMap::new();
        let mut found: Vec<VersionId> = Vec::new();
        for package in &self.names[target.name.at()].packages {
            let Some(version) = self.chosen(*package) else { continue };
            if self.meets(&target, version) {
                found.push(version);
            } else {
                left_out = true;
            }
        }
        for provided in &self.names[target.name.at()].provided {
            let package = self.versions[provided.by.at()].package;
            if self.chosen(package) != Some(provided.by) {
                continue;
            }
            if self.provides(&target, provided) {
                found.push(provided.by);
            } else {
                left_out = true;
            }
        }
        for version in found {
            by_source
                .entry(self.versions[version.at()].source)
                .or_default()
                .push(version);
        }
        if !left_out {
            explored.insert(target.name);
        }
        let is_old = |version: &VersionId| {
            self.packages[self.versions[version.at()].package.at()]
                .current
                .is_some()
        };
        let old_first = self.ways.needs_old_first && by_source.len() > 1 && by_source.values().flatten().any(is_old);
        for versions in by_source.values() {
            let newest = self.newest_source(versions);
            let providers = versions.iter().filter(|version| {
                self.versions[version.at()].source_version == newest && (!old_first || is_old(version))
            });
            open.extend(providers.map(|version| self.versions[version.at()].package));
        }
    }

    fn newest_source(&self, versions: &[VersionId]) -> &'a str {
        let all = versions
            .iter()
            .map(|version| self.versions[version.at()].source_version);
        all.max_by(|a, b| version::compare(a, b)).unwrap_or_default()
    }
}
