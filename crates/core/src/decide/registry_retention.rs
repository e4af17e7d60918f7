//! Decides which release tags retention removes from registries: only tags that lowtide pushed, and never what a target
//! or a channel has or would go back to.

use super::app_state::{AppState, Record};
use super::retention;
use crate::fleet::app::App;
use jiff::Timestamp;
use lowtide_model::image::{Repository, ServedDigest};
use lowtide_model::name::{AppName, RunId};
use lowtide_model::policy::RegistryRetention;
use lowtide_model::registry_tag::{Held, PushedTag, Verdict};
use std::collections::{BTreeMap, BTreeSet};

/// Tags remembered per app and repository. Older ones are forgotten and stay in the registry.
pub const REMEMBERED: usize = 1000;

/// Releases that stay whatever their age.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needed {
    runs: BTreeSet<RunId>,
    /// Digests, as text: what needs a digest does not care which release it was pushed for.
    digests: BTreeSet<String>,
}

/// A tag in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagged {
    pub digest: ServedDigest,
    /// Manifests that it is an index of, or the referrer of.
    pub refers: BTreeSet<ServedDigest>,
}

/// What a repository has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// Every tag. Of those that are about to be removed and of every index, `refers` is known.
    pub tags: BTreeMap<String, Tagged>,
    /// What the needed indexes consist of.
    pub parts: BTreeSet<ServedDigest>,
}

/// Why nothing of this app may be removed now.
#[must_use]
pub fn held(app: &App, app_state: &AppState) -> Option<Held> {
    if app_state.halted.is_some() {
        return Some(Held::Halted);
    }
    if app_state.targets.values().any(|target| target.open.is_some()) {
        return Some(Held::Rollout);
    }
    // What is remembered of a target that is no longer configured never changes again.
    let configured = || {
        let targets = app.rollout.iter();
        targets.filter_map(|target| app_state.targets.get(&target.settings.name))
    };
    if configured().any(|target| target.drift.is_some()) {
        return Some(Held::Drifted);
    }
    configured()
        .any(|target| target.record == Record::Doubtful)
        .then_some(Held::Doubtful)
}

/// What any of these apps needs.
#[must_use]
pub fn needed<'a>(app_states: impl IntoIterator<Item = &'a AppState>) -> Needed {
    let mut needed = Needed::default();
    for app_state in app_states {
        let targets = app_state.targets.values().flat_map(|target| {
            [
                target.current,
                target.previous,
                target.open.map(|(_, run)| run),
                target.last.as_ref().map(|(run, _)| *run),
                target.ended.map(|(_, run)| run),
                target.refused.as_ref().map(|refused| refused.release),
            ]
        });
        let channels = app_state.channels.values();
        let channels =
            channels.flat_map(|c| [c.current, c.previous, c.failing.as_ref().map(|failing| failing.release)]);
        let reverts = app_state.operator_rollbacks.iter().map(|revert| Some(revert.release));
        let runs = targets.chain(channels).chain(reverts).chain([app_state.last_release]);
        needed.runs.extend(runs.flatten());
        let quarantined = app_state
            .releases
            .iter()
            .filter(|release| app_state.is_quarantined(release));
        let releases = retention::needed(app_state).into_iter().chain(quarantined);
        needed.runs.extend(releases.map(|release| release.run));
        let digests = app_state
            .releases
            .iter()
            .filter(|release| needed.runs.contains(&release.run));
        let digests = digests.filter_map(|release| release.digest.as_ref());
        needed.digests.extend(digests.map(ToString::to_string));
    }
    needed
}

impl Needed {
    #[must_use]
    pub fn has(&self, tag: &PushedTag) -> bool {
        self.runs.contains(&tag.run) || self.digests.contains(tag.digest.as_str())
    }

    /// The digests among `pushed` that stay, besides those known by digest.
    #[must_use]
    pub fn digests<'a>(&'a self, pushed: impl IntoIterator<Item = &'a PushedTag>) -> BTreeSet<ServedDigest> {
        let pushed = pushed
            .into_iter()
            .filter(|tag| self.has(tag))
            .map(|tag| tag.digest.to_string());
        let all = pushed.chain(self.digests.iter().cloned());
        all.filter_map(|digest| digest.try_into().ok()).collect()
    }
}

