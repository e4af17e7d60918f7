//! Drift: a target no longer runs what its last rollout left there, because something other than lowtide changed it.

use serde::{Deserialize, Serialize};

/// How a target differs from what its last rollout left there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "drift")]
pub enum Drift {
    /// Some of its containers or services run another image.
    Runs {
        /// Of the first of them.
        image: String,
        others: usize,
        of: usize,
    },
    /// There is no such container or service any more.
    Gone,
}

/// What one container or service of a target runs now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighted {
    /// In the words of the target's own host.
    pub image: String,
    /// As people know the image.
    pub named: String,
}
