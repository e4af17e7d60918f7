//! What is pending in images that are named, or in the last release of each app.

use super::archives::visit::Archives;
use super::blocking::run_blocking;
use super::inventory::compare::{Found, Named, Places};
use super::inventory::error::ReadError;
use super::survey::cached::{Key, Subject};
use super::survey::images::{AT_ONCE, Judging, Question, Surveyed};
use super::survey::state::state;
use crate::clients::archive::address::Mirror;
use crate::clients::archive::error::ArchiveError;
pub use crate::clients::archive::fetch::Access;
use crate::clients::archive::fetch::ArchiveClient;
use crate::clients::engine::error::EngineError;
use crate::store::archives::ArchiveCache;
use crate::store::database::Store;
use crate::store::error::StoreError;
use crate::store::survey_cache::SurveyCache;
use futures_util::FutureExt as _;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use lowtide_core::decide::fixable;
use lowtide_core::fleet::app::Fleet;
use lowtide_model::freshness::{Outdated, OutdatedHost, Survey};
use lowtide_model::image::ContentDigest;
use lowtide_model::name::AppName;
use lowtide_model::package_state::{Lineage, PackageState};
use lowtide_model::release::Release;
use lowtide_packages::os_release;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// How many images are read at the same time, from registries and engines.
const READ_AT_ONCE: usize = 4;

/// Archives as `access` says, stored under `cache`.
///
/// # Errors
/// When TLS cannot be set up, or a proxy's address is none.
pub fn archives(access: Access, cache: &Path) -> Result<Archives, ArchiveError> {
    Ok(Archives::new(
        ArchiveClient::new(access)?,
        ArchiveCache::of(cache),
        SurveyCache::of(cache),
    ))
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
    // The caller needs the state of now.
    let judging = archives.judging(now, now);
    let found = names.iter().map(|name| image(places, &judging, name));
    stream::iter(found.collect::<Vec<_>>())
        .buffered(READ_AT_ONCE)
        .collect()
        .await
}

async fn image(places: &Places, judging: &Judging<'_>, name: &str) -> Outdated {
    let (digest, Judged { os, survey }) = match named(places, judging, name).await {
        Ok((digest, judged)) => (Some(digest), judged),
        Err(error) => (None, Judged::unseen(error.to_string())),
    };
    Outdated {
        image: name.to_owned(),
        digest,
        os,
        survey,
    }
}

/// The image's digest (its id, if it comes from an engine), and what is pending in it.
async fn named(places: &Places, judging: &Judging<'_>, name: &str) -> Result<(String, Judged), ReadError> {
    let found = places.find(&Named::parse(name)).await?;
    let id = found.id().clone();
    let digest = found.manifest().map_or(id.to_string(), ToString::to_string);
    let key = Key::of(&Subject::Image(id));
    let judged = match judging.cached(key).await {
        Some(judged) => judged,
        None => judged(judging, key, packages(places, &found).await?).await,
    };
    Ok((digest, judged))
}

/// The package state of the image. No layer is read if it is cached.
async fn packages(places: &Places, found: &Found) -> Result<PackageState, ReadError> {
    let id = found.id().clone();
    let known = {
        let (tables, id) = (places.tables.clone(), id.clone());
        run_blocking(move || tables.state(&id)).await
    };
    if let Some(state) = known {
        return Ok(state);
    }
    let seen = places.read(found).await?;
    let tables = places.tables.clone();
    let state = run_blocking(move || {
        let state = state(&seen, Lineage::Unknown, None);
        tables.put_state(&id, &state);
        state
    });
    Ok(state.await)
}

/// The running containers of the engine of `places`. An image is judged once, however many containers run it, and as the
/// engine's own store has it: what a container has installed since it was created is not seen.
///
/// # Errors
/// When the engine does not list its containers. An image that cannot be read is reported as one that is not known.
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

