//! What gives way where the marked packages do not fit together.
//!
//! From the heaviest package to the lightest, each that is broken is looked at: either it stays as it is, or what it cannot
//! live with does, or one of them goes. A few rounds, since one repair can break something else.

use super::lookup::When;
use super::plan::Mode;
use super::world::{Clause, PackageId, RelationId, VersionId, World};
use crate::packages::apt::index::stanza::Kind;
use std::collections::HashSet;

/// Rounds after which what is still broken stays broken; apt's own number.
const ROUNDS: usize = 20;

/// What is remembered across the rounds.
#[derive(Default)]
struct Memory {
    /// Marked when the repair began, and not yet tried again.
    reinstate: HashSet<PackageId>,
    /// Upgrades that have been tried for somebody else's sake.
    tried: HashSet<PackageId>,
}

/// What to do with a package none of whose alternatives could be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Otherwise {
    Remove,
    Keep,
}

/// One look at a broken package.
struct Look<'a> {
    changed: bool,
    /// Who would have to give way, and for which clause.
    others: Vec<(PackageId, Clause<'a>)>,
}

/// How an alternative came out.
enum Came {
    /// The clause holds by now.
    Fine,
    /// Look at the next alternative, or clause.
    Open,
    /// The package itself was dealt with.
    Settled,
    /// Nothing can meet it, and the package is back to what it was: no further clause matters.
    Over,
}

impl<'a> World<'a> {
    /// Whether everything fits at the end.
    pub(super) fn repair(&mut self) -> bool {
        if self.count_broken() == 0 {
            return true;
        }
        let mut memory = Memory::default();
        let all = self.sorted();
        memory.reinstate = all.into_iter().filter(|p| self.mode(*p) == Mode::Install).collect();
        self.make_scores();
        let mut order = Vec::new();
        for round in 0..ROUNDS {
            self.arrange(&mut order);
            let mut changed = false;
            for package in order.clone() {
                changed |= self.repair_one(package, round, &mut memory);
            }
            if !changed {
                break;
            }
        }
        self.count_broken() == 0
    }

