//! The files of an image, and the inventory they make.

use super::layer::assemble::made_directory;
use super::os_release;
use crate::error::ParseError;
use lowtide_model::image::{ImageId, Platform};
use lowtide_model::inventory::{FileEntry, FileKind, ImageConfig, ImageLayer, Inventory, Package};
use std::collections::BTreeMap;

/// An image's files, and the content of the wanted ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// Path (without leading slash) → entry; without ignored files.
    pub files: BTreeMap<String, Located>,
    /// Base first.
    pub layers: Vec<ImageLayer>,
    /// The wanted files, ignored or not; links among them followed.
    pub contents: BTreeMap<String, Vec<u8>>,
    /// Wanted paths that are links to files whose content was not stored: what stands in them is unknown.
    pub uncaptured: Vec<String>,
    /// Of the databases; an error when one is damaged.
    pub packages: Result<Vec<Package>, ParseError>,
}

/// A file, and the layer it came with (its place among [`Tree::layers`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    pub file: FileEntry,
    pub layer: usize,
}

/// The inventory of an image, from its files, the `contents` of the wanted ones, and its config.
///
/// # Errors
/// When a package database is damaged: an inventory without it would call every package removed.
pub fn inventory(
    tree: Tree,
    contents: &BTreeMap<String, Vec<u8>>,
    image: ImageId,
    platform: Platform,
    config: ImageConfig,
) -> Result<Inventory, ParseError> {
    let config = config.without_circumstances();
    let os = ["etc/os-release", "usr/lib/os-release"]
        .iter()
        .find_map(|path| contents.get(*path))
        .map(|text| os_release::parse(text));
    let mut files: BTreeMap<String, FileEntry> = tree
        .files
        .into_iter()
        .map(|(path, located)| (path, located.file))
        .collect();
    for directory in ["dev", "proc", "sys", "etc", config.working_dir.as_str()] {
        mount_point(&mut files, directory);
    }
    Ok(Inventory {
        image,
        platform,
        os,
        packages: tree.packages?,
        config,
        layers: tree.layers,
        files,
    })
}

/// An engine makes these directories in every container when the image has none (moby, `daemon/initlayer` and
/// `Container.SetupWorkingDirectory`), so an export has them and the layers need not.
fn mount_point(files: &mut BTreeMap<String, FileEntry>, directory: &str) {
    let mut path = String::new();
    for part in directory.split('/').filter(|part| !part.is_empty()) {
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(part);
        let file = files.entry(path.clone()).or_insert_with(made_directory);
        // Where a link leads there is something already, or nothing that we could know.
        if file.kind != FileKind::Directory {
            return;
        }
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
