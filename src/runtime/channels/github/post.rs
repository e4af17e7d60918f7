//! Delivers one notice to GitHub. A killed delivery may have posted without recording it, so every action first looks
//! for our own markers; where it cannot look, it posts nothing.

use super::{check, deployment, markdown};
use crate::clients::github::commit::{NewStatus, state_text};
use crate::clients::github::connect::Github;
use crate::clients::github::error::GithubError;
use crate::clients::github::issue::{Issue, IssueState, Listed};
use jiff::Timestamp;
use lowtide_core::channels::github::route::{Place, Post};
use lowtide_core::channels::list::Notice;
use lowtide_core::report::link::Place as Page;
use lowtide_core::report::message_page::Sender;
use lowtide_model::name::AppName;
use tracing::warn;

/// Posts a notice at its place. `known` is the issue's number as an earlier delivery returned it; the number to remember
/// is returned.
///
/// # Errors
/// All of [`GithubError`]; the same notice may then be delivered again.
pub async fn post(
    github: &Github,
    notice: &Notice,
    Place { repo, post }: &Place,
    known: Option<u64>,
    sender: &Sender,
) -> Result<Option<u64>, GithubError> {
    match post {
        Post::Status { sha, state } => {
            let (name, words) = (name(notice), markdown::status(notice));
            let url = sender
                .public_url
                .as_ref()
                .map(|url| url.page(&Page::of(&notice.body).path()));
            let status = NewStatus {
                state: state_text(*state),
                context: &name,
                description: &words,
                target_url: url.as_deref(),
            };
            let shown = github.status(repo, sha, &name).await?;
            let same =
                shown.is_some_and(|s| s.state == status.state && s.description.as_deref() == Some(words.as_str()));
            if !same {
                github.post_status(repo, sha, &status).await?;
            }
            Ok(None)
        }
        Post::Check { sha, of } => {
            check::post(github, notice, (repo, sha, *of), &name(notice), sender).await?;
            Ok(None)
        }
        Post::Deployment {
            sha,
            rollout,
            environment,
            state,
        } => {
            deployment::post(github, notice, (repo, sha, environment), (*rollout, *state), sender).await?;
            Ok(None)
        }
        Post::Issue { incident, since } => {
            let incident = Incident {
                github,
                notice,
                repo,
                marker: markdown::marker(incident),
                words: markdown::issue(notice, incident, sender),
            };
            incident.publish(*since, known, sender).await.map(Some)
        }
        Post::IssueClosed { incidents } => {
            let begins = markdown::marker(incidents);
            let begins = begins.trim_end_matches(" -->");
            let comment = markdown::comment(notice, sender);
            for issue in open(github, repo, begins, known).await? {
                comment_once(github, notice, repo, issue.number, &comment).await?;
                github.close_issue(repo, issue.number).await?;
            }
            Ok(None)
        }
        Post::PullComment { sha } => {
            if let Some(number) = github.pull_of(repo, sha).await? {
                comment_once(github, notice, repo, number, &markdown::comment(notice, sender)).await?;
            }
            Ok(None)
        }
    }
}

/// Of a status or a check run: one per app, as several may be built from one repository. The configuration's is none that an
/// app can have.
fn name(notice: &Notice) -> String {
    let app = notice.body.app().map_or("(configuration)", AppName::as_str);
    format!("lowtide/{app}")
}

struct Incident<'a> {
    github: &'a Github,
    notice: &'a Notice,
    repo: &'a str,
    marker: String,
    words: markdown::Issue,
}

impl Incident<'_> {
    async fn publish(&self, since: Timestamp, known: Option<u64>, sender: &Sender) -> Result<u64, GithubError> {
        let Self {
            github, repo, words, ..
        } = self;
        let Some(issue) = self.find(since, known).await? else {
            github.ensure_label(repo).await?;
            // If lowtide is killed before the delivery is recorded, the next delivery finds the issue by its marker.
            let issue = github.create_issue(repo, &words.title, &words.body).await?;
            if !issue.is_labelled() {
                warn!(
                    repo,
                    number = issue.number,
                    "GitHub dropped our label: may the token set labels?"
                );
            }
            return Ok(issue.number);
        };
        if issue.second_line() != markdown::marker(&self.notice.keys.dedup) {
            let comment = markdown::comment(self.notice, sender);
            comment_once(github, self.notice, repo, issue.number, &comment).await?;
            // Last: the body's second line says that the comment is there.
            github.edit_issue(repo, issue.number, &words.title, &words.body).await?;
        }
        Ok(issue.number)
    }

    async fn find(&self, since: Timestamp, known: Option<u64>) -> Result<Option<Issue>, GithubError> {
        if let Some(number) = known
            && let Some(issue) = self.github.issue(self.repo, number).await?
            && issue.first_line() == self.marker
        {
            return Ok(Some(issue));
        }
        let issues = self.github.issues(self.repo, Listed::Since(since)).await?;
        Ok(issues.into_iter().find(|issue| issue.first_line() == self.marker))
    }
}

/// Open issues whose marker starts with `begins`: those with our label, and the remembered one (`known`).
async fn open(github: &Github, repo: &str, begins: &str, known: Option<u64>) -> Result<Vec<Issue>, GithubError> {
    let mut issues = github.issues(repo, Listed::Open).await?;
    if let Some(number) = known
        && issues.iter().all(|issue| issue.number != number)
        && let Some(issue) = github.issue(repo, number).await?
    {
        issues.push(issue);
    }
    issues.retain(|issue| issue.state == IssueState::Open && issue.first_line().starts_with(begins));
    Ok(issues)
}

async fn comment_once(
    github: &Github,
    notice: &Notice,
    repo: &str,
    number: u64,
    comment: &str,
) -> Result<(), GithubError> {
    if !github
        .has_comment(repo, number, &markdown::marker(&notice.keys.dedup))
        .await?
    {
        github.comment(repo, number, comment).await?;
    }
    Ok(())
}
