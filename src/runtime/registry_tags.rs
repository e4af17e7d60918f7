//! Removes expired release tags from registries, or reports which would be removed. A kill at any point loses nothing:
//! what is gone is noticed the next time, what is left is tried again.

use super::bot::{Bot, InForce};
use crate::clients::clock;
use crate::clients::registry::connect::Registry;
use crate::clients::registry::remove::Removal;
use crate::store::error::StoreError;
use crate::store::journal::Batch;
use jiff::Timestamp;
use lowtide_core::decide::app_state::AppState;
use lowtide_core::decide::registry_retention::{self as retention, Contents, Needed, REMEMBERED, Tagged};
use lowtide_core::fleet::app::{App, Fleet};
use lowtide_core::fleet::app_state::AppEvent;
use lowtide_model::image::{Reference, Repository, ServedDigest};
use lowtide_model::name::AppName;
use lowtide_model::policy::Mode;
use lowtide_model::registry_tag::{Expiry, Held, PushedTag, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tracing::{debug, info, warn};

/// For all that has to be asked about one repository.
const PATIENCE: Duration = Duration::from_mins(10);

pub type AppStates = BTreeMap<AppName, Arc<AppState>>;

/// Why nothing of these apps is removed for now.
#[must_use]
pub fn held(fleet: &Fleet, app_states: &AppStates) -> BTreeMap<AppName, Held> {
    let apps = fleet.apps.values();
    let held = apps.filter_map(|app| Some((app.name.clone(), retention::held(app, app_states.get(&app.name)?)?)));
    held.collect()
}

/// What retention would do in each repository that the configured apps push to. Changes nothing.
pub async fn survey(
    registry: &Registry,
    fleet: &Fleet,
    app_states: &AppStates,
    pushed: &[PushedTag],
    now: Timestamp,
) -> Vec<Expiry> {
    let held = held(fleet, app_states).into_keys().collect();
    let needed = retention::needed(app_states.values().map(AsRef::as_ref));
    let mut found = Vec::new();
    for (repository, pushed) in retention::by_repository(pushed) {
        let of_fleet = |tag: &&PushedTag| fleet.apps.get(&tag.app).is_some_and(|app| pushes_to(app, repository));
        let ours: Vec<&PushedTag> = pushed.iter().copied().filter(of_fleet).collect();
        let expired = retention::expired(&ours, &held, &needed, &fleet.retention.registry, now);
        let judged = if expired.is_empty() {
            Ok(Vec::new())
        } else {
            let looking = judge(registry, repository, &pushed, &expired, &needed);
            let looked = tokio::time::timeout(PATIENCE, looking).await;
            looked.unwrap_or_else(|_| Err("the registry takes too long".to_owned()))
        };
        if !ours.is_empty() {
            found.push(Expiry {
                repository: repository.clone(),
                pushed: ours.len(),
                expired: judged,
            });
        }
    }
    found
}

fn pushes_to(app: &App, repository: &Repository) -> bool {
    let publish = app.publish.as_ref().filter(|_| app.mode == Mode::Active);
    publish.is_some_and(|publish| publish.pushed().any(|one| one == repository))
}

async fn judge(
    registry: &Registry,
    repository: &Repository,
    pushed: &[&PushedTag],
    expired: &[&PushedTag],
    needed: &Needed,
) -> Result<Vec<(PushedTag, Verdict)>, String> {
    let names = |tags: &[&PushedTag]| -> BTreeSet<String> { tags.iter().map(|tag| tag.tag.clone()).collect() };
    let (close, known) = (names(expired), names(pushed));
    let stays = needed.digests(pushed.iter().copied());
    // Of other repositories' digests there is nothing to see here.
    let here: BTreeSet<&str> = pushed.iter().map(|tag| tag.digest.as_str()).collect();
    let here: BTreeSet<ServedDigest> = stays
        .iter()
        .filter(|digest| here.contains(digest.as_str()))
        .cloned()
        .collect();
    let close = close.iter().map(String::as_str).collect();
    let known = known.iter().map(String::as_str).collect();
    let seen = registry.contents(repository, &close, &known, &here).await;
    let seen = seen.map_err(|error| error.to_string())?;
    let tags = seen.tags.into_iter().map(|(name, tag)| {
        let (digest, refers) = (tag.digest, tag.refers);
        (name, Tagged { digest, refers })
    });
    let contents = Contents {
        tags: tags.collect(),
        parts: seen.parts,
    };
    let judged = retention::judge(expired, &contents, &stays);
    Ok(judged
        .into_iter()
        .map(|(tag, verdict)| (tag.clone(), verdict))
        .collect())
}

/// One round over all repositories. Trouble with registries is logged and left for the next day. `undeletable`: those
/// that were found to allow no deletion, which is logged once.
///
/// # Errors
/// When the store cannot be used.
pub async fn once(bot: &Bot, undeletable: &mut BTreeSet<Repository>) -> Result<(), StoreError> {
    bot.store.forget_pushed_tags(REMEMBERED).await?;
    let fleet = bot.in_force();
    let pushed = bot.store.pushed_tags().await?;
    let policy = fleet.fleet.retention.registry;
    for found in survey(&fleet.registry, &fleet.fleet, &app_states(bot), &pushed, clock::now()).await {
        let repository = &found.repository;
        let expired = match found.expired {
            Ok(expired) => expired,
            Err(error) => {
                warn!(%repository, error, "whether its expired tags can be removed is not known");
                continue;
            }
        };
        let count = expired
            .iter()
            .filter(|(_, verdict)| *verdict == Verdict::Remove)
            .count();
        if !policy.delete {
            if count > 0 {
                info!(%repository, tags = count, "release tags are past `retention.registry` and would be removed with `delete: true`");
            }
            continue;
        }
        let mut of_app: BTreeMap<AppName, Vec<(PushedTag, Verdict)>> = BTreeMap::new();
        for (tag, verdict) in expired {
            of_app.entry(tag.app.clone()).or_default().push((tag, verdict));
        }
        for (app, tags) in of_app {
            remove(bot, &fleet, repository, &app, &tags, undeletable).await?;
        }
    }
    Ok(())
}

pub(super) fn app_states(bot: &Bot) -> AppStates {
    let apps = bot.tracked().into_iter();
    apps.map(|app| (app.clone(), bot.app_state(&app))).collect()
}

/// Removes one app's tags from one repository.
async fn remove(
    bot: &Bot,
    fleet: &InForce,
    repository: &Repository,
    app: &AppName,
    tags: &[(PushedTag, Verdict)],
    undeletable: &mut BTreeSet<Repository>,
) -> Result<(), StoreError> {
    let of = |wanted: Verdict| {
        tags.iter()
            .filter(move |(_, verdict)| *verdict == wanted)
            .map(|(tag, _)| tag)
    };
    let mut gone: Vec<String> = of(Verdict::Gone).map(|tag| tag.tag.clone()).collect();
    let removing: Vec<&PushedTag> = of(Verdict::Remove).collect();
    if !removing.is_empty() {
        let started = AppEvent::TagsExpired {
            repository: repository.clone(),
            tags: removing.iter().map(|tag| tag.tag.clone()).collect(),
        };
        bot.commit(Batch::new(), app, &[started], &[]).await?;
    }
    // The oldest first, as they were pushed.
    for tag in removing.into_iter().rev() {
        if is_needed_now(bot, fleet, tag) {
            continue;
        }
        let reference = Reference::tagged(repository, &tag.tag);
        let Ok(digest) = ServedDigest::try_from(tag.digest.to_string()) else {
            continue;
        };
        match fleet.registry.remove(repository, &tag.tag, &digest).await {
            Ok(Removal::Gone) => {
                info!(%app, %reference, "removed an expired release tag");
                gone.push(tag.tag.clone());
            }
            Ok(Removal::Moved) => debug!(%app, %reference, "the tag was moved by someone else and stays"),
            Ok(Removal::Kept) => {
                warn!(%app, %reference, "the registry accepted the removal of the tag and still has it");
            }
            Ok(Removal::Unsupported) => {
                if undeletable.insert(repository.clone()) {
                    info!(%repository, "the registry allows no deletion, so expired release tags stay");
                }
                break;
            }
            Err(error) => {
                warn!(%app, %reference, %error, "an expired release tag cannot be removed");
                break;
            }
        }
    }
    if !gone.is_empty() {
        let removed = AppEvent::TagsRemoved {
            repository: repository.clone(),
            tags: gone,
        };
        bot.commit(Batch::new(), app, &[removed], &[]).await?;
    }
    Ok(())
}

/// Whether the tag became needed while registries were asked: a rollout was opened, a channel promoted, an app halted.
fn is_needed_now(bot: &Bot, fleet: &InForce, tag: &PushedTag) -> bool {
    let app_states = app_states(bot);
    let needed = retention::needed(app_states.values().map(AsRef::as_ref));
    let app = fleet.fleet.apps.get(&tag.app).zip(app_states.get(&tag.app));
    needed.has(tag) || app.is_none_or(|(app, app_state)| retention::held(app, app_state).is_some())
}
