//! A rollout that ended, as a deployment of its commit.

use super::markdown;
use crate::clients::github::connect::Github;
use crate::clients::github::deployment::NewDeploymentStatus;
use crate::clients::github::error::GithubError;
use lowtide_core::channels::github::route::DeploymentState;
use lowtide_core::channels::list::Notice;
use lowtide_core::report::link::Place;
use lowtide_core::report::message_page::Sender;
use lowtide_model::name::RolloutId;

/// # Errors
/// All of [`GithubError`].
pub(super) async fn post(
    github: &Github,
    notice: &Notice,
    (repo, sha, environment): (&str, &str, &str),
    (rollout, state): (RolloutId, DeploymentState),
    sender: &Sender,
) -> Result<(), GithubError> {
    let id = github.deployment(repo, sha, environment, &rollout.to_string()).await?;
    let url = sender
        .public_url
        .as_ref()
        .map(|url| url.page(&Place::Rollout(rollout).path()));
    let words = markdown::status(notice);
    let status = NewDeploymentStatus {
        // GitHub marks the environment's earlier deployments as inactive once one succeeds.
        state: match state {
            DeploymentState::Success => "success",
            DeploymentState::Failure => "failure",
            DeploymentState::Error => "error",
        },
        description: &words,
        log_url: url.as_deref(),
    };
    github.deployment_status(repo, id, &status).await
}
