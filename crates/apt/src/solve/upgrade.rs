//! A whole `dist-upgrade`: every installed package to its candidate, then the repairs that this requires.

use super::order::bucket;
use super::plan::Mode;
use super::world::{PackageId, World};

impl World<'_> {
    /// Plans the upgrade; returns whether the plan is consistent and can be carried out.
    pub(crate) fn upgrade(&mut self) -> bool {
        let mut fixed = self.hold_phased();
        let installed = self.installed();
        let idle = installed.iter().all(|package| {
            let it = &self.packages[package.at()];
            it.planned.candidate == it.current
        });
        // Nothing can move by itself: only a missing essential package could.
        if !idle {
            // Upgrades alone first: a dependency is then met by what is installed before something new is looked for.
            self.mark_all(&installed, false);
            self.mark_all(&installed, true);
        }
        self.install_essentials();
        if !idle {
            self.mark_all(&installed, false);
        }
        if !self.ignores_holds() {
            fixed.extend(self.hold_held(&installed));
        }
        self.repair(fixed)
            && !self.is_too_much()
            && self.leave_out_unneeded()
            && self.fits_indeed()
            && self.can_be_done()
    }

    /// The plan was made with cached dependency states. Before acting, apt re-evaluates all of them, and refuses to
    /// configure a package that is broken then.
    fn fits_indeed(&mut self) -> bool {
        for name in &mut self.names {
            name.notified_at = self.clock;
        }
        let mut coming = (0..self.packages.len()).map(PackageId::nth);
        !coming.any(|package| self.mode(package) == Mode::Install && self.is_broken(package))
    }

    pub(crate) fn ignores_holds(&self) -> bool {
        self.state.settings.ignore_holds
    }

    fn installed(&self) -> Vec<PackageId> {
        let mut all = self.walk();
        all.retain(|package| self.packages[package.at()].current.is_some());
        all
    }

    fn mark_all(&mut self, packages: &[PackageId], follow: bool) {
        for package in packages {
            self.install(*package, follow, 0);
        }
    }

    fn hold_held(&mut self, installed: &[PackageId]) -> Vec<PackageId> {
        let held: Vec<PackageId> = installed
            .iter()
            .copied()
            .filter(|package| self.packages[package.at()].held)
            .collect();
        for package in &held {
            self.planned(*package).protected = true;
            self.keep(*package);
        }
        held
    }

    /// Marks the archives' essential packages, and apt itself, so that missing ones are installed. A name is skipped if
    /// one of its architectures is already marked.
    fn install_essentials(&mut self) {
        let rows: Vec<_> = self
            .files
            .iter()
            .filter_map(|file| file.archive)
            .flat_map(|archive| archive.index.essentials())
            .collect();
        let mut names: Vec<&str> = rows.iter().map(|row| row.name()).chain(["apt"]).collect();
        names.sort_unstable_by_key(|name| (bucket(name), name.len(), *name));
        names.dedup();
        for name in names {
            let name = self.number(name);
            self.load(name);
            let all = self.names[name.at()].packages.clone();
            let coming = all.iter().any(|package| self.mode(*package) == Mode::Install);
            // The native one, or the first of the others.
            let preferred = all
                .iter()
                .min_by_key(|package| self.packages[package.at()].architecture);
            if let Some(package) = preferred.copied()
                && !coming
            {
                self.install(package, true, 0);
            }
        }
    }
}
