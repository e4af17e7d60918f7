//! What GitHub shows of a message: only what concerns the repository's maintainers. A registry that is down says nothing about
//! a commit.

use super::keys::Github;
use super::policy::GithubPolicy;
use crate::channels::channel::{Addressed, Channel, Contacts};
use jiff::{SignedDuration, Timestamp};
use lowtide_model::failure::Fault;
use lowtide_model::github::{GithubLogin, repo_on};
use lowtide_model::message::{Keys, Message, MessageBody};
use lowtide_model::name::{AppName, RolloutId, RunId};
use lowtide_model::run::CommitState;
use lowtide_model::secret::SecretRef;
use serde::{Deserialize, Serialize};

/// GitHub's clock and ours may differ; a day is cheap, as few issues are touched in one.
const SKEW: SignedDuration = SignedDuration::from_hours(24);

/// A place in a repository (`owner/name`) on the GitHub of the configuration in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub repo: String,
    pub post: Post,
}

/// Where on GitHub a notice appears.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Post {
    /// A status of one commit (full hex id).
    Status { sha: String, state: CommitState },
    /// The check run of one run or rollout: made by its first notice, brought up to date by the next one.
    Check { sha: String, of: CheckOf },
    /// A deployment of a commit, by one rollout.
    Deployment {
        sha: String,
        rollout: RolloutId,
        /// `app/target`: targets of two apps in one repository may share a name.
        environment: String,
        state: DeploymentState,
    },
    /// The issue of an incident: opened by its first notice, brought up to date by later ones.
    Issue {
        incident: String,
        /// Nothing about this incident is older.
        since: Timestamp,
    },
    /// Closes each open issue whose incident begins with `incidents`.
    IssueClosed { incidents: String },
    /// A comment on the pull request that brought the commit, if one did.
    PullComment { sha: String },
}

/// What a check run shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckOf {
    Run(RunId),
    /// It took its release back.
    Rollout(RolloutId),
    /// The commit is one of the configuration.
    Configuration,
}

/// How a rollout left its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentState {
    /// It serves.
    Success,
    /// It was rolled back: the deployment before it serves.
    Failure,
    /// It could not be rolled back, or its target is not known to serve.
    Error,
}

impl Channel for GithubPolicy {
    const KEY: &'static str = "github";
    type Keys = Github;
    type Address = Place;

    fn route(&self, message: &Message, contacts: Contacts<'_>) -> Vec<Addressed<Place>> {
        let Some((repo, app)) = contacts.github_repo.zip(message.body.app()) else {
            return self.configuration(message).into_iter().collect();
        };
        let addressed = |(lane, key, post): (Lane, String, Post)| addressed(repo, app, lane, &key, post);
        let mut posts = posts(app, message);
        if self.deployments {
            posts.extend(deployment(app, message));
        }
        posts.extend(self.verdict(message));
        posts.into_iter().map(addressed).collect()
    }

    fn secrets(&self) -> Vec<(&'static str, &SecretRef)> {
        match &self.login {
            GithubLogin::Token(token) => vec![("token", token)],
            GithubLogin::App(app) => vec![("app.key", &app.key)],
        }
    }
}

/// Notices of one lane of an app are delivered in order: a late failure must not cover a newer success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lane {
    Status,
    Runs,
    Pull,
    Halts,
    Deployments,
}

impl Lane {
    fn word(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Runs => "run-failed",
            Self::Pull => "pull",
            Self::Halts => "halt",
            Self::Deployments => "deployment",
        }
    }

    /// Common beginning of all incidents of this lane of an app.
    fn incidents(self, app: &AppName) -> String {
        format!("{}/{app}/", self.word())
    }
}

