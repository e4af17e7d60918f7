//! A built image that has all its evidence.

use crate::image::{ContentDigest, ImageId, ManifestDigest, Platform, Reference, Repository};
use crate::inventory::Change;
use crate::name::RunId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An image with all its evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    pub run: RunId,
    pub images: Images,
    /// Full hex commit id. `None`: no run of ours built it.
    pub commit: Option<String>,
    /// Where others have it. `None`: it is not a followed image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Box<Upstream>>,
    /// Immutable tag, also without a registry (the engine's local tag).
    pub tag: String,
    /// Registry digest, of the index where there are several images. `None`: the app has no `publish`.
    pub digest: Option<ManifestDigest>,
    /// `repository:tag` in the first channel, or `lowtide/<app>:<tag>` in the engine's store.
    pub reference: Reference,
    /// Against the release before.
    pub change: Option<Change>,
    /// Images that its last tests ran beside, as the configuration or the stack names them → digest of our platform's manifest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sidecars: BTreeMap<String, String>,
    pub at: Timestamp,
}

/// The followed image that became a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    pub image: Repository,
    pub tag: String,
    /// Of our platform.
    pub manifest: ManifestDigest,
}

/// What a release is on one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformImage {
    /// `None`: that of the host where it was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    pub image: ImageId,
    /// Its inventory is in the store.
    pub content: ContentDigest,
}

/// The images of a release, one per platform and never none. Runs of today make one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<PlatformImage>", into = "Vec<PlatformImage>")]
pub struct Images {
    first: Box<PlatformImage>,
    others: Vec<PlatformImage>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a release without an image")]
pub struct NoImage;

impl TryFrom<Vec<PlatformImage>> for Images {
    type Error = NoImage;

    fn try_from(all: Vec<PlatformImage>) -> Result<Self, NoImage> {
        let mut all = all.into_iter();
        let first = Box::new(all.next().ok_or(NoImage)?);
        let others = all.collect();
        Ok(Self { first, others })
    }
}

impl From<Images> for Vec<PlatformImage> {
    fn from(images: Images) -> Self {
        let mut all = vec![*images.first];
        all.extend(images.others);
        all
    }
}

impl From<PlatformImage> for Images {
    fn from(first: PlatformImage) -> Self {
        Self {
            first: Box::new(first),
            others: Vec::new(),
        }
    }
}

impl Images {
    /// One image, of the platform of the host that has it.
    #[must_use]
    pub fn one(image: ImageId, content: ContentDigest) -> Self {
        let platform = None;
        Self::from(PlatformImage {
            platform,
            image,
            content,
        })
    }

    /// The one that stands for all where only one can be named: in a text, in the name of a file.
    #[must_use]
    pub fn first(&self) -> &PlatformImage {
        &self.first
    }

    pub fn iter(&self) -> impl Iterator<Item = &PlatformImage> {
        std::iter::once(self.first()).chain(&self.others)
    }

    #[must_use]
    pub fn has(&self, image: &ImageId) -> bool {
        self.iter().any(|one| one.image == *image)
    }

    #[must_use]
    pub fn has_content(&self, content: &ContentDigest) -> bool {
        self.iter().any(|one| one.content == *content)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    #[test]
    fn images_are_a_list_that_is_never_empty() {
        let text = format!(
            r#"[{{"platform":{{"os":"linux","architecture":"amd64"}},"image":"{A}","content":"{B}"}},{{"image":"{B}","content":"{A}"}}]"#
        );
        let images: Images = serde_json::from_str(&text).unwrap();
        assert_eq!(images.iter().count(), 2);
        assert!(
            images.has(&A.parse().unwrap())
                && images.has(&B.parse().unwrap())
                && images.has_content(&A.parse().unwrap())
        );
        assert_eq!(serde_json::to_string(&images).unwrap(), text);
        let error = serde_json::from_str::<Images>("[]").unwrap_err();
        insta::assert_snapshot!(error, @"a release without an image");
    }
}
