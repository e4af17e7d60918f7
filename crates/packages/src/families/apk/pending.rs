//! The pending upgrades of an image: what `apk upgrade --simulate` would print inside it.

use super::index::Index;
use super::repositories::Source;
use super::solve::closure::Closure;
use super::solve::order::ordered;
use super::solve::settle::settle;
use super::solve::universe::{Out, PackageId, UNTAGGED, Universe};
use super::state::ApkState;
use crate::families::apk::version;
use crate::planned::{self, KeptBack, New, Removal, Step, Upgrade};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// One repository of the image with what it has: verified by the caller.
#[derive(Debug, Clone, Copy)]
pub struct Repository<'a> {
    pub source: &'a Source,
    pub index: &'a Index,
}

/// As for apk.
const MAX_REPOSITORIES: usize = 32;

/// What an upgrade would do.
pub type Pending = planned::Pending<Why>;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    #[error("world asks for {clause}")]
    World { clause: String },
    /// Name and version.
    #[error("{package} needs {clause}")]
    Wanted { package: String, clause: String },
    #[error("it needs {clause}")]
    Needs { clause: String },
    #[error("{name} is needed, and it no longer is that")]
    Beside { name: String },
    /// `world` names a tag, and packages of its repositories go first.
    #[error("its repository is not the one that world prefers")]
    Tag,
}

/// apk would refuse to upgrade anything, or we cannot say what it would do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// apk, too, refuses.
    #[error("there is no etc/apk/world")]
    NoWorld,
    /// apk, too, refuses.
    #[error("world asks for {clause}, and no repository has that tag")]
    UnknownTag { clause: String },
    /// apk, too, refuses. `required_by` is a package, or `world`.
    #[error("{required_by} asks for {clause}, and nothing can be that")]
    Unsatisfiable { clause: String, required_by: String },
    /// apk may refuse or not.
    #[error("not followed: {0}")]
    Undecided(#[from] Undecided),
}

/// What apk would end with depends on the order in which it looks at names, or on its version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    #[error("{name} may be {} or {}", between[0], between[1])]
    Choice { name: String, between: [String; 2] },
    #[error("{package} has {clause}, which does not go with {against}")]
    Clash {
        package: String,
        clause: String,
        against: String,
    },
    #[error("{package} needs {name}, which nothing can be")]
    Unmet { package: String, name: String },
    #[error("nothing offers itself as {name}")]
    Nobody { name: String },
    #[error("{name} comes by install_if at a time that is open")]
    Triggered { name: String },
    #[error("{name} gets a tag at a time that is open")]
    Tags { name: String },
    #[error("{clause} meets a provider without a version")]
    Unversioned { clause: String },
    #[error("{package} is for another architecture or a newer apk")]
    Uninstallable { package: String },
    /// Packages that change places with others while one needs the other: apk 2 may forget one of them.
    #[error("{} are replaced by packages of other names", packages.join(", "))]
    Swapped { packages: Vec<String> },
    #[error("there is too much to look at")]
    TooMuch,
}

