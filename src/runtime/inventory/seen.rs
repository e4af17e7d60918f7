//! What a reading of an image gives.

use super::error::ReadError;
use lowtide_model::image::ImageId;
use lowtide_model::inventory::Inventory;
use lowtide_packages::image::ImageDocument;
use lowtide_packages::layer::assemble::Assembly;
use lowtide_packages::layer::error::LayerError;
use lowtide_packages::layer::table::LayerTable;
use lowtide_packages::layer::wanted::Wanted;
use lowtide_packages::tree;
use std::collections::BTreeMap;

/// An image, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub inventory: Inventory,
    /// The small files of `packages::layer::wanted`, by path.
    pub kept: BTreeMap<String, Vec<u8>>,
    /// Paths among those whose content is unknown.
    pub uncaptured: Vec<String>,
}

/// Puts the layers together.
pub(super) fn assembled(
    image: &str,
    id: ImageId,
    document: ImageDocument,
    assembly: Assembly,
) -> Result<Seen, ReadError> {
    let mut tree = assembly.finish(Wanted::inventory());
    let kept = std::mem::take(&mut tree.contents);
    let uncaptured = std::mem::take(&mut tree.uncaptured);
    let inventory = tree::inventory(tree, &kept, id, document.platform, document.config);
    let inventory = inventory.map_err(|source| ReadError::Database {
        image: image.to_owned(),
        source,
    })?;
    Ok(Seen {
        inventory,
        kept,
        uncaptured,
    })
}

pub(super) fn push(assembly: &mut Assembly, image: &str, table: LayerTable) -> Result<(), ReadError> {
    assembly.push(table).map_err(|e| unreadable(image, e))
}

pub(super) fn unreadable(image: &str, source: LayerError) -> ReadError {
    ReadError::Layer {
        image: image.to_owned(),
        source,
    }
}
