//! A built image that has all its evidence.

use crate::image::{ContentDigest, ImageId, ManifestDigest, Reference};
use crate::inventory::Change;
use crate::name::RunId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An image with all its evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    pub run: RunId,
    pub image: ImageId,
    pub content: ContentDigest,
    /// Full hex commit id.
    pub commit: String,
    /// Immutable tag, also without a registry (the engine's local tag).
    pub tag: String,
    /// Registry digest. `None`: the app has no `publish`.
    pub digest: Option<ManifestDigest>,
    /// `repository:tag` in the first channel, or `lowtide/<app>:<tag>` in the engine's store.
    pub reference: Reference,
    /// Against the release before.
    pub change: Option<Change>,
    pub at: Timestamp,
}

impl Release {
    /// The image in a service's spec: `repository:tag@digest`. A node that cannot pull this digest fails, instead of
    /// running another image that has the tag. Without a registry the tag alone: it is not resolved, and each node uses
    /// its own image.
    #[must_use]
    pub fn service_image(&self) -> String {
        match &self.digest {
            Some(digest) if self.reference.digest.is_none() => format!("{}@{digest}", self.reference),
            Some(_) | None => self.reference.to_string(),
        }
    }
}
