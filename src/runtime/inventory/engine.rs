//! An image of an engine, by its layers. The engine sends all of them or none, so none are asked for when each is known.

use super::error::ReadError;
use super::seen::{Seen, assembled, push, unreadable};
use super::tables::Tables;
use crate::clients::engine::connect::Engine;
use crate::clients::engine::image::ImageFacts;
use crate::runtime::blocking::run_blocking;
use lowtide_model::image::DiffId;
use lowtide_packages::image::ImageDocument;
use lowtide_packages::layer::archive::{Saved, check, read_saved};
use lowtide_packages::layer::assemble::Assembly;
use lowtide_packages::layer::table::{LayerTable, Limits};
use lowtide_packages::layer::wanted::Wanted;

/// Reads an image that was inspected.
///
/// # Errors
/// As the engine fails; `Layer` or `Database` when the image cannot be read.
pub async fn read(engine: &Engine, facts: &ImageFacts, tables: &Tables) -> Result<Seen, ReadError> {
    let image = facts.id.to_string();
    let diff_ids: Vec<DiffId> = facts.diff_ids.iter().filter_map(|id| id.parse().ok()).collect();
    let document = ImageDocument {
        platform: facts.platform.clone(),
        config: facts.config.clone(),
        diff_ids,
        triggers: facts.triggers,
    };
    let known = {
        let (tables, diff_ids) = (tables.clone(), document.diff_ids.clone());
        run_blocking(move || tables.all(&diff_ids)).await
    };
    let layers = match known {
        Some(layers) => layers,
        None => saved(engine, facts, &document, tables).await?,
    };
    let id = facts.id.clone();
    run_blocking(move || {
        let mut assembly = Assembly::new(&Limits::default());
        for table in layers {
            push(&mut assembly, &image, table)?;
        }
        assembled(&image, id, document, assembly)
    })
    .await
}

async fn saved(
    engine: &Engine,
    facts: &ImageFacts,
    document: &ImageDocument,
    tables: &Tables,
) -> Result<Vec<LayerTable>, ReadError> {
    let image = facts.id.to_string();
    let tables = tables.clone();
    let read = engine.save_image(&facts.id, move |tar| {
        let saved = read_saved(tar, Wanted::inventory(), &Limits::default())?;
        saved.layers.iter().for_each(|table| tables.put(table));
        Ok(saved)
    });
    let Saved { layers, .. } = read.await?.map_err(|e| unreadable(&image, e))?;
    // What was saved must be what was inspected.
    check(document, &layers).map_err(|e| unreadable(&image, e))?;
    Ok(layers)
}
