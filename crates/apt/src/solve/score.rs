//! Scores decide which of two packages stays when they exclude each other.
//!
//! The numbers are apt's (apt.conf(5) names them below `pkgProblemResolver::Scores`; nobody sets them): what many depend on,
//! what is important, essential or not to be changed weighs more.

use super::census::{ANY, Census};
use super::world::{Architecture, NameId, PackageId, RelationId, Scope, Target, World};
use crate::index::stanza::{EXTRA, Kind, Priority};
use foldhash::{HashMap, HashMapExt};

const ESSENTIAL: i32 = 100;
const ESSENTIAL_ON_TOP: i32 = 5000;
const FIXED: i32 = 10_000;
const IN_ARCHIVE: i32 = 1;

type Scores = HashMap<(NameId, Architecture), i32>;

impl World<'_> {
    pub(super) fn score(&self, package: PackageId) -> i32 {
        self.scores.get(&self.key(package)).copied().unwrap_or(0)
    }

    pub(super) fn set_score(&mut self, package: PackageId, score: i32) {
        let key = self.key(package);
        self.scores.insert(key, score);
    }

    fn key(&self, package: PackageId) -> (NameId, Architecture) {
        let it = &self.packages[package.at()];
        (it.name, it.architecture)
    }

    pub(super) fn make_scores(&mut self, fixed: &[PackageId]) {
        let planned: Vec<PackageId> = self
            .walk()
            .into_iter()
            .filter(|package| self.packages[package.at()].planned.target.is_some())
            .collect();
        let mut scores = Scores::new();
        for package in &planned {
            *scores.entry(self.key(*package)).or_default() += self.own_score(*package);
            self.score_relations(*package, &mut scores);
        }
        let own = scores.clone();
        self.inherit(&planned, &own, &mut scores);
        self.share_with_providers(&planned, &own, &mut scores);
        for package in (0..self.packages.len()).map(PackageId::nth) {
            let it = &self.packages[package.at()];
            let mut more = if fixed.contains(&package) { FIXED } else { 0 };
            if it.essential || it.protected {
                more += ESSENTIAL_ON_TOP;
            }
            *scores.entry(self.key(package)).or_default() += more;
        }
        self.scores = scores;
    }

    fn own_score(&self, package: PackageId) -> i32 {
        let it = &self.packages[package.at()];
        let Some(target) = it.planned.target else { return 0 };
        let version = &self.versions[target.at()];
        let mut score = if it.essential || it.protected { ESSENTIAL } else { 0 };
        // A version that no package repository has any more counts as priority `extra`.
        let priority = if self.is_downloadable(version) {
            version.priority
        } else {
            EXTRA
        };
        score += of_priority(priority);
        let candidate = it.planned.candidate.map(|id| &self.versions[id.at()]);
        if it.current.is_some() && candidate.is_some_and(|version| self.is_downloadable(version)) {
            score += IN_ARCHIVE;
        }
        score
    }

    /// Each relation of a planned version counts for what it names, and for what provides that.
    fn score_relations(&mut self, package: PackageId, scores: &mut Scores) {
        let Some(target) = self.packages[package.at()].planned.target else {
            return;
        };
        for clause in self.clauses(target).iter() {
            let worth = of_kind(clause.kind);
            if worth == 0 {
                continue;
            }
            for relation in clause.relations() {
                self.score_relation(relation, worth, scores);
            }
        }
    }

    fn score_relation(&mut self, relation: RelationId, worth: i32, scores: &mut Scores) {
        let target = self.relations[relation.at()].clone();
        let own = self.versions[target.of.at()].package;
        let mut known = false;
        for architecture in self.meant(&target) {
            let named = self.names[target.name.at()].packages.iter().copied();
            let named = named
                .clone()
                .find(|id| self.packages[id.at()].architecture == architecture);
            // No package conflicts with itself.
            let counts = !(target.negative && named == Some(own));
            if counts && target.limit.is_some() {
                let version = named.and_then(|id| self.packages[id.at()].planned.target);
                if !version.is_some_and(|version| self.meets(&target, version)) {
                    continue;
                }
            }
            known = true;
            if counts {
                *scores.entry((target.name, architecture)).or_default() += worth;
            }
        }
        // If the relation has a version limit and the named package does not meet it, apt does not look at the
        // providers.
        if !known {
            return;
        }
        for provider in self.planned_providers(&target) {
            *scores.entry(self.key(provider)).or_default() += worth;
        }
    }

    fn planned_providers(&self, target: &Target<'_>) -> Vec<PackageId> {
        let mut providers: Vec<PackageId> = Vec::new();
        let name = &self.names[target.name.at()];
        for provided in &name.provided {
            let package = self.versions[provided.by.at()].package;
            let there = self.packages[package.at()].planned.target == Some(provided.by);
            if there && !providers.contains(&package) && self.provides(target, provided) {
                providers.push(package);
            }
        }
        if target.scope == Scope::Any {
            // To apt, `name:any` is a separate package that the named ones provide.
            let there = |id: &&PackageId| {
                let version = self.packages[id.at()].planned.target;
                version.is_some_and(|version| self.meets(target, version))
            };
            let named: Vec<PackageId> = name.packages.iter().filter(there).copied().collect();
            providers.extend(named);
        }
        providers
    }

    /// By name: every package has a score, also those that only a relation names.
    pub(super) fn score_of(&self, census: &Census<'_>, id: u32) -> i32 {
        let known = census.known[id as usize];
        let text = census.names[known.name as usize].as_str();
        let base = match known.architecture {
            ANY => text.split(':').next().unwrap_or_default(),
            _ => text,
        };
        let name = self.name_id(base);
        let score = name.and_then(|name| self.scores.get(&(name, known.architecture)));
        score.copied().unwrap_or(0)
    }

    fn meant(&self, target: &Target<'_>) -> Vec<Architecture> {
        match target.scope {
            Scope::Usable(own) | Scope::Exactly(own) => vec![own],
            Scope::Any => vec![ANY],
            Scope::Every => (0..self.state.architectures.len()).collect(),
        }
    }

    /// Adds the own score of each package, if positive, to the packages it depends on: one level deep.
    fn inherit(&mut self, planned: &[PackageId], own: &Scores, scores: &mut Scores) {
        for package in planned {
            let Some(more) = own.get(&self.key(*package)).copied().filter(|score| *score > 0) else {
                continue;
            };
            let Some(target) = self.packages[package.at()].planned.target else {
                continue;
            };
            for clause in self.clauses(target).iter().filter(|clause| of_kind(clause.kind) > 0) {
                for relation in clause.relations() {
                    let wanted = self.relations[relation.at()].clone();
                    for architecture in self.meant(&wanted) {
                        let named = self.names[wanted.name.at()].packages.iter();
                        let there = named.clone().any(|id| {
                            let it = &self.packages[id.at()];
                            it.architecture == architecture && it.planned.target.is_some()
                        });
                        if there {
                            *scores.entry((wanted.name, architecture)).or_default() += more;
                        }
                    }
                }
            }
        }
    }

    /// Adds the score that a package inherited to the packages that provide its name, too.
    fn share_with_providers(&mut self, planned: &[PackageId], own: &Scores, scores: &mut Scores) {
        for package in planned {
            let key = self.key(*package);
            let of = |scores: &Scores| scores.get(&key).copied().unwrap_or(0);
            let more = (of(scores) - of(own)).abs();
            let mut providers: Vec<PackageId> = Vec::new();
            for provided in &self.names[key.0.at()].provided {
                let provider = self.versions[provided.by.at()].package;
                let there = self.packages[provider.at()].planned.target == Some(provided.by);
                if there && !providers.contains(&provider) {
                    providers.push(provider);
                }
            }
            for provider in providers {
                *scores.entry(self.key(provider)).or_default() += more;
            }
        }
    }
}

fn of_priority(priority: Priority) -> i32 {
    match priority {
        1 => 3,
        2 => 2,
        3 => 1,
        4 => -1,
        EXTRA => -2,
        _ => 0,
    }
}

fn of_kind(kind: Kind) -> i32 {
    match kind {
        Kind::PreDepends | Kind::Depends | Kind::Recommends => 1,
        Kind::Conflicts | Kind::Breaks => -1,
        Kind::Suggests | Kind::Provides => 0,
    }
}
