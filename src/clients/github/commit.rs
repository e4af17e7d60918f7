//! Commits: their statuses, and the pull request that brought them.

use super::connect::{Github, PAGE};
use super::error::GithubError;
use lowtide_model::run::CommitState;
use serde::{Deserialize, Serialize};

/// A status to be set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewStatus<'a> {
    pub state: &'static str,
    pub context: &'a str,
    pub description: &'a str,
    /// The page about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_url: Option<&'a str>,
}

/// The newest status of one context.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Status {
    pub context: String,
    /// `success`, `failure`, `pending` or `error`.
    pub state: String,
    pub description: Option<String>,
    pub target_url: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Pull {
    number: u64,
    merged_at: Option<String>,
    merge_commit_sha: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Done {}

/// As the API writes it.
#[must_use]
pub fn state_text(state: CommitState) -> &'static str {
    match state {
        CommitState::Success => "success",
        CommitState::Failure => "failure",
    }
}

impl Github {
    /// The newest status of a context, among the commit's newest hundred.
    ///
    /// # Errors
    /// All of [`GithubError`].
    pub async fn status(&self, repo: &str, sha: &str, context: &str) -> Result<Option<Status>, GithubError> {
        let what = format!("read the statuses of {repo}@{sha}");
        let path = format!("/commits/{sha}/statuses");
        let size = PAGE.to_string();
        // The newest come first. Contexts differ without regard to case.
        let statuses: Vec<Status> = self.get(&what, repo, &path, &[("per_page", size.as_str())]).await?;
        Ok(statuses.into_iter().find(|s| s.context.eq_ignore_ascii_case(context)))
    }

    /// # Errors
    /// All of [`GithubError`].
    pub async fn post_status(&self, repo: &str, sha: &str, status: &NewStatus<'_>) -> Result<(), GithubError> {
        let what = format!("set a status of {repo}@{sha}");
        let Done {} = self.post(&what, repo, &format!("/statuses/{sha}"), status).await?;
        Ok(())
    }

    /// The merged pull request that brought a commit: the one it is the merge of, or else the first one merged.
    ///
    /// # Errors
    /// All of [`GithubError`].
    pub async fn pull_of(&self, repo: &str, sha: &str) -> Result<Option<u64>, GithubError> {
        let what = format!("find the pull request of {repo}@{sha}");
        let path = format!("/commits/{sha}/pulls");
        let mut pulls: Vec<Pull> = self.list(&what, repo, &path, &[]).await?;
        pulls.retain(|pull| pull.merged_at.is_some());
        // Times of RFC 3339 in UTC with seconds sort as text.
        pulls.sort_by(|a, b| a.merged_at.cmp(&b.merged_at));
        let merge = pulls.iter().find(|pull| pull.merge_commit_sha.as_deref() == Some(sha));
        Ok(merge.or_else(|| pulls.first()).map(|pull| pull.number))
    }
}
