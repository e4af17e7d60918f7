//! Stays within bounds: history, logs, images, build cache, mirrors.

use super::bot::Bot;
use super::kinds::adopted;
use super::past;
use super::perform::stack::images;
use super::pulled_images;
use crate::clients::clock;
use crate::clients::engine::connect::Engine;
use crate::clients::engine::error::EngineError;
use crate::clients::engine::raw::encode;
use crate::store::error::StoreError;
use crate::store::overview::Known;
use jiff::SignedDuration;
use lowtide_core::decide::app_state::AppState;
use lowtide_core::decide::labels;
use lowtide_core::decide::retention::{self, LocalImage, PulledImage, RunDirectory};
use lowtide_model::image::ImageId;
use lowtide_model::name::{AppName, HostName, RunId};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// Nothing here is urgent: a bound is passed by an hour's worth at most.
const EVERY: Duration = Duration::from_secs(3600);
/// A mirror nobody used for this long belongs to no app that still runs.
const MIRRORS: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Minimum age of a snapshot to be deleted: the journal names a snapshot only moments after it is stored.
const SNAPSHOTS: Duration = Duration::from_secs(24 * 3600);

/// Cleans up at start and every hour, until shutdown.
///
/// # Errors
/// When the store cannot be used.
pub async fn run(bot: Arc<Bot>, shutdown: CancellationToken) -> Result<(), StoreError> {
    loop {
        once(&bot).await?;
        debug!("the bounds are kept");
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// One round. Trouble with files and engines is logged and left for the next round.
///
/// # Errors
/// When the store cannot be used.
pub async fn once(bot: &Bot) -> Result<(), StoreError> {
    let fleet = bot.in_force();
    let retention = fleet.fleet.retention;
    let now = clock::now();
    // List directories and images before reading the journal: a run is journalled before it creates anything, so the
    // journal has the run of everything listed.
    let directories = run_directories(&bot.state.join("runs"));
    let mut listed = Vec::new();
    let mut stacks: Vec<(&Engine, RunId, ImageId)> = Vec::new();
    for (host, engine) in fleet.engines() {
        match images_of(engine).await {
            Ok(images) => listed.push((host.clone(), engine, images)),
            Err(error) => warn!(%host, %error, "its images cannot be listed"),
        }
        let built = images::built(engine, &bot.instance).await;
        let of_run = |(run, image): (String, ImageId)| Some((engine, run.parse().ok()?, image));
        stacks.extend(built.into_iter().filter_map(of_run));
    }
    let journal = past::forget(&bot.store, &retention, &app_states(bot), now).await?;
    let busy = pulled_images::busy(bot).await?;
    let images = listed.iter().flat_map(|(_, _, (images, _, _))| images);
    let found = images.map(|(image, _)| image.run);
    let found = found.chain(directories.iter().map(|directory| directory.run));
    let found = found.chain(stacks.iter().map(|(_, run, _)| *run));
    let Known { open, ended } = bot.store.known_runs(found.collect()).await?;
    let gone = retention::directories(&directories, &open, &ended, retention.logs);
    for (engine, _, image) in stacks.iter().filter(|(_, run, _)| !open.contains(run)) {
        images::remove(engine, image).await;
    }
    for run in &gone {
        remove(&bot.run_directory(*run));
    }
    for run in ended.iter().filter(|run| !gone.contains(run)) {
        remove(&bot.run_directory(*run).join("source"));
        remove(&bot.run_directory(*run).join("stack"));
    }
    if journal.streams + gone.len() > 0 {
        info!(
            streams = journal.streams,
            directories = gone.len(),
            "forgot what is past its time"
        );
    }
    if journal.undelivered > 0 {
        warn!(
            notices = journal.undelivered,
            "gave up notices that could not be delivered in all that time"
        );
    }
    sweep_snapshots(bot, journal.evidence).await?;
    for (host, engine, (images, in_use, pulled)) in listed {
        pulled_images::tidy(bot, (&host, engine), (&pulled, &in_use), &busy).await;
        trim(bot, &host, engine, &images, in_use, &ended).await;
        if let Err(error) = let_adopted_go(bot, engine).await {
            warn!(%host, %error, "what was cached of other images cannot be listed");
        }
    }
    let building: BTreeSet<&HostName> = fleet.fleet.apps.values().map(|app| app.host()).collect();
    for (host, engine) in fleet.engines().filter(|(host, _)| building.contains(host)) {
        match engine.prune_build_cache(retention.build_cache).await {
            Ok(0) => {}
            Ok(bytes) => info!(%host, bytes, "build cache trimmed"),
            Err(error) => warn!(%host, %error, "the build cache cannot be trimmed"),
        }
    }
    match bot.git.sweep(now - MIRRORS).await {
        Ok(0) => {}
        Ok(mirrors) => info!(mirrors, "removed unused git mirrors"),
        Err(error) => warn!(%error, "the git mirrors cannot be swept"),
    }
    Ok(())
}

fn app_states(bot: &Bot) -> Vec<Arc<AppState>> {
    bot.tracked().iter().map(|app| bot.app_state(app)).collect()
}

/// Deletes snapshots that no rollout in the journal references.
async fn sweep_snapshots(bot: &Bot, evidence: usize) -> Result<(), StoreError> {
    let spoken_of = bot.store.snapshots().await?;
    let snapshots = match bot.sealed.sweep(&spoken_of, SystemTime::from(clock::now()) - SNAPSHOTS) {
        Ok(gone) => gone,
        Err(error) => {
            warn!(%error, "the sealed files cannot be swept");
            0
        }
    };
    if evidence + snapshots > 0 {
        info!(evidence, snapshots, "removed expired evidence and snapshots");
    }
    Ok(())
}

async fn trim(
    bot: &Bot,
    host: &HostName,
    engine: &Engine,
    images: &[(LocalImage, Vec<String>)],
    mut in_use: BTreeSet<ImageId>,
    ended: &BTreeSet<RunId>,
) {
    let apps: BTreeSet<&AppName> = images.iter().map(|(image, _)| &image.app).collect();
    for app in apps {
        let app_state = bot.app_state(app);
        in_use.extend(
            retention::needed(&app_state)
                .into_iter()
                .flat_map(|release| release.images.iter().map(|one| one.image.clone())),
        );
    }
    let found: Vec<LocalImage> = images.iter().map(|(image, _)| image.clone()).collect();
    for id in retention::images(&found, &in_use, ended, bot.in_force().fleet.retention.images) {
        let tags = images
            .iter()
            .find(|(image, _)| image.id == id)
            .map(|(_, tags)| tags.as_slice());
        let mut names: Vec<String> = tags.unwrap_or_default().to_vec();
        if names.is_empty() {
            names.push(id.to_string());
        }
        for name in names {
            match engine.remove_image(&name).await {
                Ok(()) => info!(%host, name, "an old image is gone"),
                Err(error) => warn!(%host, name, %error, "an old image cannot be removed"),
            }
        }
    }
}

/// Removes the tags that retain images from before our first release, once no rollback can need them.
async fn let_adopted_go(bot: &Bot, engine: &Engine) -> Result<(), EngineError> {
    let filters = format!("{{\"reference\":[\"{}\"]}}", adopted::ADOPTED_REPOSITORY);
    let images = engine
        .raw_get(&format!("/images/json?filters={}", encode(&filters)))
        .await?;
    let tags = images.as_array().into_iter().flatten();
    let tags = tags.flat_map(|image| image["RepoTags"].as_array().into_iter().flatten());
    let existing: Vec<String> = tags
        .filter_map(|tag| tag.as_str())
        .filter(|tag| tag.starts_with(&format!("{}:", adopted::ADOPTED_REPOSITORY)))
        .map(ToOwned::to_owned)
        .collect();
    let app_states = app_states(bot);
    let app_states: Vec<&AppState> = app_states.iter().map(AsRef::as_ref).collect();
    for tag in retention::adopted_tags(&existing, &app_states) {
        // The image goes with its last tag, unless a container has it.
        engine.raw_delete(&format!("/images/{}", encode(tag))).await?;
        info!(tag, "removed the tag of an image that no rollback needs");
    }
    Ok(())
}

type Images = (Vec<(LocalImage, Vec<String>)>, BTreeSet<ImageId>, Vec<PulledImage>);

/// Images with our labels and their tags; the images of every container, running or not; and images of others that were pulled to be tested.
async fn images_of(engine: &Engine) -> Result<Images, EngineError> {
    let images = engine.list_images(labels::APP).await?;
    let ours = images.into_iter().filter_map(|image| {
        let local = LocalImage {
            app: image.labels.get(labels::APP)?.parse().ok()?,
            run: image.labels.get(labels::RUN)?.parse().ok()?,
            id: image.id,
            created: image.created,
        };
        Some((local, image.tags))
    });
    let ours = ours.collect();
    let containers = engine.raw_get("/containers/json?all=1").await?;
    let in_use = containers
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|container| container["ImageID"].as_str()?.parse().ok())
        .collect();
    Ok((ours, in_use, pulled_images::pulled(engine).await?))
}

/// The directories of runs, by their names; anything else in there is not ours to count.
fn run_directories(runs: &Path) -> Vec<RunDirectory> {
    let entries = std::fs::read_dir(runs).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let run = entry.file_name().to_str()?.parse().ok()?;
            Some(RunDirectory {
                run,
                bytes: bytes(&entry.path()),
            })
        })
        .collect()
}

fn bytes(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            // Of the entry itself: a link is not followed.
            Ok(of) if of.is_dir() => bytes(&entry.path()),
            Ok(of) => of.len(),
            Err(_) => 0,
        })
        .sum()
}

fn remove(directory: &Path) {
    match std::fs::remove_dir_all(directory) {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => warn!(directory = %directory.display(), %error, "cannot be removed"),
    }
}
