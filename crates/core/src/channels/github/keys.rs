//! The keys of `notify.github`.

use crate::yaml::raw::{Secret, Text, raw};
use schemars::JsonSchema;
use serde::Deserialize;

raw! {
    Github {
        /// A personal access token. An `app` shows more: check runs with the lines that fail.
        token: Option<Secret>,
        /// A GitHub App, in place of a token.
        app: Option<GithubApp>,
        /// Base of the API; another one than `https://api.github.com` for Enterprise.
        api: Option<Text>,
        /// Show each rollout as a deployment of its commit.
        deployments: Option<bool>,
    }
    GithubApp {
        /// The App ID, a number on the App's settings page.
        id: Option<u64>,
        /// The App's private key, PEM.
        key: Option<Secret>,
    }
}
