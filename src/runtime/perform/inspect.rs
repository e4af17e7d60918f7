//! What is inside the candidate, and what differs from the last release.

use super::run::Scene;
use crate::clients::clock;
use crate::model::failure::{Failure, FailureKind};
use crate::model::inventory::{Inventory, InventorySummary};
use crate::model::stages::inspect::{Inspect, Inspected};
use crate::packages::{diff, tree};
use crate::store::error::StoreError;

/// # Errors
/// `ImageUnreadable`, or as the engine fails.
pub async fn perform(scene: &Scene<'_>, effect: &Inspect) -> Result<Inspected, Failure> {
    let engine = scene.fleet.engine(&scene.run.app.build.host)?;
    let unreadable = |why: String| Failure::new(FailureKind::ImageUnreadable, why);
    let facts = engine
        .inspect_image(effect.image.as_str())
        .await
        .map_err(|e| e.failure())?;
    let facts = facts.ok_or_else(|| unreadable(format!("image {} is gone from the engine", effect.image.short())))?;
    let mut labels = scene.labels();
    labels.insert("io.lowtide.kind".to_owned(), "export".to_owned());
    let read = engine
        .export_rootfs(&effect.image, &labels, |tar| tree::read(tar, &tree::Limits::default()))
        .await
        .map_err(|e| e.failure())?;
    let files = read.map_err(|e| unreadable(e.to_string()))?;
    let inventory = tree::inventory(files, effect.image.clone(), facts.platform, facts.config)
        .map_err(|e| unreadable(e.to_string()))?;
    let content = diff::content(&inventory);
    let change = match &effect.against {
        Some(last) if *last == content => Some(diff::change(&inventory, &inventory)),
        Some(last) => scene
            .bot
            .store
            .inventory(last)
            .await
            .map_err(stored)?
            .map(|old| diff::change(&old, &inventory)),
        None => None,
    };
    if effect.against.as_ref() != Some(&content) {
        scene
            .bot
            .store
            .keep_inventory(content.clone(), &inventory, clock::now())
            .await
            .map_err(stored)?;
    }
    if let Some(change) = &change {
        for package in &change.packages {
            let version = |v: &Option<String>| v.clone().unwrap_or_else(|| "(none)".to_owned());
            scene.line(&format!(
                "{} {} → {}",
                package.name,
                version(&package.old),
                version(&package.new)
            ));
        }
    }
    Ok(Inspected {
        inventory: summary(&inventory, content),
        change,
    })
}

fn summary(inventory: &Inventory, content: crate::model::image::ContentDigest) -> InventorySummary {
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
    Failure::new(FailureKind::Invariant, error.to_string())
}
