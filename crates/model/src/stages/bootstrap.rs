//! *bootstrap*: the candidate is launched with the testing tools switched on, and they arrive.

use crate::image::ImageId;
use serde::{Deserialize, Serialize};

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
    /// Container and network ids to remove afterwards, sidecars first.
    pub leftovers: Vec<String>,
    /// How long the launch took, milliseconds.
    pub took_ms: u64,
}