/// Tags of one repository that are past the bounds and that nothing needs, by lowtide's own records. `pushed`: all that
/// it pushed there, of all apps; of apps in `held`, none is removed.
#[must_use]
pub fn expired<'a>(
    pushed: &[&'a PushedTag],
    held: &BTreeSet<AppName>,
    needed: &Needed,
    policy: &RegistryRetention,
    now: Timestamp,
) -> Vec<&'a PushedTag> {
    let mut newest_first = pushed.to_vec();
    newest_first.sort_by(|a, b| (&a.app, b.run).cmp(&(&b.app, a.run)));
    let mut kept: BTreeMap<&AppName, usize> = BTreeMap::new();
    newest_first.retain(|tag| {
        let kept = kept.entry(&tag.app).or_default();
        *kept += 1;
        let young = policy.age.is_some_and(|age| {
            // An age from before the beginning of time keeps all.
            now.checked_sub(age).map_or(true, |since| tag.began() > since)
        });
        *kept > policy.keep && !young && !held.contains(&tag.app) && !needed.has(tag)
    });
    newest_first
}

/// What becomes of expired tags, given what their repository has. `stays`: digests that are needed.
#[must_use]
pub fn judge<'a>(
    expired: &[&'a PushedTag],
    contents: &Contents,
    stays: &BTreeSet<ServedDigest>,
) -> Vec<(&'a PushedTag, Verdict)> {
    // A tag is only removed together with all others of its digest, since a registry may delete the digest itself.
    let mut going: BTreeMap<&str, &PushedTag> = expired.iter().map(|tag| (tag.tag.as_str(), *tag)).collect();
    let mut verdicts: BTreeMap<&str, Verdict> = BTreeMap::new();
    loop {
        let before = going.len();
        for tag in expired {
            if let (true, Some(verdict)) = (going.contains_key(tag.tag.as_str()), stay(tag, &going, contents, stays)) {
                going.remove(tag.tag.as_str());
                verdicts.insert(&tag.tag, verdict);
            }
        }
        if going.len() == before {
            break;
        }
    }
    let verdict = |tag: &'a PushedTag| (tag, verdicts.remove(tag.tag.as_str()).unwrap_or(Verdict::Remove));
    expired.iter().copied().map(verdict).collect()
}

/// Why this tag stays, while `going` are to go.
fn stay(
    tag: &PushedTag,
    going: &BTreeMap<&str, &PushedTag>,
    contents: &Contents,
    stays: &BTreeSet<ServedDigest>,
) -> Option<Verdict> {
    let Some(there) = contents.tags.get(&tag.tag) else {
        return Some(Verdict::Gone);
    };
    if there.digest.as_str() != tag.digest.as_str() {
        return Some(Verdict::Moved);
    }
    let others = || {
        contents
            .tags
            .iter()
            .filter(|(name, _)| !going.contains_key(name.as_str()))
    };
    if let Some((with, _)) = others().find(|(_, other)| other.digest == there.digest) {
        return Some(Verdict::Shared { with: with.clone() });
    }
    let contained = others().any(|(_, other)| other.refers.contains(&there.digest));
    if contained || contents.parts.contains(&there.digest) {
        return Some(Verdict::Contained);
    }
    let remains = |digest: &ServedDigest| stays.contains(digest) || others().any(|(_, other)| other.digest == *digest);
    there.refers.iter().any(remains).then_some(Verdict::Refers)
}

/// Tags by repository.
#[must_use]
pub fn by_repository(pushed: &[PushedTag]) -> BTreeMap<&Repository, Vec<&PushedTag>> {
    let mut found: BTreeMap<&Repository, Vec<&PushedTag>> = BTreeMap::new();
    for tag in pushed {
        found.entry(&tag.repository).or_default().push(tag);
    }
    found
}

#[cfg(test)]
#[path = "registry_retention_tests.rs"]
mod tests;
