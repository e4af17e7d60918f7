//! Check runs: what a commit shows of a run while it is under way, and afterwards with the lines that fail. Only a GitHub App
//! may write them.

use super::connect::Github;
use super::error::GithubError;
use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

/// Annotations of one request; GitHub's limit.
pub const ANNOTATIONS: usize = 50;

/// A check run as GitHub has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CheckRun {
    pub id: u64,
    pub external_id: Option<String>,
    pub status: String,
    /// How many annotations GitHub has of it.
    pub output: CheckOutput,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CheckOutput {
    pub annotations_count: usize,
}

/// What is written of a check run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewCheck<'a> {
    pub name: &'a str,
    /// By which we find it again.
    pub external_id: &'a str,
    pub status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conclusion: Option<&'static str>,
    #[serde(serialize_with = "whole_seconds")]
    pub started_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "whole_seconds_of")]
    pub completed_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details_url: Option<&'a str>,
    pub output: NewOutput<'a>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewOutput<'a> {
    pub title: &'a str,
    /// Markdown, at most 65,535 characters, as is `text`.
    pub summary: &'a str,
    pub text: &'a str,
    /// At most [`ANNOTATIONS`]; GitHub adds them to those that it has.
    #[serde(skip_serializing_if = "<[Annotation]>::is_empty")]
    pub annotations: &'a [Annotation],
}

/// A remark at a line of the commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Annotation {
    pub path: String,
    pub start_line: u32,
    pub end_line: u32,
    pub annotation_level: &'static str,
    pub title: String,
    pub message: String,
}

#[derive(Debug, Deserialize)]
struct Listed {
    check_runs: Vec<CheckRun>,
}

#[derive(Serialize)]
struct Create<'a> {
    head_sha: &'a str,
    #[serde(flatten)]
    check: &'a NewCheck<'a>,
}

impl Github {
    /// Our check run of this id, among the commit's newest hundred of that name.
    ///
    /// # Errors
    /// All of [`GithubError`].
    pub async fn check(&self, repo: &str, sha: &str, name: &str, id: &str) -> Result<Option<CheckRun>, GithubError> {
        let what = format!("read the check runs of {repo}@{sha}");
        let query = [("check_name", name), ("filter", "all"), ("per_page", "100")];
        let Listed { check_runs } = self
            .get(&what, repo, &format!("/commits/{sha}/check-runs"), &query)
            .await?;
        Ok(check_runs
            .into_iter()
            .find(|check| check.external_id.as_deref() == Some(id)))
    }

    /// # Errors
    /// All of [`GithubError`].
    pub async fn create_check(&self, repo: &str, sha: &str, check: &NewCheck<'_>) -> Result<CheckRun, GithubError> {
        let what = format!("make a check run of {repo}@{sha}");
        let check = Create { head_sha: sha, check };
        self.post(&what, repo, "/check-runs", &check).await
    }

    /// # Errors
    /// All of [`GithubError`].
    pub async fn update_check(&self, repo: &str, id: u64, check: &NewCheck<'_>) -> Result<CheckRun, GithubError> {
        let what = format!("change a check run of {repo}");
        self.patch(&what, repo, &format!("/check-runs/{id}"), check).await
    }
}

/// As GitHub writes times itself.
fn whole_seconds<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&at.strftime("%Y-%m-%dT%H:%M:%SZ"))
}

#[expect(clippy::ref_option, reason = "serde hands over the field")]
fn whole_seconds_of<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => whole_seconds(at, serializer),
        None => serializer.serialize_none(),
    }
}
