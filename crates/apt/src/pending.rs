//! The pending upgrades of an image: what `apt-get --simulate dist-upgrade` would print inside it.

use super::index::read::Index;
use super::release::Release;
use super::solve::file::Archive;
use super::solve::lookup::When;
use super::solve::plan::Mode;
use super::solve::world::{PackageId, VersionId, World};
use super::sources::Source;
use super::state::AptState;
use crate::planned::{self, KeptBack, New, Removal, Step, Upgrade};
use crate::version;
use std::cmp::Ordering;

/// One source of the image with what its archive has: verified by the caller.
#[derive(Debug, Clone)]
pub struct Suite<'a> {
    pub source: &'a Source,
    pub release: &'a Release,
    /// By component, then architecture, in the order of the source. A flat archive has one, without a name.
    pub indexes: Vec<SuiteIndex<'a>>,
}

#[derive(Debug, Clone, Copy)]
pub struct SuiteIndex<'a> {
    pub component: &'a str,
    /// Of the index, `all` where it has one of its own.
    pub architecture: &'a str,
    pub index: &'a Index,
}

/// What an upgrade would do.
pub type Pending = planned::Pending<Why>;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    #[error("it is held")]
    Held,
    #[error("it is phased: this machine is not among the first {percent} %")]
    Phased { percent: u8 },
    /// As the candidate's stanza says it.
    #[error("it needs {clause}")]
    Needs { clause: String },
    #[error("it conflicts with {clause}")]
    Conflicts { clause: String },
    #[error("something else in the image does not go with it")]
    Others,
}

/// apt would refuse to upgrade anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// What is installed lacks dependencies already: `apt --fix-broken install` comes first.
    #[error("unmet dependencies of {}", packages.join(", "))]
    Broken { packages: Vec<String> },
    /// No plan fits together, or none of its orders leads to the end.
    #[error("what the candidates need and exclude cannot be resolved")]
    Unresolved,
}

/// What `apt-get dist-upgrade` would do with an image, given the archives of its sources in the order of
/// [`AptState::sources`]. A source missing from `suites` counts as absent; the caller has to judge what that means for
/// the result.
///
/// # Errors
/// When apt, too, would refuse.
pub fn pending(state: &AptState, suites: &[Suite<'_>]) -> Result<Pending, Refusal> {
    let archives = suites.iter().flat_map(|suite| {
        suite.indexes.iter().map(|it| Archive {
            release: suite.release,
            host: suite.source.host(),
            component: it.component,
            architecture: it.architecture,
            index: it.index,
        })
    });
    let mut world = World::new(state, archives);
    let broken = world.broken_now();
    if !broken.is_empty() {
        let packages = broken.iter().map(|package| world.name(*package).to_owned()).collect();
        return Err(Refusal::Broken { packages });
    }
    if !world.upgrade() {
        return Err(Refusal::Unresolved);
    }
    Ok(read_off(&mut world))
}

fn read_off(world: &mut World<'_>) -> Pending {
    let mut pending = Pending::default();
    for package in world.sorted() {
        let it = &world.packages[package.at()];
        let planned = it.planned;
        match (planned.mode, it.current, planned.target) {
            (Mode::Install, Some(current), Some(target)) => {
                pending.upgrades.push(upgrade(world, package, current, target));
            }
            (Mode::Install, None, Some(target)) => pending.new.push(New {
                package: world.name(package).to_owned(),
                architecture: world.architecture_of(target).to_owned(),
                source: world.versions[target.at()].source.to_owned(),
                candidate: world.versions[target.at()].text.to_owned(),
                origin: origin(world, target),
            }),
            (Mode::Remove, Some(current), _) => pending.removals.push(Removal {
                package: world.name(package).to_owned(),
                architecture: world.architecture_of(current).to_owned(),
                installed: world.versions[current.at()].text.to_owned(),
            }),
            (Mode::Keep, Some(current), _) => pending.kept_back.extend(kept_back(world, package, current)),
            (Mode::Install, _, None) | (Mode::Remove | Mode::Keep, None, _) => {}
        }
    }
    pending
}

fn upgrade(world: &World<'_>, package: PackageId, current: VersionId, target: VersionId) -> Upgrade {
    let (old, new) = (&world.versions[current.at()], &world.versions[target.at()]);
    Upgrade {
        package: world.name(package).to_owned(),
        architecture: world.architecture_of(current).to_owned(),
        source: new.source.to_owned(),
        installed: old.text.to_owned(),
        candidate: new.text.to_owned(),
        origin: origin(world, target),
        security: is_security(world, package, current, target),
        step: match version::compare(new.text, old.text) {
            Ordering::Greater => Step::Forward,
            Ordering::Equal => Step::Rebuilt,
            Ordering::Less => Step::Back,
        },
    }
}

fn origin(world: &World<'_>, version: VersionId) -> String {
    let mut names: Vec<String> = Vec::new();
    for file in &world.versions[version.at()].files {
        if let Some(name) = world.files[*file].name()
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    names.join(", ")
}

fn is_security(world: &World<'_>, package: PackageId, current: VersionId, target: VersionId) -> bool {
    let text = |version: VersionId| world.versions[version.at()].text;
    let between = |version: &&VersionId| {
        version::compare(text(**version), text(current)).is_gt()
            && version::compare(text(**version), text(target)).is_le()
    };
    let versions = world.packages[package.at()].versions.iter().filter(between);
    let mut files = versions.flat_map(|version| &world.versions[version.at()].files);
    files.any(|file| world.files[*file].is_security())
}

/// Reports policy's candidate, even if the plan has dropped it.
fn kept_back(world: &mut World<'_>, package: PackageId, current: VersionId) -> Option<KeptBack<Why>> {
    let it = &world.packages[package.at()];
    let candidate = it.candidate.filter(|candidate| *candidate != current)?;
    let held = it.held && !world.ignores_holds();
    let (old, new) = (world.versions[current.at()].text, world.versions[candidate.at()].text);
    if version::compare(new, old).is_le() {
        return None;
    }
    let why = if held {
        Why::Held
    } else if world.is_phased(package) {
        Why::Phased {
            percent: world.versions[candidate.at()].phased,
        }
    } else {
        why(world, candidate)
    };
    Some(KeptBack {
        package: world.name(package).to_owned(),
        architecture: world.architecture_of(current).to_owned(),
        installed: old.to_owned(),
        candidate: new.to_owned(),
        origin: origin(world, candidate),
        security: is_security(world, package, current, candidate),
        why,
    })
}

/// The first clause of the candidate that the plan does not meet.
fn why(world: &mut World<'_>, candidate: VersionId) -> Why {
    for clause in world.clauses(candidate).iter() {
        let matters = clause.is_critical() && !clause.text.is_empty();
        if matters && !world.holds(clause, When::Planned) {
            let clause_text = clause.text.to_owned();
            return if clause.is_negative() {
                Why::Conflicts { clause: clause_text }
            } else {
                Why::Needs { clause: clause_text }
            };
        }
    }
    Why::Others
}

#[cfg(test)]
#[path = "pending_tests.rs"]
mod tests;
