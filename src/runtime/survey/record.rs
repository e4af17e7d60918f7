//! What a package manager would do, as a survey reports it.

use lowtide_model::freshness::{Fix, KeptBack, PendingPackage, Survey};
use lowtide_packages::planned::{New, Pending, Removal, Upgrade};
use std::fmt::Display;

/// Leaves open who can bring each fix: [`lowtide_core::decide::fixable::judge`] decides that.
pub(crate) fn record<Why: Display>(survey: &mut Survey, pending: Pending<Why>) {
    survey.pending = pending.upgrades.into_iter().map(upgraded).collect();
    survey.pending.extend(pending.new.into_iter().map(new));
    survey
        .pending
        .sort_by(|a, b| (&a.package, &a.architecture).cmp(&(&b.package, &b.architecture)));
    let removed = |it: Removal| format!("{}:{}", it.package, it.architecture);
    survey.removals = pending.removals.into_iter().map(removed).collect();
    let kept_back = pending.kept_back.into_iter().map(|it| KeptBack {
        package: it.package,
        architecture: it.architecture,
        installed: it.installed,
        candidate: it.candidate,
        origin: it.origin,
        security: it.security,
        why: it.why.to_string(),
    });
    survey.kept_back = kept_back.collect();
}

fn upgraded(it: Upgrade) -> PendingPackage {
    PendingPackage {
        package: it.package,
        architecture: it.architecture,
        installed: Some(it.installed),
        candidate: it.candidate,
        origin: it.origin,
        security: it.security,
        layer: None,
        fix: unknown_fix(),
    }
}

fn new(it: New) -> PendingPackage {
    PendingPackage {
        package: it.package,
        architecture: it.architecture,
        installed: None,
        candidate: it.candidate,
        origin: it.origin,
        // A new package fixes nothing that is in the image.
        security: false,
        layer: None,
        fix: unknown_fix(),
    }
}

fn unknown_fix() -> Fix {
    Fix::Perhaps {
        why: "it is not known how the image is built".to_owned(),
    }
}
