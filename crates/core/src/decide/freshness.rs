//! Would a rebuild change anything? Before a build the inputs are compared, which costs nothing; after it the content:
//! if packages, configuration and files equal those of the last release, nothing is pushed, promoted, restarted or
//! mailed.

use jiff::{SignedDuration, Timestamp};
use lowtide_model::failure::{Failure, FailureKind, SkipReason};
use lowtide_model::freshness::{Because, Fix, Inputs, Judged, PendingPackage, RebuildAssessment, Survey};
use lowtide_model::image::ContentDigest;
use lowtide_model::policy::{BuildPolicy, Source};
use lowtide_model::release::Release;
use lowtide_model::run::Trigger;
use lowtide_model::stages::inspect::Inspected;
use lowtide_packages::hash;

/// Before the build: why it is worth while, or why not.
///
/// # Errors
/// `NothingToGain`: no input has moved since the last build whose outcome is known.
pub fn decide(
    assessment: &RebuildAssessment,
    judged: Option<&Judged>,
    trigger: &Trigger,
    max_age: Option<SignedDuration>,
    now: Timestamp,
) -> Result<Vec<Because>, SkipReason> {
    let mut because = Vec::new();
    if let Trigger::Manual { by, rebuild: true } = trigger {
        because.push(Because::Asked { by: by.clone() });
    }
    match judged {
        None => because.push(Because::First),
        Some(judged) => {
            moved(&judged.inputs, assessment, &mut because);
            // A build may depend on things that lowtide cannot see, so it is repeated when it is older than `max_age`.
            if let Some(limit) = max_age.filter(|limit| judged.at + *limit <= now) {
                because.push(Because::Age { limit });
            }
        }
    }
    if because.is_empty() {
        return Err(nothing_to_gain(&assessment.survey));
    }
    Ok(because)
}

/// After the build: why the candidate goes no further, if it does not.
#[must_use]
pub fn skip(inspected: &Inspected, last: Option<&Release>, quarantine: &[ContentDigest]) -> Option<SkipReason> {
    let content = &inspected.inventory.content;
    // The quarantine goes by content: a rebuild of the same bits gets another digest.
    if quarantine.contains(content) {
        return Some(SkipReason::Quarantined {
            digest: content.to_string(),
        });
    }
    let same = last.is_some_and(|release| release.images.has_content(content));
    same.then_some(SkipReason::SameContent)
}

/// After the build: the proof of freshness. Nothing that a rebuild is sure to bring may still be pending.
#[must_use]
pub fn stale(left: &Survey) -> Option<Failure> {
    let behind: Vec<&PendingPackage> = left.pending.iter().filter(|p| p.fix == Fix::Rebuild).collect();
    let first = behind.first()?;
    let more = match behind.len() - 1 {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    let detail = format!("{}{more}", left_behind(first));
    let lines = behind.iter().map(|pending| left_behind(pending));
    Some(Failure::new(FailureKind::StaleBuild, detail).with_excerpt(lines))
}

fn left_behind(pending: &PendingPackage) -> String {
    let brought = match (&pending.installed, pending.layer) {
        (Some(installed), Some(layer)) => format!("layer {} brought {installed}", layer + 1),
        (Some(installed), None) => format!("the image has {installed}"),
        (None, _) => "the image has none".to_owned(),
    };
    format!(
        "{} {} is in {}, {brought}",
        pending.package, pending.candidate, pending.origin
    )
}

/// Hash of every configuration setting that affects the result of a build.
#[must_use]
pub fn settings(source: &Source, build: &BuildPolicy) -> String {
    let said = (
        (&source.context, &source.dockerfile, source.submodules),
        (&build.args, &build.target, &build.labels),
        (build.label_schema, build.pull, build.upgrade),
    );
    // Maps of strings, and no float: this cannot fail.
    let bytes = serde_json::to_vec(&said).unwrap_or_default();
    hash::of(&bytes)
}

fn moved(before: &Inputs, assessment: &RebuildAssessment, because: &mut Vec<Because>) {
    let now = &assessment.inputs;
    if let (Some(from), Some(to)) = (&before.commit, &now.commit)
        && from != to
    {
        let (from, to) = (from.clone(), to.clone());
        because.push(Because::Commit { from, to });
    }
    let other = |(reference, digest): &(&String, &String)| before.bases.get(*reference) != Some(digest);
    because.extend(now.bases.iter().filter(other).map(|(reference, _)| Because::Base {
        reference: reference.clone(),
    }));
    if now.settings != before.settings {
        because.push(Because::Settings);
    }
    let survey = &assessment.survey;
    because.extend(survey.unseen.iter().map(|why| Because::Unseen { why: why.clone() }));
    // An upgrade that an earlier build should have installed but did not is no reason to build until its version
    // changes.
    let new = |pending: &&PendingPackage| before.gains.get(&key(pending)) != Some(&pending.candidate);
    let fixable: Vec<&PendingPackage> = survey.within_reach().collect();
    if fixable.iter().any(new) {
        because.push(Because::Pending {
            packages: fixable.len(),
            security: fixable.iter().filter(|pending| pending.security).count(),
        });
    }
}

/// Key of a pending package in [`Inputs::gains`].
#[must_use]
pub fn key(pending: &PendingPackage) -> String {
    named(&pending.package, &pending.architecture)
}

/// How a package of one architecture is named: as dpkg does (dpkg(1)).
#[must_use]
pub fn named(package: &str, architecture: &str) -> String {
    format!("{package}:{architecture}")
}

fn nothing_to_gain(survey: &Survey) -> SkipReason {
    SkipReason::NothingToGain {
        out_of_reach: survey.out_of_reach().count(),
        security: survey.out_of_reach().filter(|pending| pending.security).count(),
        unknown: survey.unknown.iter().map(|unknown| unknown.source.clone()).collect(),
    }
}

#[cfg(test)]
#[path = "freshness_tests.rs"]
mod tests;
