//! *pull*: an image that others built comes into the store of the host that tests it.

use crate::freshness::Because;
use crate::image::{ImageId, ManifestDigest, Reference, ServedDigest};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A tag of a followed repository, as the registry served it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedImage {
    pub tag: String,
    pub served: ServedDigest,
    /// Of our platform. The image is known by it: an index also moves when another platform was rebuilt.
    pub manifest: ManifestDigest,
}

/// An image of a followed repository, since lowtide first saw it under this tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenImage {
    pub tag: String,
    pub manifest: ManifestDigest,
    pub at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    pub image: ListedImage,
    /// By the digest of our platform's manifest.
    pub from: Reference,
    /// Local name the candidate gets, `lowtide/<app>:<tag>`.
    pub tag: String,
    /// Immutable tag of the coming release.
    pub release_tag: String,
    pub because: Vec<Because>,
    /// It is not known long enough: it goes further only if it brings security fixes. When it will be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soaks_until: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pulled {
    pub image: ImageId,
    /// Bytes, as the engine counts them.
    pub size: u64,
}
