//! What differs between two images, in full, on request.

use crate::image::{ImageId, Platform};
use crate::inventory::ImageLayer;
use crate::package_family::PackageFamily;
use serde::Serialize;
use std::fmt;

/// Where an image was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    Engine,
    Registry,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Place::Engine => "engine",
            Place::Registry => "registry",
        })
    }
}

/// One of two images that are compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComparedImage {
    pub image: String,
    pub place: Place,
    pub id: ImageId,
    #[serde(serialize_with = "as_text")]
    pub platform: Platform,
    /// `PRETTY_NAME`, or the id, of its os-release; nothing when it was not read.
    pub os: Option<String>,
}

fn as_text<S: serde::Serializer>(platform: &Platform, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(platform)
}

/// What a difference means for those who run the image. Ordered by weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Significance {
    /// The same packages, config and files; ignored ones left out.
    None,
    /// Only documentation, and labels that describe.
    Cosmetic,
    /// Only upgrades from a security origin, and the files of those packages.
    Security,
    /// Anything else, and whatever is not known to be less.
    Functional,
}

/// `old` and `new` are in the order the images were given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Comparison {
    pub verdict: Significance,
    /// By family, name, architecture.
    pub packages: Vec<PackageDelta>,
    pub config: Vec<ConfigDelta>,
    /// By path.
    pub files: Vec<FileDelta>,
    pub layers: LayerDelta,
}

impl Comparison {
    /// Of an image with itself, whose layers nobody has to read.
    #[must_use]
    pub fn same() -> Self {
        Self {
            verdict: Significance::None,
            packages: Vec::new(),
            config: Vec::new(),
            files: Vec::new(),
            layers: LayerDelta {
                shared: 0,
                old: Vec::new(),
                new: Vec::new(),
            },
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageDelta {
    pub family: PackageFamily,
    pub name: String,
    pub architecture: String,
    /// `None`: it was not there.
    pub old: Option<PackageAt>,
    pub new: Option<PackageAt>,
    /// Is the new version from a security origin? `None`: nobody said.
    pub security: Option<bool>,
}

/// A version, and the layer it came with (counted from 0).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageAt {
    pub version: String,
    pub layer: Option<usize>,
}

/// A part of the image config, with its values on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfigDelta {
    /// `env`, `cmd`, `labels` …
    pub part: &'static str,
    /// Only what differs: a value in the one and not in the other; all values where their order counts.
    pub old: Vec<String>,
    pub new: Vec<String>,
    /// It describes and changes nothing.
    pub cosmetic: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileDelta {
    /// Without leading slash.
    pub path: String,
    pub how: FileDifference,
    /// The differing package it belongs to.
    pub package: Option<String>,
    /// Documentation: read by people only.
    pub cosmetic: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileDifference {
    Added,
    Removed,
    /// At least one of them.
    Changed {
        /// Bytes, link target or kind.
        content: bool,
        /// Permissions or capabilities.
        mode: bool,
        owner: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayerDelta {
    /// How many layers, from the base on, are the same.
    pub shared: usize,
    pub old: Vec<ImageLayer>,
    pub new: Vec<ImageLayer>,
}

impl Significance {
    /// One word, the same in JSON and text.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Significance::None => "none",
            Significance::Cosmetic => "cosmetic",
            Significance::Security => "security",
            Significance::Functional => "functional",
        }
    }
}

impl FileDelta {
    /// Counts of added, removed and changed.
    #[must_use]
    pub fn counts(files: &[Self]) -> [usize; 3] {
        let mut counts = [0; 3];
        for file in files {
            counts[match file.how {
                FileDifference::Added => 0,
                FileDifference::Removed => 1,
                FileDifference::Changed { .. } => 2,
            }] += 1;
        }
        counts
    }
}