/// Each post with its lane and what makes it unique.
fn posts(app: &AppName, message: &Message) -> Vec<(Lane, String, Post)> {
    let key = &message.keys.dedup;
    match &message.body {
        MessageBody::RunFailed {
            commit,
            failure,
            first,
            since,
            commit_to_blame,
            ..
        } if failure.fault() == Fault::Repo => {
            let incident = format!("{}{first}", Lane::Runs.incidents(app));
            let mut posts = vec![(Lane::Runs, key.clone(), issue(incident, *since))];
            if let Some(built) = commit.as_ref().filter(|_| *commit_to_blame) {
                let sha = built.commit.id.clone();
                // One comment per commit, whatever its runs fail of.
                posts.push((Lane::Pull, format!("pull/{app}/{sha}"), Post::PullComment { sha }));
            }
            posts
        }
        MessageBody::RunRecovered { .. } => vec![(Lane::Runs, key.clone(), closed(app, Lane::Runs))],
        MessageBody::Halted {
            rollout: Some(rollout), ..
        } => {
            let incident = format!("{}{rollout}", Lane::Halts.incidents(app));
            vec![(Lane::Halts, key.clone(), issue(incident, message.at))]
        }
        MessageBody::Resumed { .. } => vec![(Lane::Halts, key.clone(), closed(app, Lane::Halts))],
        MessageBody::RunFailed { .. }
        | MessageBody::Halted { rollout: None, .. }
        | MessageBody::RunPassed { .. }
        | MessageBody::RunStarted { .. }
        | MessageBody::RunEnded(_)
        | MessageBody::UnfixableUpdates { .. }
        | MessageBody::RolledOut { .. }
        | MessageBody::RolloutRefused { .. }
        | MessageBody::WentBack(_)
        | MessageBody::PromotionFailed(_)
        | MessageBody::Promoted { .. }
        | MessageBody::RolloutWaits(_)
        | MessageBody::RolloutUntimely(_)
        | MessageBody::ConfigRefused { .. }
        | MessageBody::ConfigAccepted { .. }
        | MessageBody::DailyReport(_) => Vec::new(),
    }
}

impl GithubPolicy {
    /// What a commit of the configuration shows, where its repository is on this GitHub.
    fn configuration(&self, message: &Message) -> Option<Addressed<Place>> {
        let (sha, remote, state) = match &message.body {
            MessageBody::ConfigRefused {
                revision,
                commit: Some(commit),
                ..
            } => (revision, &commit.repo, CommitState::Failure),
            MessageBody::ConfigAccepted { revision, repo, .. } => (revision, repo, CommitState::Success),
            MessageBody::ConfigRefused { commit: None, .. }
            | MessageBody::RunStarted { .. }
            | MessageBody::RunEnded(_)
            | MessageBody::RunPassed { .. }
            | MessageBody::RunFailed { .. }
            | MessageBody::RunRecovered { .. }
            | MessageBody::Halted { .. }
            | MessageBody::Resumed { .. }
            | MessageBody::UnfixableUpdates { .. }
            | MessageBody::RolledOut { .. }
            | MessageBody::RolloutRefused { .. }
            | MessageBody::WentBack(_)
            | MessageBody::PromotionFailed(_)
            | MessageBody::Promoted { .. }
            | MessageBody::RolloutWaits(_)
            | MessageBody::RolloutUntimely(_)
            | MessageBody::DailyReport(_) => return None,
        };
        let sha = sha.clone();
        let post = if self.has_checks() {
            let of = CheckOf::Configuration;
            Post::Check { sha, of }
        } else {
            Post::Status { sha, state }
        };
        Some(Addressed {
            keys: Keys {
                dedup: format!("github/{}", message.keys.dedup),
                thread: "github/configuration".to_owned(),
            },
            address: Place {
                repo: repo_on(&self.api, remote)?,
                post,
            },
        })
    }

