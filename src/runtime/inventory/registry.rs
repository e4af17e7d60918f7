//! An image of a registry, by its layers: each streamed once, and those that are known not at all.

use super::error::ReadError;
use super::pipe::unpacking;
use super::seen::{Seen, assembled, push, unreadable};
use super::tables::Tables;
use crate::clients::registry::connect::Registry;
use crate::clients::registry::layers::{RemoteImage, RemoteLayer};
use crate::runtime::blocking::run_blocking;
use futures_util::stream::{self, StreamExt};
use lowtide_model::image::{DiffId, Reference, Repository};
use lowtide_packages::image::{self, ImageDocument};
use lowtide_packages::layer::assemble::Assembly;
use lowtide_packages::layer::error::LayerError;
use lowtide_packages::layer::read::read as read_table;
use lowtide_packages::layer::table::{LayerTable, Limits, Used};
use lowtide_packages::layer::wanted::Wanted;

/// Layers under way at a time: one is unpacked while the other arrives.
const AT_ONCE: usize = 2;

/// Reads an image whose manifest was fetched.
///
/// # Errors
/// As the registry fails; `Layer` or `Database` when the image cannot be read.
pub async fn read(
    registry: &Registry,
    reference: &Reference,
    remote: &RemoteImage,
    tables: &Tables,
) -> Result<Seen, ReadError> {
    let name = reference.to_string();
    let document = document(&name, remote)?;
    let repository = &reference.repository;
    let pairs: Vec<(&RemoteLayer, &DiffId)> = remote.layers.iter().zip(&document.diff_ids).collect();
    let mut layers = stream::iter(pairs)
        .map(|(layer, diff_id)| table(registry, repository, layer, diff_id, tables, &name))
        .buffered(AT_ONCE);
    let mut assembly = Assembly::new(&Limits::default());
    while let Some(table) = layers.next().await {
        push(&mut assembly, &name, table?)?;
    }
    drop(layers);
    let id = remote.id.clone();
    run_blocking(move || assembled(&name, id, document, assembly)).await
}

fn document(name: &str, remote: &RemoteImage) -> Result<ImageDocument, ReadError> {
    let document = image::parse(&remote.config).map_err(|e| unreadable(name, e))?;
    if document.diff_ids.len() == remote.layers.len() {
        return Ok(document);
    }
    let [expected, actual] = [document.diff_ids.len(), remote.layers.len()].map(|n| n.to_string());
    let what = "the number of layers".to_owned();
    Err(unreadable(name, LayerError::Mismatch { what, expected, actual }))
}

async fn table(
    registry: &Registry,
    repository: &Repository,
    layer: &RemoteLayer,
    diff_id: &DiffId,
    tables: &Tables,
    name: &str,
) -> Result<LayerTable, ReadError> {
    let known = {
        let (tables, diff_id) = (tables.clone(), diff_id.clone());
        run_blocking(move || tables.get(&diff_id)).await
    };
    if let Some(table) = known {
        return Ok(table);
    }
    let read = |source: &mut dyn std::io::Read| {
        unpacking(source, |plain| {
            read_table(plain, Wanted::inventory(), &Limits::default(), &mut Used::default())
        })
    };
    let read = registry.read_layer(repository, layer, read).await?;
    let table = read.map_err(|e| unreadable(name, e))?;
    if table.diff_id != *diff_id {
        let mismatch = LayerError::Mismatch {
            what: format!("layer {} unpacked", layer.digest),
            expected: diff_id.to_string(),
            actual: table.diff_id.to_string(),
        };
        return Err(unreadable(name, mismatch));
    }
    let tables = tables.clone();
    Ok(run_blocking(move || {
        tables.put(&table);
        table
    })
    .await)
}
