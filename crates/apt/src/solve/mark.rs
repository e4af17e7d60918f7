//! Marks a package for installation of its candidate, together with everything the candidate needs.
//!
//! Upgrading an installed package comes before installing a new one to meet a dependency. A conflicting package is
//! upgraded if that resolves the conflict, and otherwise removed if it may be. If a critical dependency cannot be met,
//! the mark is undone and the candidate is dropped, so that no later attempt selects it again. While the dependencies
//! of a package are being marked, the package is protected: a recursive call that reaches it again must not change it,
//! and protects its critical dependencies in turn.

use super::lookup::When;
use super::plan::Mode;
use super::world::{Clause, PackageId, RelationId, Scope, VersionId, World};
use crate::index::stanza::MultiArch;

/// Clauses of a candidate that still need work: `missing` dependencies and `unwelcome` conflicts.
#[derive(Default)]
struct OpenClauses<'a> {
    missing: Vec<Clause<'a>>,
    unwelcome: Vec<Clause<'a>>,
}

/// What has to give way for a candidate.
#[derive(Default)]
pub(super) struct GiveWay {
    pub(super) upgrade: Vec<PackageId>,
    pub(super) remove: Vec<PackageId>,
}

/// Which versions may meet a relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    Candidates,
    Installed,
}

/// The package whose candidate is being marked.
#[derive(Debug, Clone, Copy)]
struct Mark {
    package: PackageId,
    /// It was protected before: what it needs is protected with it, and one failure does not end the attempt.
    settled: bool,
    depth: usize,
}

impl<'a> World<'a> {
    /// Marks a package for its candidate. With `follow`, what the candidate needs is marked as well.
    pub(super) fn install(&mut self, package: PackageId, follow: bool, depth: usize) -> bool {
        self.count_attempt(depth);
        let it = &self.packages[package.at()];
        let (current, planned) = (it.current, it.planned);
        let stays =
            planned.protected && planned.mode == Mode::Keep && current.is_some() && planned.candidate == current;
        if !stays && !self.may_change(package, Mode::Install) {
            return false;
        }
        let Some(candidate) = planned.candidate else {
            return false;
        };
        if !planned.protected && !self.is_wanting(package) {
            if Some(candidate) == current {
                return planned.target.is_some() || self.keep(package);
            }
            if planned.mode == Mode::Install {
                return true;
            }
        }
        if !self.siblings_agree(package, candidate) || follow && !self.is_satisfiable(package, candidate) {
            return false;
        }
        if !follow {
            self.set_target(package);
            return true;
        }
        let mark = Mark {
            package,
            settled: planned.protected,
            depth,
        };
        let open_clauses = self.open_clauses(candidate, mark.settled);
        let mut way = GiveWay::default();
        let mut fine = self.make_way(mark, &open_clauses.unwelcome, &mut way);
        if !fine && !mark.settled {
            return false;
        }
        self.left_behind(package, candidate, &mut way);
        self.set_target(package);
        self.planned(package).protected = true;
        let followed = self.follow(mark, &open_clauses.missing, &way);
        self.planned(package).protected = mark.settled;
        fine &= followed;
        if !followed && !mark.settled {
            self.give_up(package);
        }
        fine
    }

    fn set_target(&mut self, package: PackageId) {
        let current = self.packages[package.at()].current;
        let planned = self.planned(package);
        if planned.protected && planned.target == planned.candidate {
            return;
        }
        planned.target = planned.candidate;
        planned.mode = if planned.candidate == current {
            Mode::Keep
        } else {
            Mode::Install
        };
        self.notify_dependents(package);
    }