    /// By weight at the beginning; what is looked at for the first time later comes in by its own.
    fn arrange(&self, order: &mut Vec<PackageId>) {
        let known: HashSet<PackageId> = order.iter().copied().collect();
        let mut new: Vec<PackageId> = self.sorted().into_iter().filter(|p| !known.contains(p)).collect();
        new.sort_by_key(|package| std::cmp::Reverse(self.score(*package)));
        order.extend(new);
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
            changed: false,
            others: Vec::new(),
        };
        for clause in self.critical(target) {
            if self.holds(&clause, When::Planned) {
                continue;
            }
            if self.look_at(package, &clause, round, memory, &mut look) {
                break;
            }
        }
        if self.packages[package.at()].planned.target.is_some() {
            self.push_aside(package, round, &mut look);
        }
        look.changed
    }

    /// A mark that was taken back for somebody who is gone by now can be made again.
    fn try_again(&mut self, package: PackageId, memory: &mut Memory) {
        let it = &self.packages[package.at()];
        let planned = it.planned;
        let open = planned.candidate != planned.target && it.current.is_some() && planned.target.is_some();
        if !open || planned.fixed || !memory.reinstate.remove(&package) {
            return;
        }
        memory.tried.insert(package);
        let broken = self.count_broken();
        self.install(package, false, 0);
        if self.is_broken(package) || broken < self.count_broken() {
            self.keep(package);
        }
    }

    /// Whether the package is dealt with and its other clauses can wait.
    fn look_at(
        &mut self,
        package: PackageId,
        clause: &Clause<'a>,
        round: usize,
        memory: &mut Memory,
        look: &mut Look<'a>,
    ) -> bool {
        let relations: Vec<RelationId> = clause.relations().collect();
        let choice = relations.len() > 1;
        let before = look.others.len();
        let mut otherwise = Otherwise::Remove;
        for relation in relations {
            let came = self.alternative(
                package,
                clause,
                relation,
                choice,
                &mut otherwise,
                (round, &mut *memory),
                look,
            );
            match came {
                Came::Fine => return false,
                Came::Over => return true,
                Came::Settled if !choice => return true,
                Came::Settled | Came::Open => {}
            }
        }
        if choice && look.others.len() == before {
            match otherwise {
                Otherwise::Remove if self.packages[package.at()].planned.fixed => {}
                Otherwise::Remove => {
                    self.remove(package);
                    look.changed = true;
                }
                Otherwise::Keep => {
                    self.keep(package);
                    look.changed = true;
                }
            }
        }
        false
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one step of a walk whose state has no meaning of its own"
    )]
    fn alternative(
        &mut self,
        package: PackageId,
        clause: &Clause<'a>,
        relation: RelationId,
        choice: bool,
        otherwise: &mut Otherwise,
        (round, memory): (usize, &mut Memory),
        look: &mut Look<'a>,
    ) -> Came {
        if self.holds(clause, When::Planned) {
            return Came::Fine;
        }
        let negative = clause.is_negative();
        let fixed = self.packages[package.at()].planned.fixed;
        let all = self.met_by(relation);
        if all.is_empty() && !negative && !fixed {
            if !self.is_broken_now(package) {
                if choice {
                    return Came::Open;
                }
                look.changed = true;
                self.keep(package);
                return Came::Over;
            }
            self.step_back(package, choice, otherwise);
            look.changed = true;
            return Came::Settled;
        }
        for version in all.iter() {
            let other = self.versions[version.at()].package;
            if negative && self.packages[other.at()].planned.target != Some(*version) {
                continue;
            }
            let lighter = self.score(package) <= self.score(other) || !negative && !self.is_met_now(relation);
            if lighter && fixed {
                // It cannot step back itself: the other has to move.
                if self.pull_up(other, memory) {
                    let least = self.score(other).min(self.score(package));
                    self.set_score(other, least);
                    return Came::Open;
                }
            } else if lighter {
                if !self.step_back(package, choice, otherwise) {
                    self.after_step_back(package, relation, other, choice, round, otherwise);
                }
                look.changed = true;
                return Came::Settled;
            } else if clause.kind == Kind::Breaks && self.holds(clause, When::Candidates) {
                self.install(other, false, 0);
            } else {
                let planned = self.packages[other.at()].planned;
                if planned.fixed && planned.mode != Mode::Remove {
                    continue;
                }
                look.others.push((other, *clause));
                if !negative {
                    break;
                }
            }
        }
        Came::Open
    }

    /// Keeps the package as it is installed. Whether that mended it; where there is a choice, the others are looked at first.
    fn step_back(&mut self, package: PackageId, choice: bool, otherwise: &mut Otherwise) -> bool {
        let marked = self.mode(package) == Mode::Install;
        self.keep(package);
        if self.is_broken(package) {
            return false;
        }
        *otherwise = Otherwise::Keep;
        if choice && marked {
            self.install(package, false, 0);
        }
        true
    }

    /// Stepping back did not help: it goes, or where there is a choice something new comes for it.
    fn after_step_back(
        &mut self,
        package: PackageId,
        relation: RelationId,
        other: PackageId,
        choice: bool,
        round: usize,
        otherwise: &mut Otherwise,
    ) {
        if !choice {
            self.remove(package);
            if round > 1 && self.score(other) > self.score(package) {
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
        let broken = self.count_broken();
        self.install(new, true, 1);
        *otherwise = Otherwise::Keep;
        if self.is_broken(new) || self.count_broken() > broken {
            *otherwise = Otherwise::Remove;
            self.remove(new);
        }
    }

    /// The package that a relation names, of the architecture it means.
    fn named(&self, relation: RelationId) -> Option<PackageId> {
        let target = &self.relations[relation.at()];
        let own = match target.scope {
            super::world::Scope::Usable(own) | super::world::Scope::Exactly(own) => own,
            super::world::Scope::Any | super::world::Scope::Every => 0,
        };
        let all = self.names[target.name.at()].packages.iter().copied();
        all.clone().find(|id| self.packages[id.at()].architecture == own)
    }

    /// Upgrades a package for another's sake, and what it then needs. Whether that worked; if not, it is as before.
    fn pull_up(&mut self, package: PackageId, memory: &mut Memory) -> bool {
        if self.packages[package.at()].planned.fixed || !self.is_upgradable(package) || !memory.tried.insert(package) {
            return false;
        }
        let kept = self.mode(package) == Mode::Keep;
        if !self.install(package, false, 0) {
            return false;
        }
        let Some(target) = self.packages[package.at()].planned.target else {
            return false;
        };
        for clause in self.critical(target) {
            if !self.pull_up_for(&clause, memory) {
                if kept {
                    self.keep(package);
                } else {
                    self.remove(package);
                }
                return false;
            }
        }
        true
    }

    fn pull_up_for(&mut self, clause: &Clause<'a>, memory: &mut Memory) -> bool {
        let mut fine = true;
        for relation in clause.relations() {
            if self.holds(clause, When::Planned) {
                break;
            }
            let other = self.likely(relation);
            let fixed = other.is_some_and(|other| self.packages[other.at()].planned.fixed);
            let helps = self.is_met(relation, When::Candidates) != clause.is_negative();
            if fixed {
                fine = false;
            } else if helps {
                fine = other.is_some_and(|other| self.pull_up(other, memory));
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

    /// The package a relation most likely means: the named one, or the only one that provides the name.
    fn likely(&mut self, relation: RelationId) -> Option<PackageId> {
        let all: Vec<VersionId> = self.met_by(relation).to_vec();
        let named = self
            .named(relation)
            .filter(|id| !self.packages[id.at()].versions.is_empty());
        named.or_else(|| all.first().map(|version| self.versions[version.at()].package))
    }

    /// Those that have to give way for a heavier package.
    fn push_aside(&mut self, package: PackageId, round: usize, look: &mut Look<'a>) {
        for (other, clause) in std::mem::take(&mut look.others) {
            let gave_way = if self.holds(&clause, When::Now) {
                self.keep(other)
            } else {
                clause.is_negative() && self.remove(other)
            };
            let (own, theirs) = (self.score(package), self.score(other));
            if (!gave_way || round > 1) && own > theirs {
                self.set_score(other, own);
                look.changed = true;
            }
            look.changed |= gave_way;
        }
    }
}
