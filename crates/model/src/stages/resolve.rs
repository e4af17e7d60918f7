//! *resolve*: tags and branches become commits and digests, once. Afterwards only digests travel.

use crate::freshness::RebuildAssessment;
use crate::image::{ManifestDigest, Platform, Reference, ServedDigest};
use crate::policy::OwnSettings;
use crate::stages::pull::ListedImage;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolve {}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resolved {
    pub origin: ResolvedOrigin,
    pub platform: Platform,
    /// What a rebuild would pick up.
    #[serde(default)]
    pub assessment: Box<RebuildAssessment>,
}

/// What the origin of the app's image stood for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResolvedOrigin {
    Repository(ResolvedRepository),
    Images(ResolvedImages),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResolvedImages {
    /// Tags of the followed repository that the rule matches, the newest first; only as many as can matter.
    pub listed: Vec<ListedImage>,
    /// Before the first release: tags of that repository that the targets run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub running: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResolvedRepository {
    pub commit: Commit,
    /// What the repository's own file sets, where it has one that is read: in force from here on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own: Option<Box<OwnSettings>>,
    /// Every external FROM and COPY --from of the Dockerfile.
    pub bases: Vec<Base>,
    /// The image of `# syntax=`, which reads the Dockerfile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frontend: Option<Box<Base>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Full hex id.
    pub id: String,
    /// First line of its message.
    pub subject: String,
    pub author: String,
    pub time: Timestamp,
}

impl Resolved {
    /// `None`: the image is not built by us.
    #[must_use]
    pub fn repository(&self) -> Option<&ResolvedRepository> {
        match &self.origin {
            ResolvedOrigin::Repository(repository) => Some(repository),
            ResolvedOrigin::Images(_) => None,
        }
    }

    #[must_use]
    pub fn commit(&self) -> Option<&Commit> {
        self.repository().map(|repository| &repository.commit)
    }

    /// What the followed repository has; nothing for an image that we build.
    #[must_use]
    pub fn listed(&self) -> &[ListedImage] {
        match &self.origin {
            ResolvedOrigin::Repository(_) => &[],
            ResolvedOrigin::Images(images) => &images.listed,
        }
    }
}

impl ResolvedRepository {
    /// All images that the build fetches, the frontend first.
    pub fn images(&self) -> impl Iterator<Item = &Base> {
        self.frontend.as_deref().into_iter().chain(&self.bases)
    }
}

impl Commit {
    /// What tags and people use.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.id[..self.id.len().min(12)]
    }
}

/// A base image as it stood when the run resolved it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// As the Dockerfile names it, arguments substituted.
    pub reference: Reference,
    /// Where its FROM names another one than the engine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    pub pin: BasePin,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BasePin {
    /// Served by its registry; `manifest` is the platform's.
    Registry {
        served: ServedDigest,
        manifest: ManifestDigest,
    },
    /// From the engine's own store (`build.pull: false`); the id it had, if it was there.
    Local { image: Option<String> },
}
