//! The daily look at registries: do they still have what runs, and do the channels' tags point where lowtide left them?
//! Then expired release tags are removed.

use super::bot::{Bot, InForce};
use super::registry_tags;
use crate::clients::clock;
use crate::clients::registry::error::RegistryError;
use crate::store::error::StoreError;
use crate::store::journal::Batch;
use futures_util::future::join_all;
use jiff::SignedDuration;
use lowtide_core::decide::registry_drift::{self, Expected, Looked, There};
use lowtide_core::fleet::app_state::AppEvent;
use lowtide_model::image::{Reference, Repository};
use lowtide_model::name::AppName;
use lowtide_model::registry_tag::RegistryDrift;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Duration;
use tracing::{debug, info, warn};

/// How often it is checked whether a look is due.
const EVERY: Duration = Duration::from_secs(3600);
/// Less than a day, since a look takes time.
const DAY: SignedDuration = SignedDuration::from_hours(23);
/// A start has other things to do, and repeated starts should not ask registries each time.
const AFTER_START: Duration = Duration::from_mins(5);
/// Between the two looks that have to agree. A promotion moves its tag last, and is journalled at once.
const AGAIN: Duration = Duration::from_mins(2);
const MARK: &str = "registries";

/// What the last look found, per app.
pub type Found = BTreeMap<AppName, Looked>;

/// Looks every day, for ever.
///
/// # Errors
/// When the journal cannot be written.
pub async fn run(bot: &Bot) -> Result<Infallible, StoreError> {
    let mut undeletable = BTreeSet::new();
    tokio::time::sleep(AFTER_START).await;
    loop {
        let last = bot.store.mark(MARK).await?;
        if last.is_none_or(|last| clock::now() >= last + DAY) {
            let found = look(bot, &Found::new()).await?;
            if has_news(bot, &found) {
                tokio::time::sleep(AGAIN).await;
                look(bot, &found).await?;
            }
            registry_tags::once(bot, &mut undeletable).await?;
            bot.store.set_mark(MARK, clock::now()).await?;
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Looks once; journals a difference that the previous look found as well.
///
/// # Errors
/// When the journal cannot be written.
pub async fn look(bot: &Bot, before: &Found) -> Result<Found, StoreError> {
    let fleet = bot.in_force();
    let mut registries: BTreeMap<String, Vec<(AppName, Expected)>> = BTreeMap::new();
    for app in fleet.fleet.apps.values() {
        for expected in registry_drift::expected(app, &bot.app_state(&app.name)) {
            let of = registries.entry(expected.reference.repository.registry.clone());
            of.or_default().push((app.name.clone(), expected));
        }
    }
    let looks = registries.values().map(|expected| look_at(&fleet, expected));
    let mut found = Found::new();
    for (app, reference, drift) in join_all(looks).await.into_iter().flatten() {
        found.entry(app).or_default().insert(reference, drift);
    }
    let nothing = Looked::new();
    for app in fleet.fleet.apps.values() {
        let of = |found: &'_ Found| found.get(&app.name).unwrap_or(&nothing).clone();
        // The state is read again: a promotion may have ended while the registry answered.
        let facts = registry_drift::learnt(app, &bot.app_state(&app.name), &of(before), &of(&found));
        for fact in &facts {
            log(&app.name, fact);
        }
        if !facts.is_empty() {
            bot.commit(Batch::new(), &app.name, &facts, &[]).await?;
        }
    }
    Ok(found)
}

/// What one registry has; references that it does not answer for are left out.
async fn look_at(
    fleet: &InForce,
    expected: &[(AppName, Expected)],
) -> Vec<(AppName, Reference, Option<RegistryDrift>)> {
    let mut found = Vec::new();
    let mut shown = BTreeMap::new();
    for (app, expected) in expected {
        let reference = &expected.reference;
        match there(fleet, reference, &mut shown).await {
            Ok(there) => {
                let drift = registry_drift::compare(expected, &there);
                found.push((app.clone(), reference.clone(), drift));
            }
            Err(error) => {
                debug!(%app, %reference, %error, "the registry does not say what it has");
                // The next question would wait as long for nothing.
                if let RegistryError::Unreachable { .. } | RegistryError::Timeout { .. } | RegistryError::Busy { .. } =
                    error
                {
                    break;
                }
            }
        }
    }
    found
}

/// What a registry has for a reference. `shown`: does it show these repositories?
async fn there(
    fleet: &InForce,
    reference: &Reference,
    shown: &mut BTreeMap<Repository, bool>,
) -> Result<There, RegistryError> {
    if let Some(digest) = fleet.registry.digest(reference).await? {
        return Ok(There::Digest(digest));
    }
    // Registries that hide a repository from a credential without rights also answer *not found*.
    let repository = &reference.repository;
    let shows = match shown.get(repository) {
        Some(shows) => *shows,
        None => fleet.registry.shows(repository).await?,
    };
    shown.insert(repository.clone(), shows);
    Ok(if shows { There::Absent } else { There::NoRepository })
}

/// Would a second look that finds the same change anything?
fn has_news(bot: &Bot, found: &Found) -> bool {
    let fleet = bot.in_force();
    found.iter().any(|(name, looked)| {
        let app = fleet.fleet.apps.get(name);
        app.is_some_and(|app| !registry_drift::learnt(app, &bot.app_state(name), looked, looked).is_empty())
    })
}

fn log(app: &AppName, fact: &AppEvent) {
    if let AppEvent::RegistryDrifted { reference, drift, .. } = fact {
        match drift {
            Some(drift) => warn!(%app, %reference, ?drift, "the registry no longer has what lowtide put there"),
            None => {
                info!(%app, %reference, "the registry has what lowtide put there, or nothing is expected there any more")
            }
        }
    }
}
