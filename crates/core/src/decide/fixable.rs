//! Decides whether a rebuild installs a pending upgrade, and if not, what it takes: a new base image or another version
//! pin.

use super::freshness;
use jiff::Timestamp;
use lowtide_model::freshness::{Fix, PendingPackage, Survey, UnavailablePin};
use lowtide_model::image::Reference;
use lowtide_model::package_state::{Doing, Doubt, Lineage, PackageState, Pinned, Refresh, Upgrades};
use std::collections::{BTreeMap, BTreeSet};

/// Sets `fix` of each pending package: who can deliver the upgrade. `state`: of the surveyed image.
///
/// Each build reinstalls the packages of our own layers, so a rebuild brings their newest versions. A package of the
/// base image stays at its version unless the Dockerfile upgrades everything or installs that package by name
/// (apt-get(8): `install` of something installed brings it up to date; a dependency that is met already is left alone).
/// Both rules apply only if every instruction of the Dockerfile is understood.
pub fn judge(survey: &mut Survey, state: &PackageState, doing: &Doing) {
    let all_known = survey.unknown.is_empty();
    let facts = Facts {
        state,
        doing,
        brings_new: survey.pending.iter().any(|pending| pending.installed.is_none()),
        removes: !survey.removals.is_empty(),
        bound: survey.pending.iter().any(|pending| is_bound(pending, &doing.refresh)),
    };
    for pending in survey.pending.iter_mut().filter(|pending| pending.installed.is_some()) {
        pending.layer = state.layers.get(&freshness::key(pending)).copied();
        pending.fix = facts.upgraded(pending).unwrap_or_else(|| facts.installed(pending));
        // The package manager also sees the sources that we cannot read, and may decide otherwise.
        if !all_known && pending.fix == Fix::Rebuild {
            pending.fix = perhaps("another package source is not known");
        }
    }
    let held = survey
        .pending
        .iter()
        .any(|pending| doing.refresh.held.contains(&pending.package));
    let wholly = !held && (doing.upgrade || doing.refresh.upgrades == Upgrades::All);
    let reachable = survey.within_reach().any(|pending| pending.installed.is_some());
    let upgrade_fix = survey.out_of_reach().next().map(|pending| pending.fix.clone());
    for new in survey.pending.iter_mut().filter(|pending| pending.installed.is_none()) {
        // A new dependency comes only with the upgrade that needs it.
        new.fix = match &upgrade_fix {
            _ if wholly && all_known => Fix::Rebuild,
            Some(fix) if !reachable => fix.clone(),
            Some(_) | None => perhaps("it comes with an upgrade that needs it"),
        };
    }
}

/// As [`judge`], for an image that others build: whatever is pending comes with their next `image`.
pub fn judge_upstream(survey: &mut Survey, image: &Reference) {
    for pending in &mut survey.pending {
        pending.fix = Fix::Base {
            reference: image.to_string(),
        };
    }
}

/// As [`judge`], for an image that was just built: an upgrade that this build could have installed but did not is out
/// of its reach. `gains`: the upgrades known to be pending when the build began
/// ([`lowtide_model::freshness::Inputs::gains`]). Without the date of an index, only those are sure to have been
/// available.
pub fn judge_built(
    survey: &mut Survey,
    state: &PackageState,
    doing: &Doing,
    began: Timestamp,
    gains: &BTreeMap<String, String>,
) {
    judge(survey, state, doing);
    match survey.newest {
        Some(newest) if newest >= began => excuse_news(survey),
        Some(_) => tried(survey, state, doing, |_| true),
        None => tried(survey, state, doing, |it| {
            gains.get(&freshness::key(it)) == Some(&it.candidate)
        }),
    }
}

/// Can a rebuild upgrade this package although it is on hold in the image? A rebuild reinstalls the packages of our own
/// layers before anything holds them, and a hold set by the Dockerfile (`held`) is not in effect when the build starts.
/// A hold that comes with the base image remains.
#[must_use]
pub fn is_free(state: &PackageState, held: &BTreeSet<String>, name: &str, architecture: &str) -> bool {
    if held.contains(name) {
        return true;
    }
    match (&state.lineage, state.layers.get(&freshness::named(name, architecture))) {
        (Lineage::Base { layers, .. }, Some(layer)) => layer >= layers,
        (Lineage::Base { .. }, None) | (Lineage::Scratch | Lineage::Unknown, _) => false,
    }
}

/// A build that could have installed a version but did not settles a [`Fix::Perhaps`]: the package needs a new base
/// image, or is blocked by a version pin. `tried`: was there such a build, from the same inputs?
pub fn tried(survey: &mut Survey, state: &PackageState, doing: &Doing, tried: impl Fn(&PendingPackage) -> bool) {
    if !survey.unknown.is_empty() {
        return;
    }
    let may = |pending: &&mut PendingPackage| matches!(pending.fix, Fix::Perhaps { .. }) && tried(pending);
    for pending in survey.pending.iter_mut().filter(may) {
        let pinned = doing.refresh.pinned.get(&pending.package);
        if let Some(pinned) = pinned.filter(|it| it.version.is_none() || !it.admits(&pending.candidate)) {
            pending.fix = pin(pinned);
        } else if let (Lineage::Base { reference, layers, .. }, Some(layer)) = (&state.lineage, pending.layer)
            && layer < *layers
        {
            let reference = reference.clone();
            pending.fix = Fix::Base { reference };
        }
    }
}

/// An upgrade that was published while the build ran is left to the next build: it is no fault of this one.
fn excuse_news(survey: &mut Survey) {
    for pending in survey.pending.iter_mut().filter(|pending| pending.fix == Fix::Rebuild) {
        pending.fix = perhaps("its package repository published updates during the run");
    }
}

