//! What is left of a layer once it was read.

use lowtide_model::image::DiffId;
use lowtide_model::inventory::FileEntry;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

/// What an archive may cost. An image is made by others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub entries: usize,
    /// Bytes of the archive as unpacked, and of what its entries claim to hold.
    pub content: u64,
    /// Bytes of all names and link targets: with the entries, what the table costs in memory.
    pub names: usize,
    /// Bytes of the wanted files.
    pub stored: usize,
}

impl Default for Limits {
    /// Above real images (a full desktop has half a million files and 10 MB of package databases), below what hurts.
    fn default() -> Self {
        Self {
            entries: 1_000_000,
            content: 256 << 30,
            names: 128 << 20,
            stored: 32 << 20,
        }
    }
}

/// What has been used of the limits. Layers of one image share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Used {
    pub(super) entries: usize,
    pub(super) content: u64,
    pub(super) names: usize,
    pub(super) stored: usize,
}

/// One layer: what it adds, what it hides, and the content of its wanted files. Ignored files are still in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerTable {
    pub diff_id: DiffId,
    /// Bytes of the archive, uncompressed.
    pub size: u64,
    /// The archive had its end mark (pax(1): two blocks of zeros). Without one, only its digest shows whether it is
    /// whole.
    pub whole: bool,
    /// By path without leading slash.
    pub(super) entries: BTreeMap<String, LayerEntry>,
    /// Paths of the layers below that are gone.
    pub(super) hidden: BTreeSet<String>,
    /// Directories of which nothing from below is left.
    pub(super) opaque: BTreeSet<String>,
    #[serde(with = "wanted_bytes")]
    pub(super) wanted: BTreeMap<String, Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LayerEntry {
    #[serde(flatten)]
    pub(super) file: FileEntry,
    /// The same for paths of this layer that are one file (hard links).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) inode: Option<NonZeroU32>,
}

/// All paths below a directory, in a map whose order is that of bytes: `/` is followed by `0`.
pub(super) fn below(directory: &str) -> (std::ops::Bound<String>, std::ops::Bound<String>) {
    use std::ops::Bound;
    if directory.is_empty() {
        (Bound::Unbounded, Bound::Unbounded)
    } else {
        (
            Bound::Included(format!("{directory}/")),
            Bound::Excluded(format!("{directory}0")),
        )
    }
}

/// Removes all that is below `directory`; how many that was.
pub(super) fn remove_below<T>(map: &mut BTreeMap<String, T>, directory: &str) -> usize {
    let gone: Vec<String> = map.range(below(directory)).map(|(path, _)| path.clone()).collect();
    for path in &gone {
        map.remove(path);
    }
    gone.len()
}

/// Bytes in JSON: as base64, a third of what a list of numbers takes.
mod wanted_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};
    use std::collections::BTreeMap;

    pub(super) fn serialize<S: Serializer>(map: &BTreeMap<String, Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(map.iter().map(|(path, bytes)| (path, STANDARD.encode(bytes))))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, Vec<u8>>, D::Error> {
        let map = BTreeMap::<String, String>::deserialize(deserializer)?;
        let decoded = map.into_iter().map(|(path, text)| Ok((path, STANDARD.decode(text)?)));
        decoded
            .collect::<Result<_, base64::DecodeError>>()
            .map_err(D::Error::custom)
    }
}
