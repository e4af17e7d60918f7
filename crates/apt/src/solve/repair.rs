//! Resolves the conflicts and unmet dependencies that are left after marking.
//!
//! Broken packages are visited from the highest score to the lowest. Either the package keeps its installed version, or
//! the package it clashes with does, or one of the two is removed. This takes several rounds, since one repair can
//! break another package.

use super::lookup::When;
use super::order::sort_as_libstdcxx;
use super::plan::Mode;
use super::world::{Clause, PackageId, RelationId, Scope, World};
use crate::index::stanza::Kind;
use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;

/// Rounds after which the repair gives up; apt's own number.
const ROUNDS: usize = 20;

/// What is remembered across the rounds.
#[derive(Default)]
pub(super) struct Memory {
    /// Packages that were marked when the repair began and whose mark was not retried yet.
    reinstate: HashSet<PackageId>,
    /// Packages whose upgrade was already tried, to help another package or as a retry.
    pub(super) tried: HashSet<PackageId>,
    /// Packages that must not be upgraded to help another one.
    pub(super) fixed: HashSet<PackageId>,
}

/// What happens to a package if none of a clause's alternatives can be met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Otherwise {
    Remove,
    Keep,
}

/// One look at a broken package.
struct Look<'a> {
    package: PackageId,
    round: usize,
    changed: bool,
    /// Packages that would have to give way, each with the clause that demands it.
    others: Vec<(PackageId, Clause<'a>)>,
}

/// A clause that does not hold.
struct Broken<'a> {
    clause: Clause<'a>,
    /// It has alternatives.
    choice: bool,
    otherwise: Otherwise,
}

/// The result of trying one alternative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Came {
    /// Look at the next alternative, or clause.
    Open,
    /// The package itself was dealt with.
    Settled,
    /// No version can meet the clause, so the package keeps its installed version: no further clause matters.
    Over,
}

impl<'a> World<'a> {
    /// Repairs the plan; returns whether no package is broken at the end. `fixed`: packages that are kept back on
    /// purpose.
    pub(super) fn repair(&mut self, fixed: Vec<PackageId>) -> bool {
        if self.count_broken() == 0 {
            return true;
        }
        let mut memory = Memory::default();
        let all = self.sorted();
        memory.reinstate = all.into_iter().filter(|p| self.mode(*p) == Mode::Install).collect();
        self.make_scores(&fixed);
        memory.fixed = fixed.into_iter().collect();
        let places = self.places();
        let mut order = BTreeMap::new();
        let mut ordered = 0;
        for round in 0..ROUNDS {
            let mut changed = false;
            let mut last = Bound::Unbounded;
            loop {
                // A visit can load further packages; those further down in the order are visited in the same round.
                while ordered < self.packages.len() {
                    let package = PackageId::nth(ordered);
                    let age = self.age(package) as usize;
                    order.insert((places.get(age).copied().unwrap_or(u32::MAX), package), package);
                    ordered += 1;
                }
                let Some((place, package)) = order.range((last, Bound::Unbounded)).next() else {
                    break;
                };
                last = Bound::Excluded(*place);
                changed |= self.repair_one(*package, round, &mut memory);
            }
            if !changed {
                break;
            }
        }
        self.count_broken() == 0
    }

    /// The position of each package in the order by score, indexed by age.
    fn places(&mut self) -> Vec<u32> {
        let census = self.census();
        let mut all: Vec<(u32, i32)> = census
            .walk()
            .into_iter()
            .map(|id| (id, self.score_of(&census, id)))
            .collect();
        sort_as_libstdcxx(&mut all, |a, b| a.1 > b.1);
        let mut places = vec![0; all.len()];
        for (place, (id, _)) in (0_u32..).zip(all) {
            places[id as usize] = place;
        }
        places
    }

    fn repair_one(&mut self, package: PackageId, round: usize, memory: &mut Memory) -> bool {
        self.try_again(package, memory);
        let Some(target) = self.packages[package.at()].planned.target else {
            return false;
        };
        if !self.is_broken(package) {
            return false;
        }
        let mut look = Look {
            package,
            round,
            changed: false,
            others: Vec::new(),
        };
        for clause in self.critical(target) {
            if self.look_at(clause, memory, &mut look) {
                break;
            }
        }
        if self.packages[package.at()].planned.target.is_some() {
            self.push_aside(&mut look);
        }
        look.changed
    }

    /// Retries a mark that was undone for another package: that one may be removed by now.
    fn try_again(&mut self, package: PackageId, memory: &mut Memory) {
        let it = &self.packages[package.at()];
        let planned = it.planned;
        let open = planned.candidate != planned.target && it.current.is_some() && planned.target.is_some();
        if !open || planned.protected || !memory.reinstate.remove(&package) {
            return;
        }
        memory.tried.insert(package);
        memory.fixed.remove(&package);
        let broken = self.count_broken();
        self.install(package, false, 0);
        if self.is_broken(package) || broken < self.count_broken() {
            self.keep(package);
        }
    }

