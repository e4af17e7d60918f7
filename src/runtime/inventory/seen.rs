//! What a reading of an image gives.

use super::error::ReadError;
use crate::model::image::ImageId;
use crate::model::inventory::Inventory;
use crate::packages::image::ImageDocument;
use crate::packages::layer::assemble::Assembly;
use crate::packages::layer::error::LayerError;
use crate::packages::layer::table::LayerTable;
use crate::packages::layer::wanted::Wanted;
use crate::packages::tree;
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
    let kept = std::mem::take(&mut tree.kept);
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
