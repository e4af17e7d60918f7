//! What is to become of each package, and whether that fits together.

use super::lookup::When;
use super::world::{Clause, PackageId, VersionId, World};
use crate::packages::version::debian;
use std::rc::Rc;

/// What is intended for a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::packages::apt) struct Planned {
    pub(in crate::packages::apt) mode: Mode,
    /// The version it will have; nothing when it is not, or no longer, installed.
    pub(in crate::packages::apt) target: Option<VersionId>,
    /// The version it may go to. Starts as policy's and is given up when it cannot be had.
    pub(in crate::packages::apt) candidate: Option<VersionId>,
    /// Not to be changed: held, or phased out of reach.
    pub(in crate::packages::apt) fixed: bool,
    /// Being marked right now, further up.
    pub(super) busy: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::packages::apt) enum Mode {
    #[default]
    Keep,
    Install,
    Remove,
}

/// Deeper than this no chain of dependencies is followed.
const DEEPEST: usize = 3000;

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

    /// The candidate is newer than what is installed, or nothing is installed.
    pub(in crate::packages::apt) fn is_upgradable(&self, package: PackageId) -> bool {
        let it = &self.packages[package.at()];
        let text = |version: VersionId| self.versions[version.at()].text;
        match (it.planned.candidate, it.current) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(candidate), Some(current)) => debian::compare(text(candidate), text(current)).is_gt(),
        }
    }

    pub(super) fn may_change(&self, package: PackageId, mode: Mode, depth: usize) -> bool {
        let it = &self.packages[package.at()];
        if depth > DEEPEST || it.versions.is_empty() {
            return false;
        }
        if it.planned.mode == mode {
            return true;
        }
        let held = it.held && !self.state.settings.ignore_holds;
        !(it.planned.fixed || held && mode != Mode::Keep || mode == Mode::Remove && (it.essential || it.protected))
    }

    /// Back to what is installed now, if anything.
    pub(super) fn keep(&mut self, package: PackageId) -> bool {
        if !self.may_change(package, Mode::Keep, 0) {
            return false;
        }
        let current = self.packages[package.at()].current;
        let planned = self.planned(package);
        if planned.mode != Mode::Keep {
            planned.mode = Mode::Keep;
            planned.target = current;
        }
        true
    }

    pub(super) fn remove(&mut self, package: PackageId) -> bool {
        if !self.may_change(package, Mode::Remove, 0) {
            return false;
        }
        let installed = self.packages[package.at()].current.is_some();
        let planned = self.planned(package);
        if planned.mode != Mode::Remove && planned.target.is_some() {
            planned.mode = if installed { Mode::Remove } else { Mode::Keep };
            planned.target = None;
        }
        true
    }

    /// The planned version lacks something it cannot do without, or meets something it cannot live with.
    pub(in crate::packages::apt) fn is_broken(&mut self, package: PackageId) -> bool {
        let target = self.packages[package.at()].planned.target;
        target.is_some_and(|version| self.breaks(version, When::Planned, false))
    }

    /// As [`Self::is_broken`], and Recommends count where the image wants them.
    pub(super) fn is_wanting(&mut self, package: PackageId) -> bool {
        let target = self.packages[package.at()].planned.target;
        let recommends = self.state.settings.install_recommends;
        target.is_some_and(|version| self.breaks(version, When::Planned, recommends))
    }

    pub(super) fn is_broken_now(&mut self, package: PackageId) -> bool {
        let current = self.packages[package.at()].current;
        current.is_some_and(|version| self.breaks(version, When::Now, false))
    }

    fn breaks(&mut self, version: VersionId, when: When, recommends: bool) -> bool {
        let clauses = self.clauses(version);
        let counts = |clause: &&Clause<'_>| recommends || clause.is_critical();
        clauses.iter().filter(counts).any(|clause| !self.holds(clause, when))
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
        clause.is_critical() || self.state.settings.install_recommends
    }

    pub(super) fn critical(&mut self, version: VersionId) -> Vec<Clause<'a>> {
        let clauses: Rc<[Clause<'a>]> = self.clauses(version);
        clauses.iter().filter(|clause| clause.is_critical()).copied().collect()
    }
}
