//! A command as a target, as configured.

use jiff::SignedDuration;
use lowtide_model::secret::EnvValue;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Programs that are run where lowtide itself runs, never by a shell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandPolicy {
    /// Program and arguments.
    pub run: Vec<String>,
    /// The command for a rollback. Empty: `run`, with the previous release in its environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub back: Vec<String>,
    /// Of each.
    pub timeout: SignedDuration,
    /// Set in addition to the variables that every command receives.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, EnvValue>,
    /// `None`: the exit code alone is the verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
}

/// How the target proves that it serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    pub ask: CommandRequest,
    /// From the end of the command to the first good response.
    pub timeout: SignedDuration,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandRequest {
    /// A GET, sent by lowtide itself, returns 200–399.
    Http { url: String },
    /// A command beside lowtide exits 0.
    Exec { command: Vec<String> },
}
