//! Can a rebuild bring what is pending, and if not, who can?

use super::freshness;
use crate::model::freshness::{Fix, PendingPackage, Survey, Vanished};
use crate::model::package_state::{Doing, Doubt, Lineage, PackageState, Pinned, Refresh, Upgrades};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// Says of each pending package who can bring it. `state` is the image's that was surveyed.
///
/// A package that came with our own layers is installed anew by each build, so a rebuild brings its newest version. One that
/// came with the base stays as it is there unless the Dockerfile upgrades everything or asks for it by name (apt-get(8):
/// `install` of something installed brings it up to date; a dependency that is met already is left alone). Both hold only
/// where the whole Dockerfile is understood.
pub fn judge(survey: &mut Survey, state: &PackageState, doing: &Doing) {
    let all_known = survey.unknown.is_empty();
    let scene = Scene {
        state,
        doing,
        brings_new: survey.pending.iter().any(|pending| pending.installed.is_none()),
        removes: !survey.removals.is_empty(),
        bound: survey.pending.iter().any(|pending| is_bound(pending, &doing.refresh)),
    };
    for pending in survey.pending.iter_mut().filter(|pending| pending.installed.is_some()) {
        pending.layer = state.layers.get(&freshness::key(pending)).copied();
        pending.fix = scene.upgraded(pending).unwrap_or_else(|| scene.installed(pending));
        // The package manager may decide otherwise when it sees the archives that we do not.
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
    let kept = survey.out_of_reach().next().map(|pending| pending.fix.clone());
    for new in survey.pending.iter_mut().filter(|pending| pending.installed.is_none()) {
        // Only what needs it brings it.
        new.fix = match &kept {
            _ if wholly && all_known => Fix::Rebuild,
            Some(fix) if !reachable => fix.clone(),
            Some(_) | None => perhaps("it comes with an upgrade that needs it"),
        };
    }
}

/// As [`judge`], of an image that was built just now: what this build left behind although it might have brought it is out of
/// its reach. `gains`: what was known to be pending when the build began ([`crate::model::freshness::Inputs::gains`]); without
/// the date of an index, nobody knows whether the rest was there.
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

/// Is the hold of a package in the image no obstacle to a rebuild? A rebuild installs the packages of our own layers anew before
/// anything holds them, and what the Dockerfile itself holds (`held`) it does not hold from the start. A hold that came with
/// the base stays.
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

/// A build that might have brought a version and did not is as good as knowing what it does: the package waits for its base,
/// or for the version that the Dockerfile asks for. `tried`: was there such a build, of the same inputs?
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

/// What an archive published while the build ran is the next build's to bring.
fn excuse_news(survey: &mut Survey) {
    for pending in survey.pending.iter_mut().filter(|pending| pending.fix == Fix::Rebuild) {
        pending.fix = perhaps("its archive published news during the run");
    }
}

/// Versions that the Dockerfile of `commit` asks for in vain, going by the package sources of the release made from `last`.
/// Another commit may bring the source that has them.
#[must_use]
pub fn gone_for_good(vanished: Vec<Vanished>, last: &str, commit: &str) -> Vec<Vanished> {
    if last == commit { vanished } else { Vec::new() }
}

struct Scene<'a> {
    state: &'a PackageState,
    doing: &'a Doing,
    /// The upgrade needs packages that are not there yet.
    brings_new: bool,
    /// It takes some away.
    removes: bool,
    /// Something stays at a version that the Dockerfile asks for, and may keep others with it.
    bound: bool,
}

impl Scene<'_> {
    /// What an upgrade of everything brings.
    fn upgraded(&self, pending: &PendingPackage) -> Option<Fix> {
        let refresh = &self.doing.refresh;
        // It leaves alone what is held.
        if refresh.held.contains(&pending.package) {
            return None;
        }
        if self.doing.upgrade {
            return Some(Fix::Rebuild);
        }
        Some(match refresh.upgrades {
            Upgrades::None => return None,
            // A version that the Dockerfile asks for by number is taken back by its own line, if that comes later.
            Upgrades::All | Upgrades::WithoutNew | Upgrades::WithoutRemovals
                if refresh.pinned.contains_key(&pending.package) || self.bound && !self.of_base(pending) =>
            {
                perhaps("the Dockerfile upgrades everything and also asks for one version")
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
            return asked_for(pinned, &pending.candidate);
        }
        if refresh.newest.contains(&pending.package) {
            return Fix::Rebuild;
        }
        if refresh.perhaps.contains(&pending.package) {
            return perhaps(&match refresh.doubts.last() {
                Some(doubt) => doubted(doubt),
                None => "the Dockerfile asks for it where that is not sure to happen".to_owned(),
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
        // What is not understood may bring the base's packages up to date, and ours to any version.
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
        // Without an install that we see, something else brought it: a .deb of the repository's own.
        if !refresh.installs && refresh.upgrades == Upgrades::None {
            return perhaps("no RUN line is seen that installs it");
        }
        if self.bound {
            return perhaps("a version that the Dockerfile asks for may keep it where it is");
        }
        Fix::Rebuild
    }
}

/// Of one version only.
fn asked_for(pinned: &Pinned, candidate: &str) -> Fix {
    match (&pinned.version, pinned.sure && pinned.last) {
        // What `=1.22.*` still lets in comes with a rebuild.
        (Some(_), true) if pinned.admits(candidate) => Fix::Rebuild,
        (Some(_), true) => pin(pinned),
        (Some(_), false) => perhaps(&format!(
            "line {} asks for {}, and it is not sure that this is the last word",
            pinned.line, pinned.written
        )),
        (None, _) => perhaps(&format!("line {} asks for a version that cannot be read", pinned.line)),
    }
}

/// It stays, or may stay, where the Dockerfile wants it.
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
