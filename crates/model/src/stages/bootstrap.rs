//! *bootstrap*: the candidate is launched with the testing tools switched on, and they arrive.

use crate::image::{ImageId, Reference};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bootstrap {
    pub image: ImageId,
    /// Position in the app's rounds of tests.
    pub round: u16,
    /// Where a release that is tested again is found, if the build host has it no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull: Option<Reference>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bootstrapped {
    /// Engine id of the container under test; *test* runs in this very container.
    pub container: String,
    /// Sidecars and services beside it, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<String, String>,
    /// Images beside it, as the configuration or the stack names them → digest of our platform's manifest. Without those of the engine's
    /// own store, and those that were built.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sidecars: BTreeMap<String, String>,
    /// The tester's container: created, not started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tester: Option<String>,
    /// Container and network ids to remove afterwards, sidecars first.
    pub leftovers: Vec<String>,
    /// How long the launch took, milliseconds.
    pub took_ms: u64,
}
