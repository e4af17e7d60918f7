//! Is there an image of others to take? The newest that the rule of tags matches, never an older one than the last release, and not before
//! lowtide has known it for `min_age`: what is wrong with an image is often found in its first days. Security fixes do not wait.

use super::freshness;
use jiff::Timestamp;
use lowtide_model::failure::{Failure, FailureKind, SkipReason};
use lowtide_model::freshness::{Because, Behind, Judged, Survey};
use lowtide_model::image::{Reference, Repository};
use lowtide_model::policy::FollowPolicy;
use lowtide_model::release::{Release, Upstream};
use lowtide_model::run::Trigger;
use lowtide_model::stages::pull::{ListedImage, Pull, SeenImage};
use std::cmp::Ordering;
use tags::{Key, Tags};

pub use crate::fleet::tags;

/// Tags whose images are looked at each night: one registry request each, and a newer one makes the older ones needless.
pub const LISTED: usize = 5;
/// Names of tags that are read of a registry. No image that was built often for years has more.
pub const TAGS: usize = 100_000;
/// Images remembered per app with the time they were first seen.
pub const SEEN: usize = 50;

/// What a followed app's run does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Followed {
    Take(Box<Taken>),
    Stay(SkipReason),
    Refused(Failure),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    pub image: ListedImage,
    pub because: Vec<Because>,
    /// It goes further only with security fixes.
    pub soaks_until: Option<Timestamp>,
}

/// What is known of an app from earlier runs.
#[derive(Debug, Clone, Copy)]
pub struct Past<'a> {
    pub last: Option<&'a Release>,
    pub judged: Option<&'a Judged>,
    pub seen: &'a [SeenImage],
    /// Tags that the targets run, before the first release.
    pub running: &'a [String],
    /// What is pending in the last release.
    pub survey: &'a Survey,
}

/// `listed`: what the registry has now, the newest first.
pub fn decide(
    policy: &FollowPolicy,
    listed: &[ListedImage],
    past: Past<'_>,
    trigger: &Trigger,
    now: Timestamp,
) -> Followed {
    let tags = match Tags::parse(&policy.tags) {
        Ok(tags) => tags,
        Err(error) => return Followed::Refused(Failure::new(FailureKind::Invariant, error.to_string())),
    };
    let here = past.last.and_then(|last| last.upstream.as_deref());
    let here = here.filter(|upstream| upstream.image == policy.image);
    if let Some(failure) = goes_down(policy, &tags, listed, (here, past.running)) {
        return Followed::Refused(failure);
    }
    let newer: Vec<&ListedImage> = listed.iter().filter(|image| is_newer(&tags, image, here)).collect();
    if let Trigger::Manual { by, rebuild: true } = trigger {
        let same = listed
            .iter()
            .find(|image| here.is_some_and(|here| here.tag == image.tag));
        if let Some(image) = newer.first().copied().or(same) {
            return take(image, vec![Because::Asked { by: by.clone() }], None);
        }
    }
    choose(policy, &newer, here, past, now)
}

/// After the pull: why a young image goes no further, if it does not.
#[must_use]
pub fn soaks(pull: &Pull, before: &Survey, left: &Survey) -> Option<SkipReason> {
    let until = pull.soaks_until?;
    (fixed(before, left).security == 0).then(|| SkipReason::Soaking {
        tag: pull.image.tag.clone(),
        until,
    })
}

/// What was pending in the last release and is not in the candidate.
#[must_use]
pub fn fixed(before: &Survey, left: &Survey) -> Behind {
    let remains = |key: &str, candidate: &str| {
        let mut pending = left.pending.iter();
        pending.any(|it| freshness::key(it) == key && it.candidate == candidate)
    };
    // Nothing can be said of packages that nobody sees.
    if left.unseen.is_some() {
        return Behind::default();
    }
    let gone = before
        .pending
        .iter()
        .filter(|it| !remains(&freshness::key(it), &it.candidate));
    gone.fold(Behind::default(), |sum, it| Behind {
        packages: sum.packages + 1,
        security: sum.security + usize::from(it.security),
    })
}

/// The images that no earlier run has seen.
pub fn unseen<'a>(listed: &'a [ListedImage], seen: &'a [SeenImage]) -> impl Iterator<Item = &'a ListedImage> {
    listed.iter().filter(|image| first_seen(image, seen).is_none())
}

/// Key of a followed tag in [`lowtide_model::freshness::Inputs::bases`].
#[must_use]
pub fn named(image: &Repository, tag: &str) -> String {
    Reference::tagged(image, tag).to_string()
}

