//! The plan: what is intended for each package, and whether the intended versions fit together.
//!
//! apt caches for every dependency whether it holds, and re-evaluates it when a package that could meet it changes.
//! Where apt changes a package without re-evaluating, it works with a stale result. This module reproduces that: every
//! change is recorded with the clock, and a relation is judged by the state at the time when its name was last notified
//! of a change.

use super::lookup::When;
use super::world::{Clause, NameId, PackageId, VersionId, World};
use crate::index::stanza::Kind;
use std::rc::Rc;

/// What is intended for a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Planned {
    pub(crate) mode: Mode,
    /// The version the plan gives the package; `None` if it will not be installed.
    pub(crate) target: Option<VersionId>,
    /// The version an upgrade may choose. Starts as policy's candidate and is dropped when that cannot be installed.
    pub(crate) candidate: Option<VersionId>,
    /// Its mode is not to be changed any more.
    pub(super) protected: bool,
    /// Whether the candidate was newer than the installed version at the last check: see `note_newer`.
    pub(super) newer: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mode {
    #[default]
    Keep,
    Install,
    Remove,
}

/// An upgrade from one release to the next recurses 15 deep. apt allows 3000, which would overflow a worker's stack.
const DEEPEST: usize = 500;
/// An upgrade from one release to the next takes about a thousand attempts to mark something. Only input crafted for it
/// takes this many.
const MOST_ATTEMPTS: u32 = 1_000_000;

impl Planned {
    pub(super) fn unchanged(current: Option<VersionId>, candidate: Option<VersionId>) -> Self {
        Self {
            target: current,
            candidate,
            ..Self::default()
        }
    }
}

impl<'a> World<'a> {
    pub(super) fn planned(&mut self, package: PackageId) -> &mut Planned {
        &mut self.packages[package.at()].planned
    }

    pub(super) fn mode(&self, package: PackageId) -> Mode {
        self.packages[package.at()].planned.mode
    }

    /// Sets `newer` if the candidate sorts before the installed version (newest first), or if one of the two is
    /// missing.
    pub(super) fn note_newer(&mut self, package: PackageId) {
        let it = &self.packages[package.at()];
        let place = |wanted: VersionId| it.versions.iter().position(|version| *version == wanted);
        let newer = match (it.planned.candidate, it.current) {
            (Some(candidate), Some(current)) => place(candidate) < place(current),
            (None, _) | (_, None) => true,
        };
        self.planned(package).newer = newer;
    }

    pub(super) fn is_upgradable(&self, package: PackageId) -> bool {
        let planned = &self.packages[package.at()].planned;
        planned.newer && planned.candidate.is_some()
    }

    pub(super) fn count_attempt(&mut self, depth: usize) {
        self.attempts = if depth > DEEPEST {
            u32::MAX
        } else {
            self.attempts.saturating_add(1)
        };
    }

    /// The search has exceeded its limit: the plan no longer changes, and the upgrade counts as unresolved.
    pub(super) fn is_too_much(&self) -> bool {
        self.attempts > MOST_ATTEMPTS
    }

    pub(super) fn may_change(&self, package: PackageId, mode: Mode) -> bool {
        let it = &self.packages[package.at()];
        if self.is_too_much() || it.versions.is_empty() {
            return false;
        }
        if it.planned.mode == mode {
            return true;
        }
        let held = it.held && !self.state.settings.ignore_holds;
        let needed = self.ways.keeps_essential && (it.essential || it.protected);
        !(it.planned.protected || held && mode != Mode::Keep || mode == Mode::Remove && needed)
    }

    /// Plans to keep what is installed now, if anything. Returns whether that is allowed.
    pub(super) fn keep(&mut self, package: PackageId) -> bool {
        if !self.may_change(package, Mode::Keep) {
            return false;
        }
        if self.mode(package) != Mode::Keep {
            self.planned(package).mode = Mode::Keep;
            self.planned(package).target = self.packages[package.at()].current;
            self.notify_dependents(package);
        }
        true
    }

