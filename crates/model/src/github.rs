//! As whom lowtide is known to GitHub.

use crate::secret::SecretRef;
use serde::{Deserialize, Serialize};

/// As whom lowtide writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GithubLogin {
    /// A personal access token.
    Token(SecretRef),
    App(GithubApp),
}

/// A GitHub App. Each account that installed it gets tokens of its own, and only an App may write check runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GithubApp {
    pub id: u64,
    /// PEM of its RSA private key.
    pub key: SecretRef,
}
