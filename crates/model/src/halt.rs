//! Halts: what lifts them, what is known of the rollout that caused one, and what a person states to lift it.

use crate::failure::Failure;
use crate::inventory::Change;
use crate::name::{AppName, RolloutId, RunId, TargetName};
use crate::rollout::{HookPhase, RolloutConclusion, Which};
use crate::window::{Closing, Occurrence};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What lifts a halt that a rollout caused, and what follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HaltPolicy {
    pub require: Require,
    /// Rollouts after the resume that bake twice as long; 0: none.
    pub probation: u32,
    /// Globs of the repository's files that the tests consist of.
    pub tests: Vec<String>,
}

impl HaltPolicy {
    /// How many rollouts after an incident are on probation if the configuration does not say.
    pub const PROBATION: u32 = 3;
    /// Test files of the usual languages, however they write them.
    pub const TESTS: [&str; 3] = ["**/*test*", "**/tests/**", "**/test/**"];
}

impl Default for HaltPolicy {
    fn default() -> Self {
        Self {
            require: Require::Reason,
            probation: Self::PROBATION,
            tests: Self::TESTS.map(ToOwned::to_owned).to_vec(),
        }
    }
}

/// What a person has to give to lift a halt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Require {
    /// A sentence.
    #[default]
    Reason,
    /// The root cause, and something done about it that can be checked.
    Countermeasure,
}

/// A form as it was filled in, not validated yet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Draft {
    pub whys: Vec<String>,
    pub root: Option<String>,
    pub class: Option<String>,
    pub commit: Option<String>,
    pub config: bool,
    /// Entries that a form does not have, or values of the wrong type; a short message each.
    pub odd: Vec<String>,
}

/// A complete form whose countermeasure was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    /// The last one is the root cause.
    pub whys: Vec<String>,
    pub class: Class,
    /// Full id of a commit that changes the tests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The app's configuration was changed since the halt.
    #[serde(default)]
    pub config: bool,
}

/// What kind of cause it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The image is at fault.
    Image,
    /// The image is at fault, and a test could have caught it.
    TestGap,
    /// A setting.
    Config,
    /// The environment of the image is at fault: host, network, data, other services.
    Environment,
    /// Nothing was wrong except the measurement.
    Noise,
}

impl Class {
    pub const ALL: [Class; 5] = [
        Class::Image,
        Class::TestGap,
        Class::Config,
        Class::Environment,
        Class::Noise,
    ];

    /// As the form writes it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Class::Image => "image",
            Class::TestGap => "test-gap",
            Class::Config => "config",
            Class::Environment => "environment",
            Class::Noise => "noise",
        }
    }
}

/// What is missing before a halt is lifted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lacking {
    Reason,
    /// The app requires a form.
    Form,
    /// Something in the form that is no part of it.
    Odd(String),
    Whys,
    /// Position from 1.
    EmptyWhy(usize),
    TooManyWhys(usize),
    /// Fewer than five whys, and the form does not state that the root cause is reached.
    Root {
        whys: usize,
    },
    RootWord(String),
    Class,
    ClassWord(String),
    Countermeasure,
    CommitWord(String),
    /// The tracked branch does not have it.
    CommitAway(String),
    /// It was in the release that failed, or is older.
    CommitOld {
        commit: String,
        failed: String,
    },
    /// It changes no file of the tests.
    CommitTestless {
        commit: String,
        globs: Vec<String>,
    },
    /// What it changes of the tests is white space and comments.
    CommitBlank {
        commit: String,
        /// One of those files.
        path: String,
    },
    /// The repository could not be queried.
    CommitUnseen(Failure),
    /// A commit is named, and the image is built by others.
    NoRepository,
    /// The configuration is as it was at the halt.
    ConfigSame,
    /// It is not known how the configuration was at the halt.
    ConfigUnknown,
    /// Only a changed setting makes measurements less noisy.
    NoiseNeedsConfig,
}

/// A halt that a rollout caused and nobody has lifted, as far as the app remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenIncident {
    pub rollout: RolloutId,
    pub target: TargetName,
    pub at: Timestamp,
    /// Of the release that failed; `None`: it is not remembered.
    pub commit: Option<String>,
}

/// A release that an operator took back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorRollback {
    pub at: Timestamp,
    pub by: String,
    pub why: String,
    pub tag: String,
    pub release: RunId,
    /// The rollouts that remove the release from its targets, oldest first: those that were deploying it and turn back,
    /// and those that restore the release before it.
    pub rollouts: Vec<RolloutId>,
}

/// How exposed a halted app is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Exposure {
    /// When the oldest image that one of its targets runs was built; `None`: it is not known.
    pub built: Option<Timestamp>,
    /// Security fixes that the worst of its targets lacks.
    pub security: usize,
}

/// What became of one rollout, out of its journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    pub rollout: RolloutId,
    pub app: AppName,
    pub target: TargetName,
    /// IANA zone its times are shown in.
    pub timezone: String,
    pub tag: String,
    /// Full hex id. `None`: no run of ours built the image.
    pub commit: Option<String>,
    pub irreversible: bool,
    /// It was one of the rollouts after an earlier incident.
    #[serde(default)]
    pub probation: bool,
    pub opened: Timestamp,
    /// `None`: it is under way.
    pub conclusion: Option<RolloutConclusion>,
    pub timeline: Vec<Moment>,
    /// Of the release that failed, against the one before.
    pub change: Option<Change>,
    pub readiness: Vec<Readiness>,
    pub candidates: Vec<Candidate>,
    /// Hooks that ran, in order: one of them may have been a backup.
    pub hooks: Vec<RanHook>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    pub at: Timestamp,
    #[serde(flatten)]
    pub what: Happened,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum Happened {
    Opened,
    Expedited {
        by: String,
    },
    Entered {
        occurrence: Occurrence,
    },
    Suspended {
        closing: Closing,
    },
    /// A step, at its end.
    Step {
        /// What was done.
        step: String,
        /// The container it was done to; `None`: to all of them.
        unit: Option<String>,
        took_ms: u64,
        #[serde(flatten)]
        end: StepEnd,
    },
    /// lowtide ended during it.
    Abandoned {
        step: String,
        unit: Option<String>,
    },
    Baking {
        until: Timestamp,
    },
    GoingBack {
        failure: Failure,
    },
    Ended,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "end")]
pub enum StepEnd {
    Done,
    /// A hook requested a later retry.
    Busy,
    Failed {
        failure: Failure,
    },
}

/// What was found when a container had to prove that it serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    pub unit: String,
    pub which: Which,
    pub took_ms: u64,
    /// `None`: it was ready.
    pub failure: Option<Failure>,
}

/// A new container that was rolled back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    pub unit: String,
    pub exit_code: i64,
    /// The end of its log.
    pub log: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RanHook {
    pub unit: String,
    pub phase: HookPhase,
    pub command: Vec<String>,
    pub at: Timestamp,
    /// `None`: it did well.
    pub failure: Option<Failure>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_written_as_it_is_read() {
        for class in Class::ALL {
            assert_eq!(serde_json::to_value(class).unwrap(), class.word());
        }
    }
}