/// Pinned versions that no package repository has any more, judged by the package sources of the release built from
/// commit `last`. None count if `commit` is another one: it may add the repository that has them.
#[must_use]
pub fn gone_for_good(unavailable_pins: Vec<UnavailablePin>, last: Option<&str>, commit: &str) -> Vec<UnavailablePin> {
    if last == Some(commit) {
        unavailable_pins
    } else {
        Vec::new()
    }
}

struct Facts<'a> {
    state: &'a PackageState,
    doing: &'a Doing,
    /// The upgrade would install new packages.
    brings_new: bool,
    /// The upgrade would remove packages.
    removes: bool,
    /// A version pin blocks some upgrade, and may block others with it.
    bound: bool,
}

impl Facts<'_> {
    /// The fix if the build upgrades everything; `None`: it does not, or the package is on hold.
    fn upgraded(&self, pending: &PendingPackage) -> Option<Fix> {
        let refresh = &self.doing.refresh;
        // An upgrade skips packages on hold.
        if refresh.held.contains(&pending.package) {
            return None;
        }
        if self.doing.upgrade {
            return Some(Fix::Rebuild);
        }
        Some(match refresh.upgrades {
            Upgrades::None => return None,
            // If the pinned install comes after the upgrade, it puts the pinned version back.
            Upgrades::All | Upgrades::WithoutNew | Upgrades::WithoutRemovals
                if refresh.pinned.contains_key(&pending.package) || self.bound && !self.of_base(pending) =>
            {
                perhaps("the Dockerfile upgrades everything and also pins one version")
            }
            Upgrades::WithoutNew if self.brings_new => perhaps("apt-get upgrade leaves out what needs a new package"),
            Upgrades::WithoutNew | Upgrades::WithoutRemovals if self.removes => {
                perhaps("upgrade leaves out what goes only without another package")
            }
            Upgrades::All | Upgrades::WithoutNew | Upgrades::WithoutRemovals => Fix::Rebuild,
        })
    }

    fn of_base(&self, pending: &PendingPackage) -> bool {
        match (&self.state.lineage, pending.layer) {
            (Lineage::Base { layers, .. }, Some(layer)) => layer < *layers,
            (Lineage::Base { .. }, None) | (Lineage::Scratch | Lineage::Unknown, _) => false,
        }
    }

    fn installed(&self, pending: &PendingPackage) -> Fix {
        let refresh = &self.doing.refresh;
        if let Some(pinned) = refresh.pinned.get(&pending.package) {
            return pinned_fix(pinned, &pending.candidate);
        }
        if refresh.newest.contains(&pending.package) {
            return Fix::Rebuild;
        }
        if refresh.perhaps.contains(&pending.package) {
            return perhaps(&match refresh.doubts.last() {
                Some(doubt) => doubted(doubt),
                None => "the Dockerfile installs it where that is not sure to happen".to_owned(),
            });
        }
        let (base, layers, triggers) = match &self.state.lineage {
            Lineage::Base {
                reference,
                layers,
                triggers,
            } => (reference, *layers, *triggers),
            Lineage::Scratch => return perhaps("it was copied from another stage"),
            Lineage::Unknown => return perhaps("it is not known which layer brought it"),
        };
        let Some(layer) = pending.layer else {
            return perhaps("it is not known which layer brought it");
        };
        // An instruction that is not understood may upgrade the base's packages and set ours to any version.
        if let Some(doubt) = refresh.doubts.first() {
            return perhaps(&doubted(doubt));
        }
        if triggers {
            return perhaps("the base has ONBUILD instructions, which are not seen");
        }
        if layer < layers {
            let upgrades = refresh.upgrades != Upgrades::None;
            if upgrades && refresh.held.contains(&pending.package) {
                return perhaps("the Dockerfile upgrades everything and also holds it");
            }
            let reference = base.clone();
            return Fix::Base { reference };
        }
        // No install is visible, so something else installed the package: for example a .deb from the git repository.
        if !refresh.installs && refresh.upgrades == Upgrades::None {
            return perhaps("no RUN line is seen that installs it");
        }
        if self.bound {
            return perhaps("a version that the Dockerfile pins may hold it back");
        }
        Fix::Rebuild
    }
}

/// The fix for a package that the Dockerfile pins to one version.
fn pinned_fix(pinned: &Pinned, candidate: &str) -> Fix {
    match (&pinned.version, pinned.sure && pinned.last) {
        // A candidate that still matches the pattern (`=1.22.*`) comes with a rebuild.
        (Some(_), true) if pinned.admits(candidate) => Fix::Rebuild,
        (Some(_), true) => pin(pinned),
        (Some(_), false) => perhaps(&format!(
            "line {} pins {}, and a later instruction may override it",
            pinned.line, pinned.written
        )),
        (None, _) => perhaps(&format!("line {} pins a version that cannot be read", pinned.line)),
    }
}

/// Does a version pin block the upgrade, or might it?
fn is_bound(pending: &PendingPackage, refresh: &Refresh) -> bool {
    let pinned = refresh.pinned.get(&pending.package);
    pinned.is_some_and(|pinned| pinned.version.is_none() || !pinned.admits(&pending.candidate))
}

fn pin(pinned: &Pinned) -> Fix {
    Fix::Pin {
        version: pinned.written.clone(),
        line: pinned.line,
    }
}

fn doubted(doubt: &Doubt) -> String {
    format!("line {}: {}", doubt.line, doubt.why)
}

fn perhaps(why: &str) -> Fix {
    Fix::Perhaps { why: why.to_owned() }
}

#[cfg(test)]
#[path = "fixable_tests.rs"]
mod tests;
