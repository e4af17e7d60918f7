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
    let filters = encode("{\"reference\":[\"lowtide/*\"]}");
    let images = engine.raw_get(&format!("/images/json?filters={filters}")).await?;
    Ok(images.as_array().into_iter().flatten().filter_map(image).collect())
}

/// Removes the names of those that nothing needs; the engine removes an image with its last name.
pub(super) async fn trim(
    bot: &Bot,
    (host, engine): (&HostName, &Engine),
    images: &[PulledImage],
    in_use: &BTreeSet<ImageId>,
    busy: &BTreeSet<AppName>,
) {
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

/// `None`: it is none of them.
fn image(listed: &Value) -> Option<PulledImage> {
    if listed["Labels"].get(labels::RUN).is_some() {
        return None;
    }
    let texts = |key: &str| -> Vec<String> {
        let all = listed[key].as_array().into_iter().flatten();
        all.filter_map(Value::as_str).map(ToOwned::to_owned).collect()
    };
    let tags: Vec<String> = texts("RepoTags")
        .into_iter()
        .filter(|tag| tag != "<none>:<none>")
        .collect();
    let app = tags.iter().find_map(|tag| app_of(tag))?;
    let (ours, others): (Vec<String>, Vec<String>) =
        tags.into_iter().partition(|tag| app_of(tag).as_ref() == Some(&app));
    // A name that someone else gave it shows that the image is not ours alone; the digest that it was pulled by is theirs, then.
    let digests = if others.is_empty() {
        texts("RepoDigests")
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

/// Of `lowtide/APP:TAG`.
fn app_of(tag: &str) -> Option<AppName> {
    let (repository, _) = tag.rsplit_once(':')?;
    if repository == adopted::ADOPTED_REPOSITORY {
        return None;
    }
    repository.strip_prefix("lowtide/")?.parse().ok()
}
