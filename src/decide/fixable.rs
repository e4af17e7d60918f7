//! Can a rebuild bring what is pending, and if not, who can?

use super::freshness;
use crate::model::freshness::{Fix, PendingPackage, Survey, Vanished};
use crate::model::package_state::{Doing, Lineage, PackageState, Upgrades};
use jiff::Timestamp;

/// Says of each pending package who can bring it. `state` is the image's that was surveyed.
///
/// A package that came with our own layers is installed anew by each build, so a rebuild brings its newest version. One that
/// came with the base stays as it is there unless the Dockerfile upgrades everything or asks for it by name (apt-get(8):
/// `install` of something installed brings it up to date; a dependency that is met already is left alone).
pub fn judge(survey: &mut Survey, state: &PackageState, doing: &Doing) {
    let all_known = survey.unknown.is_empty();
    let brings_new = survey.pending.iter().any(|pending| pending.installed.is_none());
    for pending in survey.pending.iter_mut().filter(|pending| pending.installed.is_some()) {
        pending.layer = state.layers.get(&freshness::key(pending)).copied();
        pending.fix = upgraded(pending, doing, brings_new).unwrap_or_else(|| installed(pending, state, doing));
        // The package manager may decide otherwise when it sees the archives that we do not.
        if !all_known && pending.fix == Fix::Rebuild {
            pending.fix = perhaps("another package source is not known");
        }
    }
    let wholly = doing.upgrade || doing.refresh.upgrades == Upgrades::All;
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

/// What an archive published while the build ran is the next build's to bring.
pub fn excuse_news(survey: &mut Survey, began: Timestamp) {
    if survey.newest.is_none_or(|newest| newest < began) {
        return;
    }
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

/// What an upgrade of everything brings.
fn upgraded(pending: &PendingPackage, doing: &Doing, brings_new: bool) -> Option<Fix> {
    if doing.upgrade {
        return Some(Fix::Rebuild);
    }
    match doing.refresh.upgrades {
        Upgrades::None => None,
        // A version that the Dockerfile asks for by number is taken back by its own line, if that comes later.
        Upgrades::All | Upgrades::WithoutNew if doing.refresh.pinned.contains_key(&pending.package) => Some(perhaps(
            "the Dockerfile upgrades everything and also asks for one version",
        )),
        Upgrades::WithoutNew if brings_new => Some(perhaps("apt-get upgrade leaves out what needs a new package")),
        Upgrades::All | Upgrades::WithoutNew => Some(Fix::Rebuild),
    }
}

fn installed(pending: &PendingPackage, state: &PackageState, doing: &Doing) -> Fix {
    let refresh = &doing.refresh;
    // What `=1.22.*` still lets in comes with a rebuild.
    if let Some(pinned) = refresh
        .pinned
        .get(&pending.package)
        .filter(|it| !it.admits(&pending.candidate))
    {
        return Fix::Pin {
            version: pinned.version.clone(),
            line: pinned.line,
        };
    }
    // `apk add` of something installed leaves it as it is (apk-add(8)).
    if refresh.installs.contains(&pending.package) && !state.of_apk() {
        return Fix::Rebuild;
    }
    match (&state.lineage, pending.layer) {
        (Lineage::Base { reference, layers }, Some(layer)) if layer < *layers => Fix::Base {
            reference: reference.clone(),
        },
        // Without an install that we see, something else brought it: a .deb of the repository's own, a script.
        (Lineage::Base { .. }, Some(_)) if refresh.installs.is_empty() => {
            perhaps("no RUN line is seen that installs it")
        }
        (Lineage::Base { .. }, Some(_)) => Fix::Rebuild,
        (Lineage::Scratch, _) => perhaps("it was copied from another stage"),
        (Lineage::Base { .. }, None) | (Lineage::Unknown, _) => perhaps("it is not known which layer brought it"),
    }
}

fn perhaps(why: &str) -> Fix {
    Fix::Perhaps { why: why.to_owned() }
}

#[cfg(test)]
#[path = "fixable_tests.rs"]
mod tests;
