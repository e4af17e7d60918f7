//! *inspect*: what is inside the candidate, and what differs from the last release.

use crate::freshness::Survey;
use crate::image::{ContentDigest, ImageId};
use crate::inventory::{Change, InventorySummary};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspect {
    pub image: ImageId,
    /// Content of the last release; its inventory is in the store. `None`: this is the first.
    pub against: Option<ContentDigest>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspected {
    pub inventory: InventorySummary,
    /// `None`: there was nothing to compare with.
    pub change: Option<Change>,
    /// Has it a command to start with: CMD or ENTRYPOINT?
    pub has_command: bool,
    /// What is still pending in it.
    #[serde(default)]
    pub left: Box<Survey>,
}
