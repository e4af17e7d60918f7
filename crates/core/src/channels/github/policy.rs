//! What the configuration says of GitHub.

use lowtide_model::github::GithubLogin;
use serde::{Deserialize, Serialize};

/// How GitHub is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GithubPolicy {
    pub login: GithubLogin,
    /// API base, `https://api.github.com` unless it is an Enterprise server.
    pub api: String,
    /// Is each rollout shown as a deployment of its commit?
    pub deployments: bool,
}

impl GithubPolicy {
    /// Are runs shown as check runs? Otherwise commits get statuses.
    #[must_use]
    pub fn has_checks(&self) -> bool {
        match self.login {
            GithubLogin::App(_) => true,
            GithubLogin::Token(_) => false,
        }
    }
}
