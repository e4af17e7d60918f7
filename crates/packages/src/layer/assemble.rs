//! Layers put on top of each other, base first, as an engine does it (OCI image-spec, layer.md, "Applying Changesets").

use super::error::LayerError;
use super::links;
use super::name::parent;
use super::table::{LayerEntry, LayerTable, Limits, remove_below};
use super::wanted::Wanted;
use crate::ignored::{is_ignored, is_ignored_link};
use crate::origin::Origin;
use crate::tree::{Located, Tree};
use lowtide_model::inventory::{FileEntry, FileKind, ImageLayer};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

/// The files of the layers so far.
#[derive(Debug)]
pub struct Assembly {
    nodes: BTreeMap<String, Node>,
    wanted: BTreeMap<String, Vec<u8>>,
    layers: Vec<ImageLayer>,
    origin: Origin,
    inodes: u64,
    /// Entries that all layers together may have.
    limit: usize,
}

#[derive(Debug, Clone)]
struct Node {
    file: FileEntry,
    layer: usize,
    /// Equal for paths that are hard links to the same file.
    inode: Option<u64>,
}

impl Assembly {
    /// Without any layer.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            nodes: BTreeMap::new(),
            wanted: BTreeMap::new(),
            layers: Vec::new(),
            origin: Origin::default(),
            inodes: 0,
            limit: limits.entries,
        }
    }

    /// Puts the next layer on top.
    ///
    /// # Errors
    /// `Link` if the target of a hard link is neither in this layer nor in a lower one; `TooMuch`.
    pub fn push(&mut self, mut table: LayerTable) -> Result<(), LayerError> {
        // Before the lower layers' files are changed.
        let mut from_below = self.links(&mut table)?;
        let (layer, first_inode) = (self.layers.len(), self.inodes);
        let mut touched = BTreeSet::new();
        for directory in &table.opaque {
            self.remove_below(directory, &mut touched);
        }
        for path in &table.hidden {
            self.remove(path, &mut touched);
            self.remove_below(path, &mut touched);
        }
        let mut plain_parent = None;
        for (path, LayerEntry { file, inode }) in table.entries {
            let above = parent(&path).map(ToOwned::to_owned);
            if plain_parent != above {
                self.ensure(above.as_deref(), &mut touched);
                plain_parent = above;
            }
            let (file, inode) = match from_below.remove(&path) {
                Some((file, inode)) => (file, Some(inode)),
                None => (file, inode.map(|n| first_inode + u64::from(n.get()))),
            };
            if file.kind != FileKind::Directory {
                self.remove_below(&path, &mut touched);
            }
            self.remove(&path, &mut touched);
            if let Some(bytes) = table.wanted.remove(&path) {
                touched.insert(path.clone());
                self.wanted.insert(path.clone(), bytes);
            }
            self.inodes = self.inodes.max(inode.unwrap_or(0));
            self.nodes.insert(path, Node { file, layer, inode });
        }
        self.origin.see(layer, &touched, &self.wanted);
        self.layers.push(ImageLayer {
            diff_id: table.diff_id,
            size: table.size,
        });
        LayerError::bounded("entries", self.nodes.len() as u64, self.limit as u64)
    }

    /// The image's files without ignored ones. Hard links are normalised: the first path, by directory and name, is the
    /// file.
    #[must_use]
    pub fn finish(self, wanted: &Wanted) -> Tree {
        let (linked, uncaptured) = self.linked_wanted(wanted);
        let Self {
            mut nodes,
            wanted: mut contents,
            layers,
            origin,
            inodes: _,
            limit: _,
        } = self;
        nodes.retain(|path, node| !is_left_out(path, &node.file.kind));
        name_links(&mut nodes);
        contents.extend(linked);
        let located = |(path, node): (String, Node)| {
            let Node { file, layer, .. } = node;
            (path, Located { file, layer })
        };
        Tree {
            files: nodes.into_iter().map(located).collect(),
            layers,
            contents,
            uncaptured,
            packages: origin.packages(),
        }
    }

    /// Hard links of a layer to files of lower layers, each with the file and its inode number. Links to a file that
    /// comes later in the same layer are resolved in place.
    fn links(&mut self, table: &mut LayerTable) -> Result<BTreeMap<String, (FileEntry, u64)>, LayerError> {
        let mut from_below = BTreeMap::new();
        let mut last = table
            .entries
            .values()
            .filter_map(|entry| entry.inode)
            .max()
            .map_or(0, NonZeroU32::get);
        let pending: Vec<(String, String)> = table
            .entries
            .iter()
            .filter_map(|(path, entry)| link_target(&entry.file.kind).map(|t| (path.clone(), t.to_owned())))
            .collect();
        for (path, target) in pending {
            let here = table
                .entries
                .get_mut(&target)
                .filter(|e| link_target(&e.file.kind).is_none());
            if let Some(entry) = here.filter(|entry| entry.file.kind != FileKind::Directory) {
                if entry.inode.is_none() {
                    last += 1;
                    entry.inode = NonZeroU32::new(last);
                }
                let entry = entry.clone();
                table.entries.insert(path, entry);
                continue;
            }
            let placed = links::resolve(&target, false, |p| symlink(&self.nodes, p)).unwrap_or_default();
            match self.nodes.get_mut(&placed) {
                Some(node) if node.file.kind != FileKind::Directory => {
                    if node.inode.is_none() {
                        self.inodes += 1;
                        node.inode = Some(self.inodes);
                    }
                    from_below.insert(path, (node.file.clone(), node.inode.unwrap_or(0)));
                }
                Some(_) | None => return Err(LayerError::Link { path, target }),
            }
        }
        Ok(from_below)
    }

    /// Creates parent directories that the archive does not list, as engines do. Those of lower layers stay as they
    /// are.
    fn ensure(&mut self, directory: Option<&str>, touched: &mut BTreeSet<String>) {
        let mut missing = Vec::new();
        let mut above = directory;
        while let Some(path) = above {
            if self
                .nodes
                .get(path)
                .is_some_and(|node| node.file.kind == FileKind::Directory)
            {
                break;
            }
            missing.push(path.to_owned());
            above = parent(path);
        }
        let layer = self.layers.len();
        for path in missing {
            self.remove(&path, touched);
            let file = made_directory();
            let inode = None;
            self.nodes.insert(path, Node { file, layer, inode });
        }
    }

    fn remove(&mut self, path: &str, touched: &mut BTreeSet<String>) {
        self.nodes.remove(path);
        if self.wanted.remove(path).is_some() {
            touched.insert(path.to_owned());
        }
    }

    fn remove_below(&mut self, directory: &str, touched: &mut BTreeSet<String>) {
        if remove_below(&mut self.nodes, directory) > 0 {
            let range = super::table::below(directory);
            touched.extend(self.wanted.range(range).map(|(path, _)| path.clone()));
            remove_below(&mut self.wanted, directory);
        }
    }

    /// Content of wanted paths that are links to other wanted paths, and the wanted links whose target's content was
    /// not stored.
    fn linked_wanted(&self, wanted: &Wanted) -> (Vec<(String, Vec<u8>)>, Vec<String>) {
        let (mut linked, mut uncaptured) = (Vec::new(), Vec::new());
        for (path, node) in &self.nodes {
            if matches!(node.file.kind, FileKind::Directory) || self.wanted.contains_key(path) || !wanted.contains(path)
            {
                continue;
            }
            let end = links::resolve(path, true, |p| symlink(&self.nodes, p)).unwrap_or_default();
            match self.wanted.get(&end) {
                Some(bytes) => linked.push((path.clone(), bytes.clone())),
                // A dangling link counts as missing.
                None if self.nodes.contains_key(&end) => uncaptured.push(path.clone()),
                None => {}
            }
        }
        (linked, uncaptured)
    }
}