    /// Stops at the first failure, unless the mark is settled.
    fn follow(&mut self, mark: Mark, missing: &[Clause<'a>], way: &GiveWay) -> bool {
        self.same_source(mark);
        let mut fine = self.upgrade_or_remove(mark, &way.upgrade);
        if !fine && !mark.settled {
            return false;
        }
        for clause in missing {
            fine &= self.supply(mark, clause);
            if !fine && !mark.settled {
                return false;
            }
        }
        for other in &way.remove {
            fine &= self.remove(*other);
            if !fine && !mark.settled {
                return false;
            }
        }
        fine
    }

    fn upgrade_or_remove(&mut self, mark: Mark, upgrade: &[PackageId]) -> bool {
        let mut fine = true;
        for other in upgrade {
            if self.mode(*other) == Mode::Install || self.install(*other, true, mark.depth + 1) {
                continue;
            }
            if self.remove(*other) {
                self.planned(*other).protected |= mark.settled;
                continue;
            }
            fine = false;
            if !mark.settled {
                break;
            }
        }
        fine
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
        let current = self.packages[package.at()].current;
        if Some(candidate) == current {
            return true;
        }
        for clause in self.critical(candidate) {
            let fine =
                clause.is_negative() || self.holds(&clause, When::Planned) || self.holds(&clause, When::Candidates);
            if fine {
                continue;
            }
            if !self.packages[package.at()].planned.protected {
                self.stay_at(package, current);
            }
            return false;
        }
        true
    }

    /// Makes the installed version the candidate and notifies its dependents. Without an installed version there is no
    /// candidate, and the dependents are not notified.
    fn stay_at(&mut self, package: PackageId, current: Option<VersionId>) {
        let planned = self.planned(package);
        if current.is_some() && planned.mode == Mode::Install && planned.target == planned.candidate {
            planned.target = current;
        }
        planned.candidate = current;
        self.note_newer(package);
        match current {
            Some(_) => self.notify_dependents(package),
            None => self.note(package),
        }
        let planned = self.planned(package);
        if planned.mode != Mode::Remove {
            planned.mode = Mode::Keep;
        }
    }

    /// For a settled package, clauses that already hold are included, so that the packages that meet them are settled
    /// too.
    fn open_clauses(&mut self, candidate: VersionId, settled: bool) -> OpenClauses<'a> {
        let mut open_clauses = OpenClauses::default();
        for clause in self.clauses(candidate).iter() {
            if !self.important(clause) || !settled && self.holds(clause, When::Planned) {
                continue;
            }
            let list = if clause.is_negative() {
                &mut open_clauses.unwelcome
            } else {
                &mut open_clauses.missing
            };
            list.push(*clause);
        }
        open_clauses
    }

