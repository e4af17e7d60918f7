//! lowtide's own container as a target, as configured.

use crate::kinds::containers::policy::ContainersPolicy;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelfUpdatePolicy {
    /// It is moved like any container that stops before its successor starts.
    pub container: ContainersPolicy,
}
