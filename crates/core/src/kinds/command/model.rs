//! A command as a target, for whatever no engine of ours runs: what the command receives, and what is known of its
//! target.

use lowtide_model::image::ManifestDigest;
use lowtide_model::name::RunId;
use lowtide_model::release::Release;
use serde::{Deserialize, Serialize};

/// A release as it is passed to a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetRelease {
    pub run: RunId,
    /// `repository:tag@digest`; without a registry the engine's local tag.
    pub image: String,
    pub tag: String,
    pub digest: Option<ManifestDigest>,
}

impl TargetRelease {
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
    pub fn is_same(&self, other: &TargetRelease) -> bool {
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
    pub to: TargetRelease,
    /// The release that lowtide last put on the target; `None`: no release of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<TargetRelease>,
}

/// The app's own record of the target before the rollout. A command target has no engine that could be queried instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandUnit {
    /// What was put there last and stayed.
    pub before: Option<TargetRelease>,
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

/// The result of the probe during a bake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeResult {
    /// There is no probe, or it was not run this time.
    NotRun,
    Passes,
    /// The probe has failed this many times in a row.
    Fails {
        times: u32,
        said: String,
    },
}
