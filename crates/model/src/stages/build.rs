//! *build*: the pinned commit on the pinned bases becomes an image in the build host's store.

use super::resolve::ResolvedRepository;
use crate::freshness::Because;
use crate::image::{ImageId, Platform};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Build {
    pub from: Box<ResolvedRepository>,
    pub platform: Platform,
    /// Local name the candidate gets, `lowtide/<app>:<tag>`.
    pub tag: String,
    /// Immutable tag of the coming release.
    pub release_tag: String,
    pub labels: BTreeMap<String, String>,
    /// Why it is built at all.
    #[serde(default)]
    pub because: Vec<Because>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Built {
    pub image: ImageId,
    /// Bytes, as the engine counts them.
    pub size: u64,
}