/// What `apk upgrade` would do with an image, given its repositories in the order of [`ApkState::repositories`]. A
/// repository missing from the list counts as absent; the caller has to judge what that means for the result. That apk
/// upgrades itself first does not change the result.
///
/// # Errors
/// If apk itself would refuse, or if its result cannot be predicted: see [`Refusal`].
pub fn pending(state: &ApkState, repositories: &[Repository<'_>]) -> Result<Pending, Refusal> {
    let world = state.world.as_deref().ok_or(Refusal::NoWorld)?;
    if repositories.len() > MAX_REPOSITORIES {
        return Err(Undecided::TooMuch.into());
    }
    let mut universe = Universe::new(state, repositories);
    let settled = settle(&mut universe, world)?;
    let closure = ordered(&mut universe, &settled)?;
    swapped(&mut universe, state, &closure)?;
    Ok(planned_changes(&mut universe, state, &closure))
}

/// Fails if several installed packages are replaced by packages of other names.
fn swapped(universe: &mut Universe<'_>, state: &ApkState, closure: &Closure<'_>) -> Result<(), Undecided> {
    let mut packages = Vec::new();
    for entry in state.installed.entries() {
        let name = universe.name(entry.name);
        let taker = closure
            .picks
            .get(&name)
            .map(|pick| universe.packages[pick.package].name);
        if taker.is_some_and(|taker| taker != name) {
            packages.push(entry.name.to_owned());
        }
    }
    match packages.len() {
        0 | 1 => Ok(()),
        _ => Err(Undecided::Swapped { packages }),
    }
}

fn planned_changes(universe: &mut Universe<'_>, state: &ApkState, closure: &Closure<'_>) -> Pending {
    let chosen = closure.chosen().into_iter();
    let mut after: BTreeMap<String, PackageId> = chosen
        .map(|package| (universe.packages[package].entry.name.to_owned(), package))
        .collect();
    let mut pending = Pending::default();
    let installed: BTreeMap<String, usize> = (0..)
        .zip(state.installed.entries())
        .map(|(at, entry)| (entry.name.to_owned(), at))
        .collect();
    for (name, at) in installed {
        let before = state.installed.entry(at);
        let package = name.clone();
        let architecture = before.architecture.to_owned();
        let installed = before.version.to_owned();
        let Some(to) = after.remove(&name) else {
            pending.removals.push(Removal {
                package,
                architecture,
                installed,
            });
            continue;
        };
        pending
            .kept_back
            .extend(kept_back(universe, &name, to, &installed, closure));
        let now = &universe.packages[to];
        if now.installed {
            continue;
        }
        pending.upgrades.push(Upgrade {
            source: now.entry.origin.unwrap_or(now.entry.name).to_owned(),
            candidate: now.entry.version.to_owned(),
            origin: universe.origin(to),
            security: false,
            step: match version::compare(now.entry.version, &installed) {
                Ordering::Less => Step::Back,
                Ordering::Equal => Step::Rebuilt,
                Ordering::Greater => Step::Forward,
            },
            package,
            architecture,
            installed,
        });
    }
    pending.new = after
        .into_iter()
        .map(|(name, package)| {
            let entry = &universe.packages[package].entry;
            New {
                architecture: entry.architecture.to_owned(),
                source: entry.origin.unwrap_or(entry.name).to_owned(),
                candidate: entry.version.to_owned(),
                origin: universe.origin(package),
                package: name,
            }
        })
        .collect();
    pending
}

/// The newest version that the image's repositories have of a package, if it is newer than the chosen one.
fn kept_back(
    universe: &mut Universe<'_>,
    name: &str,
    chosen: PackageId,
    installed: &str,
    closure: &Closure<'_>,
) -> Option<KeptBack<Why>> {
    let id = universe.name(name);
    universe.look_up(id);
    let newest = universe.providers(id).iter().map(|p| p.package).filter(|package| {
        let it = &universe.packages[*package];
        let tags = closure.inherited.get(package).copied().unwrap_or_default() | it.allowed | UNTAGGED;
        it.name == id && it.listed & universe.under(tags) != 0 && it.out != Some(Out::Uninstallable)
    });
    let version = |package: PackageId| universe.packages[package].entry.version;
    let newest = newest.reduce(|a, b| {
        if version::compare(version(b), version(a)).is_gt() {
            b
        } else {
            a
        }
    })?;
    if version::compare(version(newest), version(chosen)).is_le() {
        return None;
    }
    let it = &universe.packages[newest];
    Some(KeptBack {
        package: name.to_owned(),
        architecture: it.entry.architecture.to_owned(),
        installed: installed.to_owned(),
        candidate: it.entry.version.to_owned(),
        origin: universe.origin(newest),
        security: false,
        why: match it.out.clone() {
            None | Some(Out::Uninstallable) => Why::Tag,
            Some(Out::Needs { clause }) => Why::Needs { clause },
            Some(Out::Excluded { by: None, clause }) => Why::World { clause },
            Some(Out::Excluded { by: Some(by), clause }) => Why::Wanted {
                package: universe.shown(by),
                clause,
            },
            Some(Out::Beside { name }) => Why::Beside {
                name: universe.text(name).to_owned(),
            },
        },
    })
}

#[cfg(test)]
#[path = "pending_tests.rs"]
mod tests;
