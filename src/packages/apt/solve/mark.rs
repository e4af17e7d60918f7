//! Marking a package for its candidate, with everything that this needs.
//!
//! A dependency is met by upgrading what is installed before anything new is taken; what conflicts is upgraded if that helps,
//! and removed if it may be. When something critical cannot be had, the mark is taken back and the candidate given up, so
//! that nobody tries it again.

use super::lookup::When;
use super::plan::Mode;
use super::world::{Clause, NameId, PackageId, RelationId, VersionId, World};
use crate::packages::apt::index::stanza::MultiArch;
use std::collections::HashMap;
use std::rc::Rc;

/// What a candidate asks for that the plan does not give yet.
#[derive(Default)]
struct Asked<'a> {
    missing: Vec<Clause<'a>>,
    unwelcome: Vec<Clause<'a>>,
}

/// What has to give way for a candidate.
#[derive(Default)]
struct GiveWay {
    upgrade: Vec<PackageId>,
    remove: Vec<PackageId>,
}

impl<'a> World<'a> {
    /// Marks a package for its candidate. With `follow`, what the candidate needs is marked as well.
    pub(super) fn install(&mut self, package: PackageId, follow: bool, depth: usize) -> bool {
        // Further up the same package is being marked: it is on its way.
        if self.planned(package).busy {
            return true;
        }
        if !self.may_change(package, Mode::Install, depth) {
            return false;
        }
        let it = &self.packages[package.at()];
        let (current, planned) = (it.current, it.planned);
        let Some(candidate) = planned.candidate else {
            return false;
        };
        if planned.mode == Mode::Install || Some(candidate) == current {
            let fine = !planned.fixed && !self.is_wanting(package);
            if fine && Some(candidate) == current && planned.target.is_none() {
                return self.keep(package);
            }
            if fine {
                return true;
            }
        }
        if !self.siblings_agree(package, candidate) || follow && !self.is_satisfiable(package, candidate) {
            return false;
        }
        let (asked, give_way) = if follow {
            let asked = self.asked(candidate);
            match self.make_way(package, candidate, &asked.unwelcome, depth) {
                Some(give_way) => (asked, give_way),
                None => return false,
            }
        } else {
            (Asked::default(), GiveWay::default())
        };
        let planned = self.planned(package);
        planned.target = Some(candidate);
        planned.mode = if Some(candidate) == current {
            Mode::Keep
        } else {
            Mode::Install
        };
        if !follow {
            return true;
        }
        self.planned(package).busy = true;
        let done = self.follow(package, candidate, &asked.missing, &give_way, depth);
        self.planned(package).busy = false;
        if !done {
            self.give_up(package);
        }
        done
    }

    fn follow(
        &mut self,
        package: PackageId,
        candidate: VersionId,
        missing: &[Clause<'a>],
        way: &GiveWay,
        depth: usize,
    ) -> bool {
        self.same_source(package, candidate, depth);
        for other in &way.upgrade {
            let upgraded = self.mode(*other) == Mode::Install || self.install(*other, true, depth + 1);
            if !upgraded && !self.remove(*other) {
                return false;
            }
        }
        missing.iter().all(|clause| self.supply(package, clause, depth))
            && way.remove.iter().all(|other| self.remove(*other))
    }

    /// A package installed for several architectures goes to a version only if its siblings do.
    fn siblings_agree(&self, package: PackageId, candidate: VersionId) -> bool {
        let it = &self.packages[package.at()];
        let version = &self.versions[candidate.at()];
        let settled = it.planned.mode == Mode::Install && it.planned.target == Some(candidate);
        if settled || Some(candidate) == it.current || version.multi_arch != MultiArch::Same {
            return true;
        }
        self.names[it.name.at()].packages.iter().all(|other| {
            let sibling = &self.packages[other.at()];
            let theirs = sibling.planned.candidate.map(|id| &self.versions[id.at()]);
            let apart = theirs.is_some_and(|theirs| {
                theirs.text != version.text && theirs.multi_arch == MultiArch::Same && self.is_downloadable(theirs)
            });
            *other == package || sibling.current.is_none() || !apart
        })
    }

    /// If something critical cannot be met even by candidates, the candidate is given up at once.
    fn is_satisfiable(&mut self, package: PackageId, candidate: VersionId) -> bool {
        let it = &self.packages[package.at()];
        let current = it.current;
        if Some(candidate) == current {
            return true;
        }
        for clause in self.critical(candidate) {
            let fine =
                clause.is_negative() || self.holds(&clause, When::Planned) || self.holds(&clause, When::Candidates);
            if fine {
                continue;
            }
            let planned = self.planned(package);
            if !planned.fixed {
                if planned.mode == Mode::Install && current.is_some() {
                    planned.target = current;
                }
                planned.candidate = current;
                if planned.mode != Mode::Remove {
                    planned.mode = Mode::Keep;
                }
            }
            return false;
        }
        true
    }

    fn asked(&mut self, candidate: VersionId) -> Asked<'a> {
        let mut asked = Asked::default();
        for clause in self.clauses(candidate).iter() {
            if !self.important(clause) || self.holds(clause, When::Planned) {
                continue;
            }
            let list = if clause.is_negative() {
                &mut asked.unwelcome
            } else {
                &mut asked.missing
            };
            list.push(*clause);
        }
        asked
    }

