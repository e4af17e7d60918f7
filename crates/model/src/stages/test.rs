//! *test*: the repository's own tests inside the candidate, then one start in the mode that ships.

use super::bootstrap::Bootstrapped;
use crate::image::ImageId;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Test {
    pub image: ImageId,
    /// `None`: the app has no tests; only the start in production mode is proven.
    pub bootstrapped: Option<Bootstrapped>,
    /// Is it started once as it ships? A base without a command is not.
    pub starts: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tested {
    pub steps: Vec<StepResult>,
    /// `None`: no JUnit files were asked for.
    pub report: Option<TestReport>,
    /// Time until ready in production mode, milliseconds; `None`: it was not started.
    pub production_ready_ms: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepResult {
    /// As a person would write it: `exec /scripts/runTests.sh`.
    pub step: String,
    pub took_ms: u64,
}

/// Counts and names out of JUnit files.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TestReport {
    pub passed: usize,
    pub skipped: usize,
    /// At most [`TestReport::NAMES`].
    pub failed: Vec<FailedTest>,
    pub failed_count: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FailedTest {
    /// `classname.name`
    pub name: String,
    /// What its report says of the failure: the first lines, at most [`FailedTest::LINES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub message: Vec<String>,
}

impl FailedTest {
    /// An assertion with what was expected and what was there; the rest of a trace is in the report.
    pub const LINES: usize = 4;
}

impl TestReport {
    /// A mail that names more failing tests than this helps nobody.
    pub const NAMES: usize = 50;
}
