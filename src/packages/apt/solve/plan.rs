//! What is to become of each package, and whether that fits together.
//!
//! apt remembers for every dependency whether it holds, and looks again when a package that could meet it is changed. Where
//! it changes one without looking again, what it goes by is old. So does this: every change is noted with its time, and a
//! relation is judged by what was known when its name was told of a change last.

use super::lookup::When;
use super::world::{Clause, NameId, PackageId, VersionId, World};
use crate::packages::apt::index::stanza::Kind;
use std::rc::Rc;

/// What is intended for a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::packages::apt) struct Planned {
    pub(in crate::packages::apt) mode: Mode,
    /// The version it will have; nothing when it is not, or no longer, installed.
    pub(in crate::packages::apt) target: Option<VersionId>,
    /// The version it may go to. Starts as policy's and is given up when it cannot be had.
    pub(in crate::packages::apt) candidate: Option<VersionId>,
    /// Its mode is not to be changed any more.
    pub(super) protected: bool,
    /// There was a newer candidate when that was last looked at.
    pub(super) newer: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::packages::apt) enum Mode {
    #[default]
    Keep,
    Install,
    Remove,
}

/// An upgrade from one release to the next goes 15 deep; apt goes down to 3000, which no worker's stack would bear.
const DEEPEST: usize = 500;
/// An upgrade from one release to the next takes a thousand attempts to mark something. What takes more is made to.
const MOST_ATTEMPTS: u32 = 1_000_000;

impl Planned {
    pub(super) fn kept(current: Option<VersionId>, candidate: Option<VersionId>) -> Self {
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

    /// Nothing is installed, or the candidate stands before what is, in the order of versions.
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

    /// Nothing is changed any more, and there will be no answer.
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

    /// Back to what is installed now, if anything.
    pub(super) fn keep(&mut self, package: PackageId) -> bool {
        if !self.may_change(package, Mode::Keep) {
            return false;
        }
        if self.mode(package) != Mode::Keep {
            self.planned(package).mode = Mode::Keep;
            self.planned(package).target = self.packages[package.at()].current;
            self.tell(package);
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
            self.tell(package);
        }
        true
    }

    /// A change that nobody is told of yet.
    pub(super) fn note(&mut self, package: PackageId) {
        self.clock += 1;
        let (now, it) = (self.clock, &mut self.packages[package.at()]);
        it.history.push((now, it.planned.candidate, it.planned.target));
    }

    /// A change, of which all is told that depends on the package, or on what its installed version or its candidate provide.
    pub(super) fn tell(&mut self, package: PackageId) {
        self.note(package);
        let now = self.clock;
        let it = &self.packages[package.at()];
        let (name, current, candidate) = (it.name, it.current, it.planned.candidate);
        self.names[name.at()].told = now;
        for version in current.into_iter().chain(candidate) {
            for name in self.names_provided(version).iter() {
                self.names[name.at()].told = now;
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

    /// The planned version lacks something it cannot do without, or meets something it cannot live with.
    pub(in crate::packages::apt) fn is_broken(&mut self, package: PackageId) -> bool {
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

    /// Installed packages that do not fit together as they are: apt refuses to upgrade before that is mended.
    pub(in crate::packages::apt) fn broken_now(&mut self) -> Vec<PackageId> {
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
