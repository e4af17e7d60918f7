//! A run: one attempt to make one app fresh. Its events are the truth; [`crate::decide::run`] folds them.

use crate::failure::{Failure, SkipReason};
use crate::name::RunId;
use crate::release::Release;
use crate::stages::bootstrap::{Bootstrap, Bootstrapped};
use crate::stages::build::{Build, Built};
use crate::stages::inspect::{Inspect, Inspected};
use crate::stages::publish::{Publish, Published};
use crate::stages::pull::{Pull, Pulled};
use crate::stages::resolve::{Resolve, Resolved};
use crate::stages::test::{Test, Tested};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Why a run started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Trigger {
    Schedule {
        slot: Timestamp,
    },
    ParentReleased {
        parent: String,
    },
    Manual {
        by: String,
        /// Build though nothing has moved.
        #[serde(default)]
        rebuild: bool,
    },
    Retry {
        of: RunId,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Resolve,
    Build,
    Pull,
    Inspect,
    Bootstrap,
    Test,
    Publish,
}

impl Stage {
    /// In the order they run.
    pub const ALL: [Stage; 7] = [
        Stage::Resolve,
        Stage::Build,
        Stage::Pull,
        Stage::Inspect,
        Stage::Bootstrap,
        Stage::Test,
        Stage::Publish,
    ];
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Resolve => "resolve",
            Stage::Build => "build",
            Stage::Pull => "pull",
            Stage::Inspect => "inspect",
            Stage::Bootstrap => "bootstrap",
            Stage::Test => "test",
            Stage::Publish => "publish",
        })
    }
}

/// What the driver performs; journalled with all its parameters before it begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "stage")]
pub enum Effect {
    Resolve(Resolve),
    Build(Build),
    Pull(Pull),
    Inspect(Inspect),
    Bootstrap(Bootstrap),
    Test(Test),
    Publish(Publish),
}

impl Effect {
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self {
            Effect::Resolve(_) => Stage::Resolve,
            Effect::Build(_) => Stage::Build,
            Effect::Pull(_) => Stage::Pull,
            Effect::Inspect(_) => Stage::Inspect,
            Effect::Bootstrap(_) => Stage::Bootstrap,
            Effect::Test(_) => Stage::Test,
            Effect::Publish(_) => Stage::Publish,
        }
    }
}

/// How an effect ended. An expected bad result is a value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum Outcome {
    Resolved(Resolved),
    Built(Built),
    Pulled(Pulled),
    Inspected(Inspected),
    Bootstrapped(Bootstrapped),
    Tested(Tested),
    Published(Published),
    Failed(Failure),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "conclusion")]
pub enum Conclusion {
    Unchanged {
        why: SkipReason,
    },
    Released {
        release: Release,
    },
    /// Nothing would be built, and the last release has passed its tests again, beside images that had moved.
    Retested {
        /// As [`Release::sidecars`].
        sidecars: BTreeMap<String, String>,
    },
    /// *observe* mode: all that a release needs was proven, nothing was pushed.
    Observed {
        release: Release,
    },
    Failed {
        stage: Stage,
        failure: Failure,
    },
    Cancelled {
        by: String,
    },
}

/// What a run says of the commit it built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommitState {
    Success,
    Failure,
}

impl Conclusion {
    /// Every word that [`Conclusion::word`] has.
    pub const WORDS: [&str; 6] = ["unchanged", "retested", "released", "observed", "failed", "cancelled"];

    /// As the journal's JSON and the metrics have it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Conclusion::Unchanged { .. } => "unchanged",
            Conclusion::Retested { .. } => "retested",
            Conclusion::Released { .. } => "released",
            Conclusion::Observed { .. } => "observed",
            Conclusion::Failed { .. } => "failed",
            Conclusion::Cancelled { .. } => "cancelled",
        }
    }
}
