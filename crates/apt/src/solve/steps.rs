//! Whether a plan can be carried out, one package after the other.
//!
//! A package can be unpacked once its pre-dependencies are configured, and configured once its dependencies are (Debian
//! Policy §7.2). A cycle through a pre-dependency that no installed version meets can therefore never complete, and apt
//! gives up on the whole upgrade.

use super::lookup::When;
use super::plan::Mode;
use super::world::{Clause, PackageId, World};
use crate::index::stanza::Kind;
use std::collections::HashSet;

impl<'a> World<'a> {
    pub(super) fn can_be_done(&mut self) -> bool {
        let all = (0..self.packages.len()).map(PackageId::nth);
        let mut waiting: Vec<PackageId> = all.filter(|package| self.mode(*package) == Mode::Install).collect();
        let mut unpacked: Vec<PackageId> = Vec::new();
        let mut working: HashSet<PackageId> = HashSet::new();
        while !waiting.is_empty() || !unpacked.is_empty() {
            let before = waiting.len() + unpacked.len() * 2;
            for package in std::mem::take(&mut waiting) {
                let list = if self.may_be_unpacked(package, &working) {
                    &mut unpacked
                } else {
                    &mut waiting
                };
                list.push(package);
            }
            let ready = self.work_together(&unpacked, &waiting, &working);
            unpacked.retain(|package| !ready.contains(package));
            working.extend(ready);
            if waiting.len() + unpacked.len() * 2 == before {
                return false;
            }
        }
        true
    }

    fn may_be_unpacked(&mut self, package: PackageId, working: &HashSet<PackageId>) -> bool {
        let needs = self.needs(package, &[Kind::PreDepends]);
        needs
            .iter()
            .all(|clause| self.holds(clause, When::Now) || self.is_met_among(clause, working, &HashSet::new(), &[]))
    }

    /// The most of them that need nothing else.
    fn work_together(
        &mut self,
        unpacked: &[PackageId],
        waiting: &[PackageId],
        working: &HashSet<PackageId>,
    ) -> HashSet<PackageId> {
        let mut ready: HashSet<PackageId> = unpacked.iter().copied().collect();
        loop {
            let short = unpacked.iter().copied().find(|package| {
                let needs = self.needs(*package, &[Kind::PreDepends, Kind::Depends]);
                ready.contains(package)
                    && !needs
                        .iter()
                        .all(|clause| self.is_met_among(clause, working, &ready, waiting))
            });
            match short {
                Some(package) => ready.remove(&package),
                None => return ready,
            };
        }
    }

    fn needs(&mut self, package: PackageId, kinds: &[Kind]) -> Vec<Clause<'a>> {
        let Some(target) = self.packages[package.at()].planned.target else {
            return Vec::new();
        };
        let clauses = self.clauses(target);
        clauses
            .iter()
            .filter(|clause| kinds.contains(&clause.kind))
            .copied()
            .collect()
    }

    /// Is the clause met by packages in `Mode::Keep`, by new versions that are configured or about to be (`ready`), or
    /// by the installed versions of waiting packages?
    fn is_met_among(
        &self,
        clause: &Clause<'a>,
        working: &HashSet<PackageId>,
        ready: &HashSet<PackageId>,
        waiting: &[PackageId],
    ) -> bool {
        clause.relations().any(|relation| {
            self.is_met_by(relation, |world, package| {
                let it = &world.packages[package.at()];
                match it.planned.mode {
                    Mode::Keep => it.current,
                    Mode::Install if working.contains(&package) || ready.contains(&package) => it.planned.target,
                    Mode::Install => it.current.filter(|_| waiting.contains(&package)),
                    Mode::Remove => None,
                }
            })
        })
    }
}
