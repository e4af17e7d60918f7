//! What is pending in images that are named, or in the last release of each app.

use super::archives::suites::Archives;
use super::inventory::compare::{self, Named, Places};
use super::survey::images::Question;
use super::survey::state::state;
use crate::clients::archive::address::Mirror;
use crate::clients::archive::error::ArchiveError;
pub use crate::clients::archive::fetch::Access;
use crate::clients::archive::fetch::ArchiveClient;
use crate::clients::engine::error::EngineError;
use crate::decide::fixable;
use crate::model::fleet::Fleet;
use crate::model::freshness::{Outdated, OutdatedHost, Survey};
use crate::model::name::AppName;
use crate::model::package_state::{Lineage, PackageState};
use crate::model::standing::Release;
use crate::packages::os_release;
use crate::store::archives::ArchiveCache;
use crate::store::database::Store;
use crate::store::error::StoreError;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// How many images are read at the same time.
const AT_ONCE: usize = 4;

/// Archives as `access` says, kept under `cache`.
///
/// # Errors
/// When TLS cannot be set up, or a proxy's address is none.
pub fn archives(access: Access, cache: &Path) -> Result<Archives, ArchiveError> {
    Ok(Archives::new(ArchiveClient::new(access)?, ArchiveCache::of(cache)))
}

/// How archives are reached, as the configuration says.
#[must_use]
pub fn access(fleet: &Fleet) -> Access {
    let mirrors = fleet.archives.mirrors.iter().map(|(from, to)| Mirror {
        from: from.clone(),
        to: to.clone(),
    });
    Access {
        proxy: fleet.archives.proxy.clone(),
        // The longest beginning that fits is the one that is meant.
        mirrors: mirrors.rev().collect(),
        ..Access::default()
    }
}

/// Images wherever they are. Nothing needs to be configured, and nothing is known of how they are built.
pub async fn images(places: &Places, archives: &Archives, names: &[String], now: Timestamp) -> Vec<Outdated> {
    let reads = names.iter().map(|name| async move {
        let read = compare::image(places, &Named::parse(name)).await;
        (name, read)
    });
    let reads: Vec<_> = stream::iter(reads).buffered(AT_ONCE).collect().await;
    let mut found = Vec::with_capacity(reads.len());
    for (name, read) in reads {
        found.push(match read {
            Ok(read) => {
                let digest = read
                    .digest
                    .as_ref()
                    .map_or(read.image.id.to_string(), ToString::to_string);
                let state = state(&read.seen, Lineage::Unknown, None);
                (name.clone(), Some(digest), Ok(state))
            }
            Err(error) => (name.clone(), None, Err(error.to_string())),
        });
    }
    surveyed(archives, found, now).await
}

/// The running containers of the engine of `places`. An image is judged once, however many containers run it, and as the
/// engine's own store has it: what a container has installed since it was created is not seen.
///
/// # Errors
/// When the engine does not list its containers. An image that cannot be read is told as one that is not known.
pub async fn running(places: &Places, archives: &Archives, now: Timestamp) -> Result<OutdatedHost, EngineError> {
    let containers = places.engine.running().await?;
    let mut named: BTreeMap<&str, &str> = BTreeMap::new();
    for container in &containers {
        named.entry(&container.image_id).or_insert(&container.image);
    }
    let ids: Vec<String> = named.keys().map(|id| format!("engine:{id}")).collect();
    let mut images = images(places, archives, &ids, now).await;
    for (image, (id, name)) in images.iter_mut().zip(named) {
        name.clone_into(&mut image.image);
        image.digest = Some(id.to_owned());
    }
    Ok(OutdatedHost { containers, images })
}

/// The last release of each app, as the bot knows it.
///
/// # Errors
/// When the store cannot be read.
pub async fn releases(
    store: Option<&Store>,
    archives: &Archives,
    releases: &BTreeMap<AppName, Option<Release>>,
    now: Timestamp,
) -> Result<Vec<Outdated>, StoreError> {
    let found = releases
        .iter()
        .map(|(app, release)| release_of(store, app, release.as_ref()));
    let found: Vec<Found> = stream::iter(found.collect::<Vec<_>>())
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(surveyed(archives, found, now).await)
}

async fn release_of(store: Option<&Store>, app: &AppName, release: Option<&Release>) -> Result<Found, StoreError> {
    let Some(release) = release else {
        return Ok((app.to_string(), None, Err("there is no release of it yet".to_owned())));
    };
    let digest = release
        .digest
        .as_ref()
        .map_or(release.image.to_string(), ToString::to_string);
    let state = match store {
        Some(store) => store.packages(&release.content).await?,
        None => None,
    };
    let state = state.ok_or_else(|| "no run has looked at its packages yet".to_owned());
    Ok((release.reference.to_string(), Some(digest), state))
}

/// Name, digest, and what decides about upgrades or why that is not known.
type Found = (String, Option<String>, Result<PackageState, String>);

async fn surveyed(archives: &Archives, found: Vec<Found>, now: Timestamp) -> Vec<Outdated> {
    let mut questions = Vec::new();
    let mut images = Vec::with_capacity(found.len());
    for (image, digest, state) in found {
        let state = state.map(Arc::new);
        if let Ok(state) = &state {
            questions.push(Question {
                state: Arc::clone(state),
                pinned: BTreeMap::new(),
                held: state
                    .doing
                    .as_ref()
                    .map(|doing| doing.refresh.held.clone())
                    .unwrap_or_default(),
            });
        }
        images.push((image, digest, state));
    }
    // Whoever asks wants to know how it is now.
    let mut answers = archives.survey(questions, now, now).await.into_iter();
    let image = |(image, digest, state): (String, Option<String>, Result<Arc<PackageState>, String>)| {
        let (os, survey) = match state {
            Ok(state) => {
                let mut survey = answers.next().unwrap_or_default().survey;
                if let Some(doing) = &state.doing {
                    fixable::judge(&mut survey, &state, doing);
                }
                (os(&state), survey)
            }
            Err(why) => (None, Survey::unseen(why)),
        };
        Outdated {
            image,
            digest,
            os,
            survey,
        }
    };
    images.into_iter().map(image).collect()
}

fn os(state: &PackageState) -> Option<String> {
    let paths = ["etc/os-release", "usr/lib/os-release"];
    let text = paths.iter().find_map(|path| state.files.get(*path))?;
    let os = os_release::parse(text);
    Some(os.pretty_name.unwrap_or(os.id))
}
