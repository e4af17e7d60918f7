//! *bootstrap*: the candidate is launched with the testing tools switched on, and they arrive.

use crate::image::ImageId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bootstrap {
    pub image: ImageId,
    /// Position in the app's rounds of tests.
    pub round: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bootstrapped {
    /// Engine id of the container under test; *test* runs in this very container.
    pub container: String,
    /// Sidecars and services beside it, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<String, String>,
    /// The tester's container: created, not started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tester: Option<String>,
    /// Container and network ids to remove afterwards, sidecars first.
    pub leftovers: Vec<String>,
    /// How long the launch took, milliseconds.
    pub took_ms: u64,
}