    /// What conflicts with the candidate, and what the candidate would leave behind. Nothing if somebody cannot give way.
    fn make_way(
        &mut self,
        package: PackageId,
        candidate: VersionId,
        unwelcome: &[Clause<'a>],
        depth: usize,
    ) -> Option<GiveWay> {
        let mut way = GiveWay::default();
        let mut settled = Vec::new();
        for clause in unwelcome {
            for relation in clause.relations() {
                for version in self.solutions(&[relation], false) {
                    let other = self.versions[version.at()].package;
                    if self.packages[other.at()].current != Some(version) {
                        // Only its candidate is in the way: it may stay as it is.
                        if self.mode(other) == Mode::Install && !self.keep(other) {
                            return None;
                        }
                        settled.push(other);
                    } else if !self.is_removable(other, &mut way, depth) {
                        return None;
                    }
                }
                for version in self.solutions(&[relation], true) {
                    let other = self.versions[version.at()].package;
                    let theirs = self.packages[other.at()].planned.candidate;
                    if theirs == Some(version) {
                        continue;
                    }
                    if theirs.is_some() && !settled.contains(&other) {
                        way.upgrade.push(other);
                    } else if !self.is_removable(other, &mut way, depth) {
                        return None;
                    }
                }
            }
        }
        self.left_behind(package, candidate, &mut way.upgrade);
        Some(way)
    }

    fn is_removable(&self, other: PackageId, way: &mut GiveWay, depth: usize) -> bool {
        if self.mode(other) == Mode::Remove {
            return true;
        }
        let may = self.may_change(other, Mode::Remove, depth);
        if may {
            way.remove.push(other);
        }
        may
    }

    /// Installed packages whose dependency is met by the installed version and not by the candidate have to move along.
    fn left_behind(&mut self, package: PackageId, candidate: VersionId, upgrade: &mut Vec<PackageId>) {
        let it = &self.packages[package.at()];
        let (Some(current), name) = (it.current, it.name) else {
            return;
        };
        if current == candidate {
            return;
        }
        let dependants = self.dependants();
        for (other, relation) in dependants.get(&name).into_iter().flatten() {
            let target = &self.relations[relation.at()];
            let lost = self.meets(target, current) && !self.meets(target, candidate);
            if lost && self.mode(*other) == Mode::Keep && !upgrade.contains(other) {
                upgrade.push(*other);
            }
        }
    }

    fn dependants(&mut self) -> Rc<HashMap<NameId, Vec<(PackageId, RelationId)>>> {
        if let Some(known) = &self.dependants {
            return Rc::clone(known);
        }
        let mut found: HashMap<NameId, Vec<(PackageId, RelationId)>> = HashMap::new();
        for package in self.sorted() {
            let Some(current) = self.packages[package.at()].current else {
                continue;
            };
            for clause in self.clauses(current).iter() {
                if clause.is_negative() || !self.important(clause) {
                    continue;
                }
                for relation in clause.relations() {
                    let name = self.relations[relation.at()].name;
                    found.entry(name).or_default().push((package, relation));
                }
            }
        }
        let found = Rc::new(found);
        self.dependants = Some(Rc::clone(&found));
        found
    }

    /// Other installed packages built from the same source move together, where policy lets them.
    fn same_source(&mut self, package: PackageId, candidate: VersionId, depth: usize) {
        let it = &self.versions[candidate.at()];
        let (source, version) = (it.source, it.source_version);
        let others: Vec<PackageId> = (0..self.packages.len())
            .map(PackageId::nth)
            .filter(|other| {
                let other_it = &self.packages[other.at()];
                let Some(theirs) = other_it.planned.candidate else {
                    return false;
                };
                let from = &self.versions[theirs.at()];
                *other != package
                    && other_it.current.is_some_and(|current| current != theirs)
                    && !(other_it.planned.mode == Mode::Install && other_it.planned.target == Some(theirs))
                    && (from.source, from.source_version) == (source, version)
            })
            .collect();
        for follow in [false, true] {
            for other in &others {
                self.install(*other, follow, depth + 1);
            }
        }
    }

    /// Meets one clause by the best candidate that can be had. A recommendation that fails is no failure.
    fn supply(&mut self, package: PackageId, clause: &Clause<'a>, depth: usize) -> bool {
        if self.holds(clause, When::Planned) {
            return true;
        }
        if !clause.is_critical() && self.is_old_want(package, clause) {
            return true;
        }
        let relations: Vec<RelationId> = clause.relations().collect();
        for version in self.solutions(&relations, false) {
            let other = self.versions[version.at()].package;
            if self.packages[other.at()].planned.candidate == Some(version) && self.install(other, true, depth + 1) {
                return true;
            }
        }
        !clause.is_critical()
    }

    /// A recommendation that the installed version had already, and that nobody has met since, is not met now either.
    fn is_old_want(&mut self, package: PackageId, clause: &Clause<'a>) -> bool {
        let Some(current) = self.packages[package.at()].current else {
            return false;
        };
        let Some(first) = clause.relations().next() else {
            return false;
        };
        let wanted = self.relations[first.at()].name;
        let mut old = false;
        for before in self.clauses(current).iter().filter(|clause| !clause.is_critical()) {
            let names = before.relations().any(|r| self.relations[r.at()].name == wanted);
            if !names {
                continue;
            }
            if self.holds(before, When::Now) {
                return false;
            }
            old = true;
        }
        old
    }

    /// Candidates, or installed versions, that meet one of the relations: what is installed first, then as written, each
    /// relation's best first.
    fn solutions(&mut self, relations: &[RelationId], installed: bool) -> Vec<VersionId> {
        let (mut here, mut new) = (Vec::new(), Vec::new());
        for relation in relations {
            let all = self.met_by(*relation);
            let mut fitting: Vec<VersionId> = Vec::new();
            for version in all.iter() {
                let package = &self.packages[self.versions[version.at()].package.at()];
                let chosen = if installed {
                    package.current
                } else {
                    package.planned.candidate
                };
                if chosen == Some(*version) && !fitting.contains(version) {
                    fitting.push(*version);
                }
            }
            let wanted = self.relations[relation.at()].name;
            fitting.sort_by_cached_key(|version| self.rank(*version, wanted));
            for version in fitting {
                let package = self.versions[version.at()].package;
                let list = if self.packages[package.at()].current.is_some() {
                    &mut here
                } else {
                    &mut new
                };
                if !list.contains(&version) {
                    list.push(version);
                }
            }
        }
        here.append(&mut new);
        here
    }

    /// Smaller is better. Where apt, too, has no reason left, it goes by the order of its cache; we go by name.
    fn rank(&self, version: VersionId, wanted: NameId) -> impl Ord + use<'a> {
        let it = &self.versions[version.at()];
        let package = &self.packages[it.package.at()];
        let siblings = &self.names[package.name.at()].packages;
        let sibling = it.multi_arch == MultiArch::Same
            && siblings.iter().any(|other| self.packages[other.at()].current.is_some());
        (
            (!sibling, package.current.is_none(), package.name != wanted),
            (
                !package.essential,
                !package.protected,
                package.architecture,
                it.priority,
            ),
            std::cmp::Reverse(self.name(it.package)),
        )
    }

    /// The mark is taken back for good.
    fn give_up(&mut self, package: PackageId) {
        let current = self.packages[package.at()].current;
        let planned = self.planned(package);
        planned.mode = Mode::Keep;
        planned.target = current;
        planned.candidate = current;
    }

    pub(super) fn is_downloadable(&self, version: &super::world::Version<'_>) -> bool {
        version.files.iter().any(|file| self.files[*file].archive.is_some())
    }
}
