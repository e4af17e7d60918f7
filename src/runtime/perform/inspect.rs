//! What is inside the candidate, and what differs from the last release.

use super::run::{StageContext, built};
use super::{assess, resolve};
use crate::clients::clock;
use crate::clients::engine::connect::Engine;
use crate::runtime::inventory::engine::read;
use crate::runtime::inventory::seen::Seen;
use crate::runtime::kinds::effects;
use crate::runtime::survey::state::state;
use crate::store::error::StoreError;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::freshness::Survey;
use lowtide_model::image::{ContentDigest, ImageId, Reference};
use lowtide_model::inventory::{Inventory, InventorySummary};
use lowtide_model::package_state::{Lineage, PackageState};
use lowtide_model::stages::inspect::{Inspect, Inspected};
use lowtide_model::stages::resolve::ResolvedOrigin;
use lowtide_packages::{diff, ignore_paths};
use std::sync::Arc;

/// # Errors
/// `ImageUnreadable`, or as the engine fails.
pub async fn perform(context: &StageContext<'_>, effect: &Inspect) -> Result<Inspected, Failure> {
    let engine = context.fleet.engine(context.run.app.host())?;
    let mut seen = seen(context, engine, &effect.image).await?;
    ignore_paths::leave_out(&mut seen.inventory, context.run.app.ignore_paths());
    let inventory = &seen.inventory;
    let content = diff::content(inventory);
    let before = match &effect.against {
        Some(last) => context.bot.store.inventory(last).await.map_err(stored)?,
        // The first release is compared with what runs now, so that its report says what it brings.
        None => running(context, engine).await,
    };
    let change = before.map(|before| diff::change(&before, inventory));
    if effect.against.as_ref() != Some(&content) {
        context
            .bot
            .store
            .store_inventory(content.clone(), inventory, clock::now())
            .await
            .map_err(stored)?;
    }
    if let Some(change) = &change {
        for package in &change.packages {
            let version = |v: &Option<String>| v.clone().unwrap_or_else(|| "(none)".to_owned());
            context.line(&format!(
                "{} {} → {}",
                package.name,
                version(&package.old),
                version(&package.new)
            ));
        }
    }
    let left = left(context, &seen, &content).await?;
    Ok(Inspected {
        inventory: summary(inventory, content),
        change,
        has_command: seen.inventory.config.has_command(),
        left: Box::new(left),
    })
}

/// What is still pending in the candidate. Its package state is stored, because later runs survey it again.
async fn left(context: &StageContext<'_>, seen: &Seen, content: &ContentDigest) -> Result<Survey, Failure> {
    let Some(resolved) = &context.run.resolved else {
        return Err(Failure::new(
            FailureKind::Invariant,
            "an image was inspected before its origin was resolved",
        ));
    };
    let store = async |state: &PackageState| {
        let stored = context.bot.store.store_packages(content.clone(), state, clock::now());
        stored.await.map_err(self::stored)
    };
    let (source, repository) = match (&context.run.pulled, &resolved.origin) {
        (Some((pull, _)), _) => {
            let state = state(seen, Lineage::Unknown, None);
            store(&state).await?;
            let image = Reference::tagged(&pull.from.repository, &pull.image.tag);
            return Ok(assess::left_by_others(context, Arc::new(state), &image).await);
        }
        (None, ResolvedOrigin::Repository(repository)) => (built(&context.run.app)?.0, repository),
        (None, ResolvedOrigin::Images(_)) => {
            let detail = "an image was inspected before it was pulled";
            return Err(Failure::new(FailureKind::Invariant, detail));
        }
    };
    let (dockerfile, _) = resolve::dockerfile(context, source, &repository.commit).await?;
    let platform = &resolved.platform;
    let doing = assess::doing(context, &dockerfile, platform)?;
    let lineage = assess::lineage(context, seen, &doing, (&repository.bases, platform)).await;
    let state = state(seen, lineage, Some(doing.clone()));
    store(&state).await?;
    Ok(assess::left(context, state, &doing).await)
}

pub(super) async fn seen(context: &StageContext<'_>, engine: &Engine, image: &ImageId) -> Result<Seen, Failure> {
    let unreadable = |why: String| Failure::new(FailureKind::ImageUnreadable, why);
    let facts = engine.inspect_image(image.as_str()).await.map_err(|e| e.failure())?;
    let facts = facts.ok_or_else(|| unreadable(format!("image {} is gone from the engine", image.short())))?;
    read(engine, &facts, &context.bot.tables).await.map_err(|e| e.failure())
}

/// What the first target whose containers are on this engine runs. Only for the report: what cannot be read is left out.
async fn running(context: &StageContext<'_>, engine: &Engine) -> Option<Inventory> {
    let app = &context.run.app;
    let here = app.rollout.iter().filter(|target| &target.settings.host == app.host());
    let mut image = None;
    for target in here {
        image = effects::images(engine, app, target)
            .await
            .and_then(|images| images.into_iter().next());
        if image.is_some() {
            break;
        }
    }
    let image = image?;
    let mut inventory = seen(context, engine, &image).await.ok()?.inventory;
    ignore_paths::leave_out(&mut inventory, app.ignore_paths());
    Some(inventory)
}

fn summary(inventory: &Inventory, content: ContentDigest) -> InventorySummary {
    InventorySummary {
        content,
        os: inventory
            .os
            .as_ref()
            .map(|os| os.pretty_name.clone().unwrap_or_else(|| os.id.clone())),
        packages: inventory.packages.len(),
        files: inventory.files.len(),
    }
}

fn stored(error: StoreError) -> Failure {
    error.failure("the packages of the candidate")
}