    /// Resolves the candidate's conflicts, or collects in `way` the upgrades and removals that will. Returns whether
    /// all of them can be resolved.
    fn make_way(&mut self, mark: Mark, unwelcome: &[Clause<'a>], way: &mut GiveWay) -> bool {
        let mut fine = true;
        let mut bad = Vec::new();
        for clause in unwelcome {
            for relation in clause.relations() {
                fine &= self.clear_candidates(mark, relation, way, &mut bad);
                if !fine && !mark.settled {
                    return false;
                }
                fine &= self.clear_installed(mark, relation, way, &bad);
                if !fine && !mark.settled {
                    return false;
                }
            }
        }
        fine
    }

    fn clear_candidates(
        &mut self,
        mark: Mark,
        relation: RelationId,
        way: &mut GiveWay,
        bad: &mut Vec<PackageId>,
    ) -> bool {
        let mut fine = true;
        for version in self.solutions(&[relation], Choice::Candidates) {
            let other = self.versions[version.at()].package;
            let (candidate, current) = {
                let it = &self.packages[other.at()];
                (it.planned.candidate, it.current)
            };
            if candidate != Some(version) {
                continue;
            }
            if current == Some(version) {
                fine &= self.clear_away(mark, other, way);
            } else if self.mode(other) == Mode::Install && !self.keep(other) {
                fine = false;
            } else if mark.settled {
                self.forget_candidate(other);
                self.planned(other).protected |= current.is_none();
            } else {
                // Only its candidate is in the way: it may stay as it is.
                bad.push(other);
            }
            if !fine && !mark.settled {
                return false;
            }
        }
        fine
    }

    fn clear_installed(&mut self, mark: Mark, relation: RelationId, way: &mut GiveWay, bad: &[PackageId]) -> bool {
        let mut fine = true;
        for version in self.solutions(&[relation], Choice::Installed) {
            let other = self.versions[version.at()].package;
            let theirs = self.packages[other.at()].planned.candidate;
            if theirs == Some(version) {
                continue;
            }
            if theirs.is_some() && !bad.contains(&other) {
                way.upgrade.push(other);
            } else {
                fine &= self.clear_away(mark, other, way);
            }
            if !fine && !mark.settled {
                return false;
            }
        }
        fine
    }

    /// Removes a conflicting package that no upgrade gets out of the way: at once for a settled mark, otherwise after
    /// the missing dependencies were marked.
    fn clear_away(&mut self, mark: Mark, other: PackageId, way: &mut GiveWay) -> bool {
        let gone = self.mode(other) == Mode::Remove;
        if mark.settled {
            if !gone && !self.remove(other) {
                return false;
            }
            self.forget_candidate(other);
            self.planned(other).protected = true;
            return true;
        }
        let may = gone || self.may_change(other, Mode::Remove);
        if may && !gone {
            way.remove.push(other);
        }
        may
    }

    /// Drops the candidate in favour of the planned version. The dependents are not notified.
    fn forget_candidate(&mut self, package: PackageId) {
        let planned = self.planned(package);
        planned.candidate = planned.target;
        self.note(package);
    }

    /// Adds to `way.upgrade` the installed packages whose dependency the installed version meets and the candidate does
    /// not.
    fn left_behind(&mut self, package: PackageId, candidate: VersionId, way: &mut GiveWay) {
        let it = &self.packages[package.at()];
        let (Some(current), name, architecture) = (it.current, it.name, it.architecture) else {
            return;
        };
        if current == candidate || !self.ways.upgrades_along {
            return;
        }
        let dependants = self.dependants();
        let mut lost = dependants.get(&name).cloned().unwrap_or_default();
        lost.retain(|it| {
            let target = &self.relations[it.relation.at()];
            // apt counts a dependency on another architecture, or on `:any`, as one on a different package.
            let direct = target.scope == Scope::Usable(architecture);
            let removed = self.ways.passes_over_removed
                && (self.mode(it.package) == Mode::Remove || way.remove.contains(&it.package));
            let open = !removed && self.mode(it.package) != Mode::Install;
            direct && open && self.meets(target, current) && !self.meets(target, candidate)
        });
        if lost.len() > 1 {
            let census = self.census();
            lost.sort_by_key(|it| census.turn(it));
        }
        for it in lost {
            if !way.upgrade.contains(&it.package) {
                way.upgrade.push(it.package);
            }
        }
    }

    /// Other installed packages built from the same source move together, where policy lets them.
    fn same_source(&mut self, mark: Mark) {
        let Some(candidate) = self.packages[mark.package.at()].planned.candidate else {
            return;
        };
        if !self.ways.upgrades_along {
            return;
        }
        let it = &self.versions[candidate.at()];
        let (source, version) = (it.source, it.source_version);
        let mut others: Vec<PackageId> = (0..self.packages.len())
            .map(PackageId::nth)
            .filter(|other| {
                let other_it = &self.packages[other.at()];
                let Some(theirs) = other_it.planned.candidate else {
                    return false;
                };
                let from = &self.versions[theirs.at()];
                *other != mark.package
                    && other_it.current.is_some_and(|current| current != theirs)
                    && !(other_it.planned.mode == Mode::Install && other_it.planned.target == Some(theirs))
                    && (from.source, from.source_version) == (source, version)
            })
            .collect();
        if others.len() > 1 {
            others.sort_by_cached_key(|other| self.age(*other));
        }
        for follow in [false, true] {
            for other in &others {
                self.install(*other, follow, mark.depth + 1);
            }
        }
    }

    /// Meets one clause by the best candidate that can be had. A recommendation that fails is no failure.
    fn supply(&mut self, mark: Mark, clause: &Clause<'a>) -> bool {
        if self.holds(clause, When::Planned) {
            return !mark.settled || !clause.is_critical() || self.settle(mark, clause);
        }
        if !clause.is_critical() && self.is_old_want(mark.package, clause) {
            return true;
        }
        let relations: Vec<RelationId> = clause.relations().collect();
        let solutions = self.solutions(&relations, Choice::Candidates);
        for version in &solutions {
            let other = self.versions[version.at()].package;
            if self.packages[other.at()].planned.candidate != Some(*version) {
                continue;
            }
            if mark.settled && clause.is_critical() && solutions.len() == 1 {
                if !self.install(other, false, mark.depth + 1) {
                    continue;
                }
                self.planned(other).protected = true;
            }
            if self.install(other, true, mark.depth + 1) {
                return true;
            }
        }
        !clause.is_critical()
    }

    /// If exactly one version meets a clause of a settled package, the package of that version is settled too.
    fn settle(&mut self, mark: Mark, clause: &Clause<'a>) -> bool {
        let relations: Vec<RelationId> = clause.relations().collect();
        let mut all = self.solutions(&relations, Choice::Candidates);
        all.extend(self.solutions(&relations, Choice::Installed));
        all.sort_unstable();
        all.dedup();
        let [only] = all[..] else { return true };
        let other = self.versions[only.at()].package;
        if self.packages[other.at()].planned.protected {
            return true;
        }
        self.planned(other).protected = true;
        self.install(other, true, mark.depth + 1)
    }

    /// A recommendation that the installed version already had, and that is still unmet, is not followed now either.
    fn is_old_want(&mut self, package: PackageId, clause: &Clause<'a>) -> bool {
        let Some(current) = self.packages[package.at()].current else {
            return false;
        };
        let Some(first) = clause.relations().next() else {
            return false;
        };
        let wanted = self.relations[first.at()].name;
        let mut old = false;
        for before in self.clauses(current).iter() {
            if before.is_critical() || !self.important(before) {
                continue;
            }
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
    fn solutions(&mut self, relations: &[RelationId], choice: Choice) -> Vec<VersionId> {
        let (mut here, mut new) = (Vec::new(), Vec::new());
        for relation in relations {
            // The remembered state of the relation counts here, even if it is stale: see `plan.rs`.
            if choice == Choice::Candidates && !self.is_met(*relation, When::Candidates) {
                continue;
            }
            for version in self.fitting(*relation, choice) {
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
        let negative = relations.iter().any(|relation| self.relations[relation.at()].negative);
        if !negative {
            // A protected package that is removed, or stays uninstalled, cannot meet a relation.
            here.retain(|version| {
                let it = &self.packages[self.versions[version.at()].package.at()];
                let out = it.planned.mode == Mode::Remove || it.planned.mode == Mode::Keep && it.current.is_none();
                !(it.planned.protected && out)
            });
        }
        here
    }

    fn fitting(&mut self, relation: RelationId, choice: Choice) -> Vec<VersionId> {
        let all = self.met_by(relation);
        let mut fitting: Vec<VersionId> = Vec::new();
        for version in all.iter() {
            let package = &self.packages[self.versions[version.at()].package.at()];
            let chosen = match choice {
                Choice::Installed => package.current,
                Choice::Candidates => package.planned.candidate,
            };
            if chosen == Some(*version) && !fitting.contains(version) {
                fitting.push(*version);
            }
        }
        if fitting.len() > 1 {
            fitting.sort_by_cached_key(|version| self.rank(*version, relation));
        }
        fitting
    }

    /// Smaller is better. Ties go to the package that apt numbered last.
    fn rank(&mut self, version: VersionId, relation: RelationId) -> impl Ord + use<'a> {
        let age = self.age(self.versions[version.at()].package);
        let wanted = self.relations[relation.at()].name;
        let it = &self.versions[version.at()];
        let package = &self.packages[it.package.at()];
        let siblings = &self.names[package.name.at()].packages;
        let sibling = it.multi_arch == MultiArch::Same
            && siblings.iter().any(|other| self.packages[other.at()].current.is_some());
        (
            (!package.planned.protected, !sibling),
            (package.current.is_none(), package.name != wanted),
            (!package.essential, !package.protected),
            (package.architecture, it.priority),
            std::cmp::Reverse(age),
        )
    }

    /// Undoes the mark and drops the candidate. The dependents are notified of the former, not of the latter.
    fn give_up(&mut self, package: PackageId) {
        let current = self.packages[package.at()].current;
        let planned = *self.planned(package);
        if planned.mode == Mode::Keep && planned.target == planned.candidate && planned.candidate == current {
            return;
        }
        self.planned(package).target = current;
        self.planned(package).mode = Mode::Keep;
        self.notify_dependents(package);
        self.forget_candidate(package);
    }

    pub(super) fn is_downloadable(&self, version: &super::world::Version<'_>) -> bool {
        version.files.iter().any(|file| self.files[*file].archive.is_some())
    }
}
