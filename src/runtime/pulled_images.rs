//! Images of others that were pulled to be tested. They have no label of ours: lowtide knows them by the names that it gave them.

use super::bot::Bot;
use super::kinds::adopted;
use crate::clients::engine::connect::Engine;
use crate::clients::engine::error::EngineError;
use crate::clients::engine::raw::encode;
use crate::store::error::StoreError;
use lowtide_core::decide::labels;
use lowtide_core::decide::retention::{self, PulledImage};
use lowtide_model::image::ImageId;
use lowtide_model::journal::Stream;
use lowtide_model::name::{AppName, HostName};
use serde_json::Value;
use std::collections::BTreeSet;
use tracing::{info, warn};

/// What the names of candidates begin with.
const OURS: &str = "lowtide/";

/// Apps with an open run. Call it after [`pulled`]: a run is journalled before it pulls anything.
///
/// # Errors
/// When the store cannot be read.
pub(super) async fn busy(bot: &Bot) -> Result<BTreeSet<AppName>, StoreError> {
    let open = bot.store.open_streams().await?.into_iter();
    let runs = open.filter(|row| matches!(row.stream, Stream::Run(_)));
    Ok(runs.map(|row| row.app).collect())
}

/// Those that the engine has.
///
/// # Errors
/// As the engine refuses.
pub(super) async fn pulled(engine: &Engine) -> Result<Vec<PulledImage>, EngineError> {
    Ok(named(engine, "lowtide/*").await?.iter().filter_map(image).collect())
}

/// Removes the names of those that nothing needs, and of images beside the tests of removed apps. The engine removes an image with its last
/// name.
pub(super) async fn tidy(
    bot: &Bot,
    (host, engine): (&HostName, &Engine),
    (images, in_use): (&[PulledImage], &BTreeSet<ImageId>),
    busy: &BTreeSet<AppName>,
) {
    forget_sidecars(bot, (host, engine), busy).await;
    let tracked = bot.tracked();
    for image in images.iter().filter(|image| tracked.contains(&image.app)) {
        if !retention::is_spare(image, &bot.app_state(&image.app), in_use, busy) {
            continue;
        }
        for name in &image.names {
            match engine.remove_image(name).await {
                Ok(()) => info!(%host, name, "an image that was pulled and is not needed is gone"),
                Err(error) => warn!(%host, name, %error, "an image that was pulled cannot be removed"),
            }
        }
    }
}

async fn forget_sidecars(bot: &Bot, (host, engine): (&HostName, &Engine), busy: &BTreeSet<AppName>) {
    let named = match named(engine, "lowtide-sidecar/*").await {
        Ok(named) => named,
        Err(error) => return warn!(%host, %error, "images beside tests cannot be listed"),
    };
    let (fleet, tracked) = (bot.in_force(), bot.tracked());
    let is_removed =
        |app: &AppName| tracked.contains(app) && !fleet.fleet.apps.contains_key(app) && !busy.contains(app);
    let tags = named.iter().flat_map(|image| texts(image, "RepoTags"));
    for tag in tags.filter(|tag| app_of("lowtide-sidecar/", tag).is_some_and(|app| is_removed(&app))) {
        match engine.remove_image(&tag).await {
            Ok(()) => info!(%host, tag, "an image beside the tests of a removed app is not needed any more"),
            Err(error) => warn!(%host, tag, %error, "an image beside the tests of a removed app keeps its name"),
        }
    }
}

async fn named(engine: &Engine, pattern: &str) -> Result<Vec<Value>, EngineError> {
    let filters = encode(&format!("{{\"reference\":[\"{pattern}\"]}}"));
    let images = engine.raw_get(&format!("/images/json?filters={filters}")).await?;
    Ok(images.as_array().cloned().unwrap_or_default())
}

fn texts(listed: &Value, key: &str) -> Vec<String> {
    let all = listed[key].as_array().into_iter().flatten();
    all.filter_map(Value::as_str).map(ToOwned::to_owned).collect()
}

/// `None`: it is none of them.
fn image(listed: &Value) -> Option<PulledImage> {
    if listed["Labels"].get(labels::RUN).is_some() {
        return None;
    }
    let tags: Vec<String> = texts(listed, "RepoTags")
        .into_iter()
        .filter(|tag| tag != "<none>:<none>")
        .collect();
    let app = tags.iter().find_map(|tag| app_of(OURS, tag))?;
    let (ours, others): (Vec<String>, Vec<String>) = tags
        .into_iter()
        .partition(|tag| app_of(OURS, tag).as_ref() == Some(&app));
    // A name that someone else gave it shows that the image is not ours alone; the digest that it was pulled by is theirs, then.
    let digests = if others.is_empty() {
        texts(listed, "RepoDigests")
    } else {
        Vec::new()
    };
    Some(PulledImage {
        app,
        id: listed["Id"].as_str()?.parse().ok()?,
        names: ours
            .into_iter()
            .chain(digests.into_iter().filter(|name| !name.contains("<none>")))
            .collect(),
    })
}

/// Of `lowtide/APP:TAG`, and of `lowtide-sidecar/APP:TAG`.
fn app_of(prefix: &str, tag: &str) -> Option<AppName> {
    let (repository, _) = tag.rsplit_once(':')?;
    if repository == adopted::ADOPTED_REPOSITORY {
        return None;
    }
    repository.strip_prefix(prefix)?.parse().ok()
}