    pub(super) fn remove(&mut self, package: PackageId) -> bool {
        if !self.may_change(package, Mode::Remove) {
            return false;
        }
        let installed = self.packages[package.at()].current.is_some();
        let planned = self.planned(package);
        if planned.mode != Mode::Remove && planned.target.is_some() {
            planned.mode = if installed { Mode::Remove } else { Mode::Keep };
            planned.target = None;
            self.notify_dependents(package);
        }
        true
    }

    /// Records a change without notifying the dependents.
    pub(super) fn note(&mut self, package: PackageId) {
        self.clock += 1;
        let (now, it) = (self.clock, &mut self.packages[package.at()]);
        it.history.push((now, it.planned.candidate, it.planned.target));
    }

    /// Records a change and notifies everything that depends on the package, or on a name that its installed version or
    /// its candidate provides.
    pub(super) fn notify_dependents(&mut self, package: PackageId) {
        self.note(package);
        let now = self.clock;
        let it = &self.packages[package.at()];
        let (name, current, candidate) = (it.name, it.current, it.planned.candidate);
        self.names[name.at()].notified_at = now;
        for version in current.into_iter().chain(candidate) {
            for name in self.names_provided(version).iter() {
                self.names[name.at()].notified_at = now;
            }
        }
    }

    /// Candidate and target as they were at a time.
    pub(super) fn known_of(&self, package: PackageId, time: u32) -> (Option<VersionId>, Option<VersionId>) {
        let it = &self.packages[package.at()];
        let known = it.history.iter().rev().find(|(at, _, _)| *at <= time);
        known.map_or((it.candidate, it.current), |(_, candidate, target)| {
            (*candidate, *target)
        })
    }

    pub(super) fn names_provided(&mut self, version: VersionId) -> Rc<[NameId]> {
        if let Some(known) = &self.versions[version.at()].provides {
            return Rc::clone(known);
        }
        let all = self.provided_by(version);
        let names: Rc<[NameId]> = all.into_iter().map(|(name, _)| self.number(name)).collect();
        self.versions[version.at()].provides = Some(Rc::clone(&names));
        names
    }

    /// The planned version has an unmet critical dependency or a conflict.
    pub(crate) fn is_broken(&mut self, package: PackageId) -> bool {
        let target = self.packages[package.at()].planned.target;
        target.is_some_and(|version| self.breaks(version, When::Planned, false))
    }

    /// As [`Self::is_broken`], and Recommends count where the image wants them.
    pub(super) fn is_wanting(&mut self, package: PackageId) -> bool {
        let target = self.packages[package.at()].planned.target;
        target.is_some_and(|version| self.breaks(version, When::Planned, true))
    }

    pub(super) fn is_broken_now(&mut self, package: PackageId) -> bool {
        let current = self.packages[package.at()].current;
        current.is_some_and(|version| self.breaks(version, When::Now, false))
    }

    fn breaks(&mut self, version: VersionId, when: When, recommends: bool) -> bool {
        let clauses = self.clauses(version);
        clauses.iter().any(|clause| {
            let counts = clause.is_critical() || recommends && self.important(clause);
            counts && !self.holds(clause, when)
        })
    }

    pub(super) fn count_broken(&mut self) -> usize {
        (0..self.packages.len())
            .map(PackageId::nth)
            .filter(|package| self.is_broken(*package))
            .count()
    }

    /// Installed packages with unmet dependencies or conflicts: apt refuses to upgrade before they are fixed.
    pub(crate) fn broken_now(&mut self) -> Vec<PackageId> {
        let all = self.sorted();
        all.into_iter().filter(|package| self.is_broken_now(*package)).collect()
    }

    /// The clauses of a version that matter here: what it cannot do without, and Recommends where the image wants them.
    pub(super) fn important(&self, clause: &Clause<'_>) -> bool {
        clause.is_critical() || clause.kind == Kind::Recommends && self.state.settings.install_recommends
    }

    pub(super) fn critical(&mut self, version: VersionId) -> Vec<Clause<'a>> {
        let clauses: Rc<[Clause<'a>]> = self.clauses(version);
        clauses.iter().filter(|clause| clause.is_critical()).copied().collect()
    }
}