    /// What a commit shows: check runs of an App, which say what is under way and what says nothing of the commit; statuses
    /// of a token, which has no word for either.
    fn verdict(&self, message: &Message) -> Option<(Lane, String, Post)> {
        let key = &message.keys.dedup;
        let checks = self.has_checks();
        match &message.body {
            MessageBody::RunStarted { run, commit, .. } if checks => Some(check(commit, CheckOf::Run(*run), key)),
            MessageBody::RunEnded(ended) if checks => Some(check(&ended.built.commit.id, CheckOf::Run(ended.run), key)),
            MessageBody::RunPassed { commit, .. } if !checks => Some(status(commit, CommitState::Success, key)),
            MessageBody::RunFailed {
                commit: Some(built),
                failure,
                ..
            } if !checks && failure.fault() == Fault::Repo => Some(status(&built.commit.id, CommitState::Failure, key)),
            // A commit whose image had to be taken back is no success, though it passed its tests. A host's trouble says
            // nothing of it.
            MessageBody::Halted {
                rollout: Some(rollout),
                incident: Some(incident),
                reason,
                ..
            } if reason.fault() == Some(Fault::Repo) => {
                let sha = incident.commit.as_ref()?;
                Some(if checks {
                    check(sha, CheckOf::Rollout(*rollout), key)
                } else {
                    status(sha, CommitState::Failure, key)
                })
            }
            MessageBody::RunStarted { .. }
            | MessageBody::RunEnded(_)
            | MessageBody::RunPassed { .. }
            | MessageBody::RunFailed { .. }
            | MessageBody::RunRecovered { .. }
            | MessageBody::Halted { .. }
            | MessageBody::Resumed { .. }
            | MessageBody::UnfixableUpdates { .. }
            | MessageBody::RolledOut { .. }
            | MessageBody::RolloutRefused { .. }
            | MessageBody::WentBack(_)
            | MessageBody::PromotionFailed(_)
            | MessageBody::Promoted { .. }
            | MessageBody::RolloutWaits(_)
            | MessageBody::RolloutUntimely(_)
            | MessageBody::ConfigRefused { .. }
            | MessageBody::ConfigAccepted { .. }
            | MessageBody::DailyReport(_) => None,
        }
    }
}

/// What a rollout that ended says of its commit. One that was refused deployed nothing.
fn deployment(app: &AppName, message: &Message) -> Option<(Lane, String, Post)> {
    let (sha, target, rollout, state) = match &message.body {
        MessageBody::RolledOut {
            commit,
            target,
            rollout,
            ..
        } => (commit, target, *rollout, DeploymentState::Success),
        MessageBody::WentBack(back) => (&back.commit, &back.target, back.rollout, DeploymentState::Success),
        MessageBody::Halted {
            rollout: Some(rollout),
            target: Some(target),
            incident: Some(incident),
            back,
            ..
        } => {
            let state = if *back {
                DeploymentState::Failure
            } else {
                DeploymentState::Error
            };
            (&incident.commit, target, *rollout, state)
        }
        MessageBody::Halted { .. }
        | MessageBody::RunStarted { .. }
        | MessageBody::RunEnded(_)
        | MessageBody::RunPassed { .. }
        | MessageBody::RunFailed { .. }
        | MessageBody::RunRecovered { .. }
        | MessageBody::Resumed { .. }
        | MessageBody::UnfixableUpdates { .. }
        | MessageBody::RolloutRefused { .. }
        | MessageBody::PromotionFailed(_)
        | MessageBody::Promoted { .. }
        | MessageBody::RolloutWaits(_)
        | MessageBody::RolloutUntimely(_)
        | MessageBody::ConfigRefused { .. }
        | MessageBody::ConfigAccepted { .. }
        | MessageBody::DailyReport(_) => return None,
    };
    let post = Post::Deployment {
        sha: sha.clone()?,
        rollout,
        environment: format!("{app}/{target}"),
        state,
    };
    Some((Lane::Deployments, format!("deployment/{}", message.keys.dedup), post))
}

fn check(sha: &str, of: CheckOf, key: &str) -> (Lane, String, Post) {
    let post = Post::Check {
        sha: sha.to_owned(),
        of,
    };
    (Lane::Status, format!("check/{key}"), post)
}

fn issue(incident: String, since: Timestamp) -> Post {
    Post::Issue {
        incident,
        since: since.saturating_sub(SKEW).unwrap_or(since),
    }
}

fn closed(app: &AppName, lane: Lane) -> Post {
    Post::IssueClosed {
        incidents: lane.incidents(app),
    }
}

/// A cause that lasts over several commits gives each of them its status.
fn status(sha: &str, state: CommitState, key: &str) -> (Lane, String, Post) {
    let post = Post::Status {
        sha: sha.to_owned(),
        state,
    };
    (Lane::Status, format!("status/{sha}/{key}"), post)
}

fn addressed(repo: &str, app: &AppName, lane: Lane, key: &str, post: Post) -> Addressed<Place> {
    Addressed {
        keys: Keys {
            dedup: format!("github/{key}"),
            thread: format!("github/{}/{app}", lane.word()),
        },
        address: Place {
            repo: repo.to_owned(),
            post,
        },
    }
}
