//! *publish*: the tested image under an immutable tag in the first channel.

use crate::image::{ImageId, ManifestDigest, Reference};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publish {
    pub image: ImageId,
    /// Immutable `repository:tag`. `None`: the app has no `publish`; the image stays in the engine's store.
    pub to: Option<Reference>,
    /// The registry that has the image already, by digest: it is copied, and not pushed. `None`: the engine has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Reference>,
    /// Moving tag of the first channel.
    pub channel: Option<Reference>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Read back from the registry. `None` without a registry.
    pub digest: Option<ManifestDigest>,
}