/// What engines make where an archive puts a file into a directory that it does not mention.
pub(crate) fn made_directory() -> FileEntry {
    FileEntry {
        kind: FileKind::Directory,
        mode: 0o755,
        uid: 0,
        gid: 0,
        capability: None,
    }
}

/// Of paths that are one file, the first stays a file and the others become links to it.
fn name_links(nodes: &mut BTreeMap<String, Node>) {
    let mut groups: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    for (path, node) in nodes.iter() {
        if let Some(inode) = node.inode {
            groups.entry(inode).or_default().push(path);
        }
    }
    let mut targets: BTreeMap<String, String> = BTreeMap::new();
    for paths in groups.values_mut() {
        // The order in which `docker export` walks: `a/b` comes before `a.b`.
        paths.sort_by(|a, b| a.split('/').cmp(b.split('/')));
        if let [first, others @ ..] = paths.as_slice() {
            targets.extend(others.iter().map(|path| ((*path).to_owned(), (*first).to_owned())));
        }
    }
    for (path, target) in targets {
        if let Some(node) = nodes.get_mut(&path) {
            node.file.kind = FileKind::Hardlink { target };
        }
    }
}

fn is_left_out(path: &str, kind: &FileKind) -> bool {
    let target = match kind {
        FileKind::Symlink { target } => target.as_str(),
        FileKind::File { .. }
        | FileKind::Directory
        | FileKind::Hardlink { .. }
        | FileKind::Device { .. }
        | FileKind::Fifo => "",
    };
    is_ignored(path) || is_ignored_link(path, target)
}

fn symlink<'a>(nodes: &'a BTreeMap<String, Node>, path: &str) -> Option<&'a str> {
    match &nodes.get(path)?.file.kind {
        FileKind::Symlink { target } => Some(target),
        FileKind::File { .. }
        | FileKind::Directory
        | FileKind::Hardlink { .. }
        | FileKind::Device { .. }
        | FileKind::Fifo => None,
    }
}

fn link_target(kind: &FileKind) -> Option<&str> {
    match kind {
        FileKind::Hardlink { target } => Some(target),
        FileKind::File { .. }
        | FileKind::Directory
        | FileKind::Symlink { .. }
        | FileKind::Device { .. }
        | FileKind::Fifo => None,
    }
}

#[cfg(test)]
#[path = "assemble_tests.rs"]
mod tests;
