//! What the configuration says of GitHub.

use lowtide_model::secret::SecretRef;
use serde::{Deserialize, Serialize};

/// How GitHub is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GithubPolicy {
    pub token: SecretRef,
    /// API base, `https://api.github.com` unless it is an Enterprise server.
    pub api: String,
}
