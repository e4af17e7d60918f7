//! Compares registries with what lowtide put there: the digests that targets and channels have, and the moving tags of
//! channels. Differences are only reported. What a registry does not answer for is unknown, never absent.

use super::app_state::AppState;
use crate::fleet::app::App;
use crate::fleet::app_state::AppEvent;
use lowtide_model::image::{Reference, Repository, ServedDigest};
use lowtide_model::name::RunId;
use lowtide_model::policy::Mode;
use lowtide_model::registry_tag::RegistryDrift;
use lowtide_model::release::Release;
use std::collections::BTreeMap;

/// What a registry should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// A digest, or a channel's moving tag.
    pub reference: Reference,
    pub release: RunId,
    pub digest: ServedDigest,
}

/// What the registries that answered have; references that are unknown are left out.
pub type Looked = BTreeMap<Reference, Option<RegistryDrift>>;

/// What the registries should have for an app. Images without a registry's digest are left out.
#[must_use]
pub fn expected(app: &App, app_state: &AppState) -> Vec<Expected> {
    let mut found: Vec<Expected> = Vec::new();
    let channels = app.publish.iter().flat_map(|publish| &publish.channels);
    if app.mode == Mode::Observe {
        return found;
    }
    let add = |found: &mut Vec<Expected>, repository: &Repository, tag: Option<&str>, release: &Release| {
        let digest = release.digest.as_ref().map(|digest| digest.to_string());
        let Some(digest) = digest.and_then(|digest| ServedDigest::try_from(digest).ok()) else {
            return;
        };
        let reference = tag.map_or_else(
            || Reference::pinned(repository, &digest),
            |tag| Reference::tagged(repository, tag),
        );
        if found.iter().all(|known| known.reference != reference) {
            let release = release.run;
            found.push(Expected {
                reference,
                release,
                digest,
            });
        }
    };
    for channel in channels.clone() {
        let state = app_state.channels.get(&channel.name);
        if let Some(release) = state.and_then(|state| app_state.release(state.current?)) {
            add(&mut found, &channel.image, Some(&channel.tag), release);
            add(&mut found, &channel.image, None, release);
        }
    }
    for target in &app.rollout {
        let state = app_state.targets.get(&target.settings.name);
        if let Some(release) = state.and_then(|state| app_state.release(state.current?)) {
            let channel = channels
                .clone()
                .find(|channel| target.settings.channel.as_ref() == Some(&channel.name));
            let repository = channel.map_or(&release.reference.repository, |channel| &channel.image);
            add(&mut found, repository, None, release);
        }
    }
    found
}

/// What a registry answers about a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum There {
    /// It serves this digest.
    Digest(ServedDigest),
    /// It shows the repository, without this reference.
    Absent,
    /// It shows no such repository.
    NoRepository,
}

#[must_use]
pub fn compare(expected: &Expected, there: &There) -> Option<RegistryDrift> {
    match there {
        There::Digest(digest) if *digest == expected.digest => None,
        There::Digest(digest) => Some(RegistryDrift::Moved { to: digest.clone() }),
        There::Absent if expected.reference.digest.is_some() => Some(RegistryDrift::Missing),
        There::Absent => Some(RegistryDrift::Untagged),
        There::NoRepository => Some(RegistryDrift::NoRepository),
    }
}

/// Records a change only when two looks in a row agree: one of them may fall into a promotion, which moves the tag
/// before it is journalled. Differences of what is no longer expected are forgotten.
#[must_use]
pub fn learnt(app: &App, app_state: &AppState, before: &Looked, now: &Looked) -> Vec<AppEvent> {
    let expected = expected(app, app_state);
    let stale = app_state
        .registry
        .iter()
        .filter(|known| expected.iter().all(|one| one.reference != known.reference))
        .map(|known| AppEvent::RegistryDrifted {
            reference: known.reference.clone(),
            release: known.release,
            drift: None,
        });
    let changed = expected.iter().filter_map(|one| {
        let drift = now.get(&one.reference)?;
        let known = app_state.registry.iter().find(|known| known.reference == one.reference);
        let same =
            known.is_none_or(|known| known.release == one.release) && known.map(|known| &known.drift) == drift.as_ref();
        let agreed = before.get(&one.reference) == Some(drift);
        (agreed && !same).then(|| AppEvent::RegistryDrifted {
            reference: one.reference.clone(),
            release: one.release,
            drift: drift.clone(),
        })
    });
    stale.chain(changed).collect()
}

#[cfg(test)]
#[path = "registry_drift_tests.rs"]
mod tests;
