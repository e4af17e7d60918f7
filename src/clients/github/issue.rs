//! Issues, their comments, and our label.

use super::connect::Github;
use super::error::GithubError;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

/// On every issue of ours: a human filter, and how they are found again.
pub const LABEL: &str = "lowtide";
const LABEL_COLOUR: &str = "1d76db";
const LABEL_WORDS: &str = "Opened and closed by lowtide, which keeps this repository's image fresh";

/// An issue as far as it concerns us.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Issue {
    pub number: u64,
    pub state: IssueState,
    pub body: Option<String>,
    #[serde(default)]
    labels: Vec<Label>,
    /// Lists of issues hold pull requests as well; those have this.
    pull_request: Option<PullLink>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Label {
    name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct PullLink {}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IssueState {
    Open,
    Closed,
}

/// Which of our issues are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    Open,
    /// Open or closed, touched since.
    Since(Timestamp),
}

impl Issue {
    #[must_use]
    pub fn is_labelled(&self) -> bool {
        self.labels.iter().any(|label| label.name.eq_ignore_ascii_case(LABEL))
    }

    /// The first line of its body: where our marker stands.
    #[must_use]
    pub fn first_line(&self) -> &str {
        first_line(self.body.as_deref())
    }

    /// The second line of the body: the marker of the notice that the issue shows.
    #[must_use]
    pub fn second_line(&self) -> &str {
        let body = self.body.as_deref().unwrap_or_default();
        body.lines().nth(1).unwrap_or_default().trim()
    }
}

#[derive(Debug, Deserialize)]
struct Comment {
    body: Option<String>,
}

/// A response that says no more than that it was done.
#[derive(Debug, Deserialize)]
struct Done {}

impl Github {
    /// Issues with our label. A pull request that someone labelled so is not among them.
    ///
    /// # Errors
    /// All of [`GithubError`]; nothing is left out silently.
    pub async fn issues(&self, repo: &str, listed: Listed) -> Result<Vec<Issue>, GithubError> {
        let what = format!("list the issues of {repo}");
        let path = "/issues";
        let mut query = vec![("labels", LABEL)];
        let text;
        match listed {
            Listed::Open => query.push(("state", "open")),
            Listed::Since(since) => {
                text = since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
                query.extend([("state", "all"), ("since", text.as_str())]);
            }
        }
        let mut issues: Vec<Issue> = self.list(&what, repo, path, &query).await?;
        issues.retain(|issue| issue.pull_request.is_none());
        Ok(issues)
    }

    /// `None`: it was deleted, or moved to another repository.
    ///
    /// # Errors
    /// All of [`GithubError`] but `NotFound` and `Gone`.
    pub async fn issue(&self, repo: &str, number: u64) -> Result<Option<Issue>, GithubError> {
        let what = format!("read issue {number} of {repo}");
        let path = format!("/issues/{number}");
        match self.get(&what, repo, &path, &[(); 0]).await {
            Ok(issue) => Ok(Some(issue)),
            Err(GithubError::NotFound { .. } | GithubError::Gone { .. } | GithubError::Moved { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the new issue. If the token may not set labels, GitHub silently drops ours, and only the number
    /// identifies the issue.
    ///
    /// # Errors
    /// All of [`GithubError`].
    pub async fn create_issue(&self, repo: &str, title: &str, body: &str) -> Result<Issue, GithubError> {
        let what = format!("open an issue in {repo}");
        let issue = json!({ "title": title, "body": body, "labels": [LABEL] });
        self.post(&what, repo, "/issues", &issue).await
    }

    /// New words for an open issue; a closed one is opened again.
    ///
    /// # Errors
    /// All of [`GithubError`].
    pub async fn edit_issue(&self, repo: &str, number: u64, title: &str, body: &str) -> Result<(), GithubError> {
        let change = json!({ "title": title, "body": body, "state": "open" });
        self.change_issue(repo, number, &change).await
    }

    /// # Errors
    /// All of [`GithubError`].
    pub async fn close_issue(&self, repo: &str, number: u64) -> Result<(), GithubError> {
        let change = json!({ "state": "closed", "state_reason": "completed" });
        self.change_issue(repo, number, &change).await
    }

    async fn change_issue(&self, repo: &str, number: u64, change: &serde_json::Value) -> Result<(), GithubError> {
        let what = format!("change issue {number} of {repo}");
        let path = format!("/issues/{number}");
        let Done {} = self.patch(&what, repo, &path, change).await?;
        Ok(())
    }

    /// Does a comment of the issue (or pull request) begin with this line?
    ///
    /// # Errors
    /// All of [`GithubError`].
    pub async fn has_comment(&self, repo: &str, number: u64, first: &str) -> Result<bool, GithubError> {
        let what = format!("list the comments of issue {number} of {repo}");
        let path = format!("/issues/{number}/comments");
        let comments: Vec<Comment> = self.list(&what, repo, &path, &[]).await?;
        Ok(comments.iter().any(|c| first_line(c.body.as_deref()) == first))
    }

    /// On an issue or a pull request.
    ///
    /// # Errors
    /// All of [`GithubError`].
    pub async fn comment(&self, repo: &str, number: u64, body: &str) -> Result<(), GithubError> {
        let what = format!("comment on {repo}#{number}");
        let path = format!("/issues/{number}/comments");
        let Done {} = self.post(&what, repo, &path, &json!({ "body": body })).await?;
        Ok(())
    }

    /// Makes our label, unless it is there.
    ///
    /// # Errors
    /// All of [`GithubError`].
    pub async fn ensure_label(&self, repo: &str) -> Result<(), GithubError> {
        let what = format!("read the label {LABEL} of {repo}");
        let found: Result<Done, _> = self.get(&what, repo, &format!("/labels/{LABEL}"), &[(); 0]).await;
        match found {
            Ok(Done {}) => return Ok(()),
            Err(GithubError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        let what = format!("make the label {LABEL} in {repo}");
        let label = json!({ "name": LABEL, "color": LABEL_COLOUR, "description": LABEL_WORDS });
        let Done {} = self.post(&what, repo, "/labels", &label).await?;
        Ok(())
    }
}

fn first_line(body: Option<&str>) -> &str {
    body.and_then(|body| body.lines().next()).unwrap_or_default().trim()
}
