//! Deployments: which commit an environment runs, in the repository's own pages.

use super::connect::{Github, PAGE};
use super::error::GithubError;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Deployment {
    id: u64,
    /// What we gave it; GitHub has it as an object or as text.
    payload: Value,
}

/// What is said of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewDeploymentStatus<'a> {
    pub state: &'static str,
    /// At most 140 characters.
    pub description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_url: Option<&'a str>,
}

#[derive(Debug, Deserialize)]
struct Status {
    state: String,
}

#[derive(Debug, Deserialize)]
struct Done {}

impl Github {
    /// The deployment of a rollout, made unless it is there. Returns its id.
    ///
    /// # Errors
    /// All of [`GithubError`].
    pub async fn deployment(
        &self,
        repo: &str,
        sha: &str,
        environment: &str,
        rollout: &str,
    ) -> Result<u64, GithubError> {
        let what = format!("read the deployments of {repo}@{sha}");
        let size = PAGE.to_string();
        // The newest come first.
        let query = [("sha", sha), ("environment", environment), ("per_page", size.as_str())];
        let known: Vec<Deployment> = self.get(&what, repo, "/deployments", &query).await?;
        if let Some(known) = known.iter().find(|known| known.rollout().as_deref() == Some(rollout)) {
            return Ok(known.id);
        }
        let what = format!("make a deployment of {repo}@{sha}");
        let deployment = json!({
            "ref": sha,
            "environment": environment,
            "description": "Rolled out by lowtide",
            // It runs already: nothing is merged for it, and no check may refuse it.
            "auto_merge": false,
            "required_contexts": [],
            "payload": { "lowtide_rollout": rollout },
        });
        let made: Deployment = self.post(&what, repo, "/deployments", &deployment).await?;
        Ok(made.id)
    }

    /// Sets a deployment's status, unless that is its newest one.
    ///
    /// # Errors
    /// All of [`GithubError`].
    pub async fn deployment_status(
        &self,
        repo: &str,
        id: u64,
        status: &NewDeploymentStatus<'_>,
    ) -> Result<(), GithubError> {
        let what = format!("read a deployment of {repo}");
        let path = format!("/deployments/{id}/statuses");
        let known: Vec<Status> = self.get(&what, repo, &path, &[("per_page", "1")]).await?;
        if known.first().is_some_and(|known| known.state == status.state) {
            return Ok(());
        }
        let what = format!("set the status of a deployment of {repo}");
        let Done {} = self.post(&what, repo, &path, status).await?;
        Ok(())
    }
}

impl Deployment {
    fn rollout(&self) -> Option<String> {
        let parsed;
        let payload = match &self.payload {
            Value::String(text) => {
                parsed = serde_json::from_str(text).unwrap_or(Value::Null);
                &parsed
            }
            payload @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => payload,
        };
        payload["lowtide_rollout"].as_str().map(ToOwned::to_owned)
    }
}