    /// Returns whether the package was handled, so that its other clauses can wait.
    fn look_at(&mut self, clause: Clause<'a>, memory: &mut Memory, look: &mut Look<'a>) -> bool {
        let relations: Vec<RelationId> = clause.relations().collect();
        let mut broken = Broken {
            clause,
            choice: relations.len() > 1,
            otherwise: Otherwise::Remove,
        };
        let before = look.others.len();
        for relation in relations {
            if self.holds(&clause, When::Planned) {
                return false;
            }
            match self.alternative(&mut broken, relation, memory, look) {
                Came::Over => return true,
                Came::Settled if !broken.choice => return true,
                Came::Settled | Came::Open => {}
            }
        }
        if broken.choice && look.others.len() == before {
            match broken.otherwise {
                Otherwise::Remove if self.packages[look.package.at()].planned.protected => {}
                Otherwise::Remove => {
                    self.remove(look.package);
                    look.changed = true;
                }
                Otherwise::Keep => {
                    self.keep(look.package);
                    look.changed = true;
                }
            }
        }
        false
    }

    fn alternative(
        &mut self,
        broken: &mut Broken<'a>,
        relation: RelationId,
        memory: &mut Memory,
        look: &mut Look<'a>,
    ) -> Came {
        let package = look.package;
        let clause = broken.clause;
        let negative = clause.is_negative();
        let all = self.met_by(relation);
        if all.is_empty() {
            return self.without_any(broken, look);
        }
        for version in all.iter() {
            let other = self.versions[version.at()].package;
            if negative && self.packages[other.at()].planned.target != Some(*version) {
                continue;
            }
            let heavier = self.score(package) > self.score(other);
            if !heavier || !negative && !self.is_met(relation, When::Now) {
                if !self.packages[package.at()].planned.protected {
                    self.step_back(broken, relation, other, look);
                    return Came::Settled;
                }
                // The package is protected and cannot step back, so the other one has to be upgraded.
                if self.pull_up(other, memory, 0) {
                    let least = self.score(other).min(self.score(package));
                    self.set_score(other, least);
                    break;
                }
            } else if clause.kind == Kind::Breaks && self.holds(&clause, When::Candidates) {
                self.install(other, false, 0);
            } else {
                let planned = self.packages[other.at()].planned;
                if planned.protected && planned.mode != Mode::Remove {
                    continue;
                }
                look.others.push((other, clause));
                if !negative {
                    break;
                }
            }
        }
        Came::Open
    }

    /// No version anywhere meets the alternative.
    fn without_any(&mut self, broken: &mut Broken<'a>, look: &mut Look<'a>) -> Came {
        let package = look.package;
        if broken.clause.is_negative() || self.packages[package.at()].planned.protected {
            return Came::Open;
        }
        if !self.is_broken_now(package) {
            if broken.choice {
                return Came::Open;
            }
            look.changed = true;
            self.keep(package);
            return Came::Over;
        }
        if !self.is_repaired_by_keep(broken, package) && !broken.choice {
            self.remove(package);
        }
        look.changed = true;
        Came::Settled
    }

    /// Plans the installed version; returns whether that repairs the package. If the clause has alternatives, the mark
    /// is restored and the other alternatives are tried first.
    fn is_repaired_by_keep(&mut self, broken: &mut Broken<'a>, package: PackageId) -> bool {
        let marked = self.mode(package) == Mode::Install;
        self.keep(package);
        if self.is_broken(package) {
            return false;
        }
        broken.otherwise = Otherwise::Keep;
        if broken.choice && marked {
            self.install(package, false, 0);
        }
        true
    }

    /// Keeps the installed version. If that does not help, the package is removed or, if the clause has alternatives,
    /// the package that the relation names is newly installed.
    fn step_back(&mut self, broken: &mut Broken<'a>, relation: RelationId, other: PackageId, look: &mut Look<'a>) {
        let package = look.package;
        look.changed = true;
        if self.is_repaired_by_keep(broken, package) {
            return;
        }
        if !broken.choice {
            self.remove(package);
            if look.round > 1 && self.score(other) > self.score(package) {
                let score = self.score(other);
                self.set_score(package, score);
            }
            return;
        }
        let Some(new) = self.named(relation) else { return };
        let it = &self.packages[new.at()];
        if it.current.is_some() || it.planned.mode == Mode::Remove || it.planned.candidate.is_none() {
            return;
        }
        let before = self.count_broken();
        self.install(new, true, 1);
        let keeps_choice = self.ways.keeps_choice;
        if keeps_choice {
            broken.otherwise = Otherwise::Keep;
        }
        if self.is_broken(new) || self.count_broken() > before {
            if keeps_choice {
                broken.otherwise = Otherwise::Remove;
            }
            self.remove(new);
        }
    }

    /// The package that a relation names, of the architecture it means.
    pub(super) fn named(&self, relation: RelationId) -> Option<PackageId> {
        let target = &self.relations[relation.at()];
        let own = match target.scope {
            Scope::Usable(own) | Scope::Exactly(own) => own,
            Scope::Any => return None,
            Scope::Every => 0,
        };
        let all = self.names[target.name.at()].packages.iter().copied();
        all.clone().find(|id| self.packages[id.at()].architecture == own)
    }

    /// Makes packages give way to one with a higher score: each keeps its installed version or, in a conflict, is
    /// removed.
    fn push_aside(&mut self, look: &mut Look<'a>) {
        for (other, clause) in std::mem::take(&mut look.others) {
            let gave_way = if self.holds(&clause, When::Now) {
                self.keep(other)
            } else {
                clause.is_negative() && self.remove(other)
            };
            let (own, theirs) = (self.score(look.package), self.score(other));
            if (!gave_way || look.round > 1) && own > theirs {
                self.set_score(other, own);
                look.changed = true;
            }
            look.changed |= gave_way;
        }
    }
}
