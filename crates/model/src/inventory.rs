//! What is inside an image, and what differs between two.

use crate::file_hash::FileHash;
use crate::image::{ContentDigest, DiffId, ImageId, Platform};
use crate::package_family::PackageFamily;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is inside an image. Two images with equal inventories behave the same as far as lowtide can see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    pub image: ImageId,
    pub platform: Platform,
    pub os: Option<OsRelease>,
    /// Sorted by name, then architecture.
    pub packages: Vec<Package>,
    pub config: ImageConfig,
    /// Base first; empty in inventories of before layers were read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<ImageLayer>,
    /// Path (without leading slash) → entry; without ignored ones (see `packages::ignored`).
    pub files: BTreeMap<String, FileEntry>,
}

/// One layer of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageLayer {
    pub diff_id: DiffId,
    /// Bytes of its tar archive, uncompressed.
    pub size: u64,
}

impl Inventory {
    /// How many of the layers are those of a base, given the base's own (base first). `None`: the image is not built on
    /// it, or its layers are not known.
    #[must_use]
    pub fn base_layers(&self, base: &[DiffId]) -> Option<usize> {
        let ours = self.layers.iter().map(|layer| &layer.diff_id);
        let whole = !base.is_empty() && base.len() <= self.layers.len();
        (whole && ours.zip(base).all(|(ours, theirs)| ours == theirs)).then_some(base.len())
    }
}

/// From `/etc/os-release` (os-release(5)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OsRelease {
    pub id: String,
    pub version_id: Option<String>,
    pub pretty_name: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Package {
    pub name: String,
    pub architecture: String,
    pub version: String,
    /// Source package, when it has another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// dpkg in inventories that were stored before this field existed.
    #[serde(default)]
    pub family: PackageFamily,
    /// An upgrade leaves it alone (dpkg(1), "Package selection states": hold).
    #[serde(default, skip_serializing_if = "is_false")]
    pub held: bool,
    /// Which of the image's layers brought this version: an index into [`Inventory::layers`], when those are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<usize>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// The parts of the OCI image config that change how a container behaves (OCI image-spec, config.md).
/// Labels of lowtide's own and of the build's circumstances (created, revision, version) are not part of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ImageConfig {
    #[serde(default)]
    pub env: Vec<String>,
    #[serde(default)]
    pub entrypoint: Vec<String>,
    #[serde(default)]
    pub cmd: Vec<String>,
    #[serde(default)]
    pub user: String,
    #[serde(default)]
    pub working_dir: String,
    #[serde(default)]
    pub exposed_ports: Vec<String>,
    #[serde(default)]
    pub volumes: Vec<String>,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub stop_signal: Option<String>,
    /// As the engine prints it, normalised to JSON text.
    #[serde(default)]
    pub healthcheck: Option<String>,
}

/// One path of the image's root filesystem, without its timestamps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    pub kind: FileKind,
    /// Permission bits, with setuid, setgid and sticky.
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    /// File capabilities (`security.capability`, capabilities(7)) in hex: they change what a program may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capability: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// Size in bytes.
    File {
        sha256: FileHash,
        size: u64,
    },
    Directory,
    Symlink {
        target: String,
    },
    Hardlink {
        target: String,
    },
    Device {
        major: u32,
        minor: u32,
    },
    Fifo,
}

/// What differs between two inventories. Empty means: a rebuild changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Change {
    pub packages: Vec<PackageChange>,
    /// Names of the config parts that differ (`env`, `cmd`, …).
    pub config: Vec<String>,
    pub files: FileChanges,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageChange {
    pub name: String,
    pub old: Option<String>,
    pub new: Option<String>,
}

/// Counts, and the first few paths of each kind for a person to see.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FileChanges {
    pub added: usize,
    pub removed: usize,
    pub changed: usize,
    /// At most [`FileChanges::EXAMPLES`], sorted.
    pub examples: Vec<String>,
}

impl FileChanges {
    pub const EXAMPLES: usize = 20;
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added + self.removed + self.changed == 0
    }
}

impl Change {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packages.is_empty() && self.config.is_empty() && self.files.is_empty()
    }
}

/// What the journal stores of an inventory; the inventory itself is evidence in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventorySummary {
    pub content: ContentDigest,
    pub os: Option<String>,
    pub packages: usize,
    pub files: usize,
}
