//! Upgrades one package to repair another that is protected and cannot step back.

use super::lookup::When;
use super::plan::Mode;
use super::repair::Memory;
use super::world::{Clause, PackageId, RelationId, World};

impl<'a> World<'a> {
    /// Upgrades a package and what it then needs; returns whether that worked. On failure the mark is undone. Each
    /// package is tried once.
    pub(super) fn pull_up(&mut self, package: PackageId, memory: &mut Memory, depth: usize) -> bool {
        self.count_attempt(depth);
        let open = !memory.tried.contains(&package) && !memory.fixed.contains(&package);
        if !open || !self.is_upgradable(package) {
            return false;
        }
        memory.tried.insert(package);
        let was_keep = self.mode(package) == Mode::Keep;
        if !self.install(package, false, 0) {
            return false;
        }
        let Some(target) = self.packages[package.at()].planned.target else {
            return false;
        };
        for clause in self.critical(target) {
            if !self.pull_up_for(package, &clause, memory, depth) {
                if was_keep {
                    self.keep(package);
                } else {
                    self.remove(package);
                }
                return false;
            }
        }
        true
    }

    fn pull_up_for(&mut self, of: PackageId, clause: &Clause<'a>, memory: &mut Memory, depth: usize) -> bool {
        let mut fine = true;
        for relation in clause.relations() {
            if self.holds(clause, When::Planned) {
                break;
            }
            let other = self.likely(of, relation);
            let settled = other.is_some_and(|other| self.packages[other.at()].planned.protected);
            let helps = self.is_met(relation, When::Candidates) != clause.is_negative();
            if settled {
                fine = false;
            } else if helps {
                fine = other.is_some_and(|other| self.pull_up(other, memory, depth + 1));
                if fine {
                    break;
                }
            } else if clause.is_negative() {
                // Conflicts are for the next round.
                break;
            } else {
                fine = false;
            }
        }
        fine
    }

    /// The package a relation most likely means: the named one, or else the first other that provides the name.
    fn likely(&mut self, of: PackageId, relation: RelationId) -> Option<PackageId> {
        let name = self.relations[relation.at()].name;
        self.load(name);
        let named = self.named(relation);
        if named.is_some_and(|id| !self.packages[id.at()].versions.is_empty()) {
            return named;
        }
        let all = self.providers(name);
        let mut owners = all.iter().map(|it| self.versions[it.by.at()].package);
        owners.find(|owner| *owner != of).or(named)
    }
}