/// A rule that matches only images older than the last release, or than what runs before the first one: a database cannot read the files of
/// a newer version.
fn goes_down(
    policy: &FollowPolicy,
    tags: &Tags,
    listed: &[ListedImage],
    (here, running): (Option<&Upstream>, &[String]),
) -> Option<Failure> {
    let newest = &listed.first()?.tag;
    let than = match here {
        Some(here) => {
            let lower = tags.key(&here.tag).is_none() && tags::is_lower(newest, &here.tag);
            lower.then(|| format!("the last release is {}", here.tag))
        }
        None => {
            let higher = running.iter().find(|tag| is_older(tags, newest, tag));
            higher.map(|tag| format!("{tag} runs"))
        }
    }?;
    let detail = format!(
        "{newest} is the newest that `{}` matches, and {than}; lowtide never goes down by itself",
        policy.tags
    );
    Some(Failure::new(FailureKind::RuleGoesDown, detail))
}

fn is_older(tags: &Tags, tag: &str, than: &str) -> bool {
    match tags.key(tag).zip(tags.key(than)) {
        Some((one, other)) => tags::order(&one, &other) == Ordering::Less,
        None => tags::is_lower(tag, than),
    }
}

fn is_newer(tags: &Tags, image: &ListedImage, here: Option<&Upstream>) -> bool {
    let Some(here) = here else { return true };
    if image.manifest == here.manifest {
        return false;
    }
    if image.tag == here.tag {
        return true;
    }
    let known: Option<(Key, Key)> = tags.key(&image.tag).zip(tags.key(&here.tag));
    match known {
        Some((one, other)) => tags::order(&one, &other) == Ordering::Greater,
        // The rule was changed and no longer matches what runs: it does not go down, so anything is newer.
        None => !tags::is_lower(&image.tag, &here.tag),
    }
}

fn choose(
    policy: &FollowPolicy,
    newer: &[&ListedImage],
    here: Option<&Upstream>,
    past: Past<'_>,
    now: Timestamp,
) -> Followed {
    let mut went_back = None;
    let mut young: Option<(&ListedImage, Timestamp)> = None;
    for image in newer {
        if is_judged(policy, image, past.judged) {
            continue;
        }
        if is_earlier(image, here, past.seen) {
            went_back = Some(SkipReason::WentBack { tag: image.tag.clone() });
            continue;
        }
        let due = first_seen(image, past.seen)
            .unwrap_or(now)
            .saturating_add(policy.min_age);
        match due {
            Ok(due) if due > now => young = young.or(Some((image, due))),
            Ok(_) | Err(_) => return take(image, because(image, here), None),
        }
    }
    if let Some((image, until)) = young {
        // Only the image itself shows whether it has them.
        if past.survey.pending.iter().any(|pending| pending.security) {
            return take(image, because(image, here), Some(until));
        }
        let tag = image.tag.clone();
        return Followed::Stay(SkipReason::Soaking { tag, until });
    }
    let tag = here.map_or_else(|| policy.tags.clone(), |here| here.tag.clone());
    Followed::Stay(went_back.unwrap_or(SkipReason::NothingNewer { tag }))
}

fn take(image: &ListedImage, because: Vec<Because>, soaks_until: Option<Timestamp>) -> Followed {
    Followed::Take(Box::new(Taken {
        image: image.clone(),
        because,
        soaks_until,
    }))
}

fn because(image: &ListedImage, here: Option<&Upstream>) -> Vec<Because> {
    vec![match here {
        None => Because::First,
        Some(here) if here.tag == image.tag => Because::Moved { tag: image.tag.clone() },
        Some(here) => Because::Newer {
            from: here.tag.clone(),
            to: image.tag.clone(),
        },
    }]
}

/// It was pulled before, and changed nothing or is quarantined.
fn is_judged(policy: &FollowPolicy, image: &ListedImage, judged: Option<&Judged>) -> bool {
    let known = judged.and_then(|judged| judged.inputs.bases.get(&named(&policy.image, &image.tag)));
    known.is_some_and(|known| known == image.manifest.as_str())
}

/// Had the tag this image before it had the one that runs? Whoever pushes it has taken that one back; that our hosts have to go back, too,
/// is for a person to say.
fn is_earlier(image: &ListedImage, here: Option<&Upstream>, seen: &[SeenImage]) -> bool {
    let Some(here) = here.filter(|here| here.tag == image.tag) else {
        return false;
    };
    let since = seen
        .iter()
        .find(|one| one.tag == here.tag && one.manifest == here.manifest);
    let before = first_seen(image, seen).zip(since.map(|one| one.at));
    before.is_some_and(|(image, here)| image < here)
}

fn first_seen(image: &ListedImage, seen: &[SeenImage]) -> Option<Timestamp> {
    let found = seen
        .iter()
        .find(|one| one.tag == image.tag && one.manifest == image.manifest);
    found.map(|one| one.at)
}

#[cfg(test)]
#[path = "follow_tests.rs"]
mod tests;
