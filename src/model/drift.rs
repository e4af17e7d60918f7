//! Drift: a target no longer runs what its last rollout left there, because something other than lowtide changed it.

use super::image::{ImageId, Reference};
use serde::{Deserialize, Serialize};

/// What a rollout left on a target, by the identifiers of the target's own host, so that it can be recognised there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "placed")]
pub enum Placed {
    Containers {
        image: ImageId,
    },
    /// `image`: `ContainerSpec.Image`, letter by letter.
    Services {
        image: String,
    },
}

/// What a target runs now: one entry per container or service that it selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sighted {
    Containers(Vec<SightedContainer>),
    /// `ContainerSpec.Image` of each service.
    Services(Vec<String>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SightedContainer {
    pub image: ImageId,
    /// The name of the image it was started from, as the engine shows it.
    pub named: String,
}

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

/// Does a Swarm service run these bits, under whatever tag?
#[must_use]
pub fn is_same_service_image(runs: &str, planned: &str) -> bool {
    runs == planned
        || match (runs.parse::<Reference>(), planned.parse::<Reference>()) {
            (Ok(runs), Ok(planned)) => {
                planned.digest.is_some() && runs.digest == planned.digest && runs.repository == planned.repository
            }
            (Ok(_) | Err(_), Ok(_) | Err(_)) => false,
        }
}
