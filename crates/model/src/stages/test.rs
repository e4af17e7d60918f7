//! *test*: the repository's own tests inside the candidate, then one start in the mode that ships.

use super::bootstrap::Bootstrapped;
use crate::image::ImageId;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Test {
    pub image: ImageId,
    /// Position in the app's rounds of tests; 0 where it has none.
    pub round: u16,
    /// `None`: the app has no tests; only the start in production mode is proven.
    pub bootstrapped: Option<Bootstrapped>,
    pub production: Production,
}

/// Is the image started once as it ships?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Production {
    Start,
    /// A base of other images that has no command.
    HasNoCommand,
    /// A later round does, or it was done before the release.
    NotNow,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tested {
    pub steps: Vec<StepResult>,
    /// `None`: no JUnit files were requested.
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
    /// Where its report says that it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<TestPlace>,
}

/// Where a test stands, as its report writes it: a path inside the container, or from a folder that the report does not
/// name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestPlace {
    pub file: String,
    /// Counted from 1.
    pub line: u32,
}

impl FailedTest {
    /// An assertion with what was expected and what was there; the rest of a trace is in the report.
    pub const LINES: usize = 4;
}

impl TestReport {
    /// All rounds together; `None`: none of them wrote a report.
    #[must_use]
    pub fn of_rounds(rounds: &[Tested]) -> Option<Self> {
        let reports = rounds.iter().filter_map(|tested| tested.report.clone());
        reports.reduce(|mut all, one| {
            all.passed += one.passed;
            all.skipped += one.skipped;
            all.failed.extend(one.failed);
            all.failed.truncate(Self::NAMES);
            all.failed_count += one.failed_count;
            all
        })
    }

    /// A mail that names more failing tests than this helps nobody.
    pub const NAMES: usize = 50;
}