/// Judges the last release of each app, as the store has it. Equal package states are judged once: apps on one base that install
/// nothing have the same.
///
/// # Errors
/// When the store cannot be read.
pub async fn releases(
    store: Option<&Store>,
    archives: &Archives,
    releases: &BTreeMap<AppName, Option<Release>>,
    now: Timestamp,
) -> Result<Vec<Outdated>, StoreError> {
    let contents = releases
        .values()
        .flatten()
        .map(|release| release.images.first().content.clone());
    let judged = match store {
        Some(store) => contents_of(store, archives, contents.collect(), now).await?,
        None => BTreeMap::new(),
    };
    let found = releases.iter().map(|(app, release)| match release {
        Some(release) => release_of(release, judged.get(&release.images.first().content).cloned()),
        None => Outdated {
            image: app.to_string(),
            digest: None,
            os: None,
            survey: Survey::unseen("there is no release of it yet".to_owned()),
        },
    });
    Ok(found.collect())
}

async fn contents_of(
    store: &Store,
    archives: &Archives,
    contents: BTreeSet<ContentDigest>,
    now: Timestamp,
) -> Result<BTreeMap<ContentDigest, Judged>, StoreError> {
    let judging = archives.judging(now, now);
    let groups = store.alike(contents).await?.into_iter().map(|group| {
        let judging = &judging;
        async move {
            let key = Key::of(&Subject::State(group.state));
            if let Some(judged) = judging.cached(key).await {
                return Ok((group.contents, Some(judged)));
            }
            let state = match group.contents.first() {
                Some(content) => store.packages(content).await?,
                None => None,
            };
            let result = match state {
                Some(state) => Some(judged(judging, key, state).await),
                None => None,
            };
            Ok::<_, StoreError>((group.contents, result))
        }
        .boxed()
    });
    let groups: Vec<_> = groups.collect();
    let groups: Vec<_> = stream::iter(groups).buffer_unordered(AT_ONCE).try_collect().await?;
    let results = groups.into_iter().flat_map(|(group, result)| {
        let of = move |content| Some((content, result.clone()?));
        group.into_iter().filter_map(of)
    });
    Ok(results.collect())
}

fn release_of(release: &Release, judged: Option<Judged>) -> Outdated {
    let digest = release.digest.as_ref();
    let unseen = || Judged::unseen("no run has looked at its packages yet".to_owned());
    let Judged { os, survey } = judged.unwrap_or_else(unseen);
    Outdated {
        image: release.reference.to_string(),
        digest: Some(digest.map_or(release.images.first().image.to_string(), ToString::to_string)),
        os,
        survey,
    }
}

/// The result for one image content.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Judged {
    os: Option<String>,
    survey: Survey,
}

impl Judged {
    fn unseen(why: String) -> Self {
        Self {
            os: None,
            survey: Survey::unseen(why),
        }
    }
}

/// What is pending in an image of this state. It is cached under `key`.
async fn judged(judging: &Judging<'_>, key: Key, state: PackageState) -> Judged {
    let state = Arc::new(state);
    let held = state.doing.as_ref().map(|doing| doing.refresh.held.clone());
    let question = Question {
        state: Arc::clone(&state),
        pinned: BTreeMap::new(),
        held: held.unwrap_or_default(),
    };
    let (Surveyed { mut survey, .. }, validity) = judging.image_anew(question).await;
    if let Some(doing) = &state.doing {
        fixable::judge(&mut survey, &state, doing);
    }
    let judged = Judged { os: os(&state), survey };
    if let Some(validity) = validity {
        judging.cache(key, validity, judged.clone()).await;
    }
    judged
}

fn os(state: &PackageState) -> Option<String> {
    let paths = ["etc/os-release", "usr/lib/os-release"];
    let text = paths.iter().find_map(|path| state.files.get(*path))?;
    let os = os_release::parse(text);
    Some(os.pretty_name.unwrap_or(os.id))
}
