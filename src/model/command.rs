//! A command as a target, for whatever no engine of ours runs: what the command receives, and what is known of its
//! target.

use super::app_state::Release;
use super::image::ManifestDigest;
use super::name::RunId;
use super::rollout::Which;
use super::secret::SecretRef;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

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
    pub env: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, SecretRef>,
    /// `None`: the exit code alone is the verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
}

/// How the target proves that it serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    pub ask: CommandRequest,
    /// From the end of the command to the first good answer.
    pub timeout: SignedDuration,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandRequest {
    /// A GET, asked by lowtide itself, answers with 200–399.
    Http { url: String },
    /// A command beside lowtide exits 0.
    Exec { command: Vec<String> },
}

/// A release as it is passed to a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    pub run: RunId,
    /// `repository:tag@digest`; without a registry the engine's local tag.
    pub image: String,
    pub tag: String,
    pub digest: Option<ManifestDigest>,
}

impl Placed {
    #[must_use]
    pub fn of(release: &Release) -> Self {
        Self {
            run: release.run,
            image: release.service_image(),
            tag: release.tag.clone(),
            digest: release.digest.clone(),
        }
    }

    /// The same bits, whatever they are called.
    #[must_use]
    pub fn is_same(&self, other: &Placed) -> bool {
        match (&self.digest, &other.digest) {
            (Some(one), Some(other)) => one == other,
            (None, _) | (_, None) => self.run == other.run,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// To a release that is newer, as far as lowtide put them there.
    Forward,
    Back,
}

impl Direction {
    /// As the command finds it in its environment.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::Forward => "forward",
            Direction::Back => "back",
        }
    }
}

/// The release that a command should bring its target to, pinned when the step is planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aim {
    pub direction: Direction,
    pub to: Placed,
    /// The release that lowtide last put on the target; `None`: no release of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Placed>,
}

/// The app's own record of the target before the rollout. A command target has no engine that could be queried instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandUnit {
    /// What was put there last and stayed.
    pub before: Option<Placed>,
    pub record: TargetRecord,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetRecord {
    /// The last rollout ended well, or was rolled back.
    Certain,
    /// The last rollout got stuck: something else may run there.
    Doubtful,
}

/// What the probe said during a bake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObservedAnswer {
    /// There is no probe, or it was not run this time.
    NotAsked,
    Answers,
    /// The probe has failed this many times in a row.
    Fails {
        times: u32,
        said: String,
    },
}

/// One thing done with a command target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum CommandStep {
    Run {
        aim: Box<Aim>,
    },
    /// CommandRequest until it answers, within `deadline`.
    AwaitAnswer {
        which: Which,
        deadline: Timestamp,
    },
}

impl fmt::Display for CommandStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommandStep::Run { aim } => write!(f, "run command {}", aim.direction.as_str()),
            CommandStep::AwaitAnswer { .. } => f.write_str("wait until the target answers"),
        }
    }
}
