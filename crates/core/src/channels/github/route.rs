//! What GitHub shows of a message: only what concerns the repository's maintainers. A registry that is down says nothing about
//! a commit.

use super::keys::Github;
use super::policy::GithubPolicy;
use crate::channels::channel::{Addressed, Channel, Contacts};
use jiff::{SignedDuration, Timestamp};
use lowtide_model::failure::Fault;
use lowtide_model::message::{Keys, Message, MessageBody};
use lowtide_model::name::AppName;
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

impl Channel for GithubPolicy {
    const KEY: &'static str = "github";
    type Keys = Github;
    type Address = Place;

    fn route(&self, message: &Message, contacts: Contacts<'_>) -> Vec<Addressed<Place>> {
        let Some((repo, app)) = contacts.github_repo.zip(message.body.app()) else {
            return Vec::new();
        };
        let addressed = |(lane, key, post): (Lane, String, Post)| addressed(repo, app, lane, &key, post);
        posts(app, message).into_iter().map(addressed).collect()
    }

    fn secrets(&self) -> Vec<(&'static str, &SecretRef)> {
        vec![("token", &self.token)]
    }
}

/// Notices of one lane of an app are delivered in order: a late failure must not cover a newer success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lane {
    Status,
    Runs,
    Pull,
    Halts,
}

impl Lane {
    fn word(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Runs => "run-failed",
            Self::Pull => "pull",
            Self::Halts => "halt",
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
            if let Some(built) = commit {
                let sha = &built.commit.id;
                posts.push(status(sha, CommitState::Failure, key));
                if *commit_to_blame {
                    // One comment per commit, whatever its runs fail of.
                    posts.push((
                        Lane::Pull,
                        format!("pull/{app}/{sha}"),
                        Post::PullComment { sha: sha.clone() },
                    ));
                }
            }
            posts
        }
        MessageBody::RunRecovered { .. } => vec![(Lane::Runs, key.clone(), closed(app, Lane::Runs))],
        MessageBody::RunPassed { commit, .. } => vec![status(commit, CommitState::Success, key)],
        MessageBody::Halted {
            rollout: Some(rollout), ..
        } => {
            let incident = format!("{}{rollout}", Lane::Halts.incidents(app));
            vec![(Lane::Halts, key.clone(), issue(incident, message.at))]
        }
        MessageBody::Resumed { .. } => vec![(Lane::Halts, key.clone(), closed(app, Lane::Halts))],
        MessageBody::RunFailed { .. }
        | MessageBody::Halted { rollout: None, .. }
        | MessageBody::UnfixableUpdates { .. }
        | MessageBody::RolledOut { .. }
        | MessageBody::RolloutRefused { .. }
        | MessageBody::WentBack(_)
        | MessageBody::PromotionFailed(_)
        | MessageBody::Promoted { .. }
        | MessageBody::RolloutWaits(_)
        | MessageBody::RolloutUntimely(_)
        | MessageBody::ConfigRefused { .. }
        | MessageBody::DailyReport(_) => Vec::new(),
    }
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
