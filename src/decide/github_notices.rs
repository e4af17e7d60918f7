//! Posts to GitHub about runs and rollouts: a status per commit, an issue per incident, a comment on the pull request
//! that is to blame. Only what concerns the repository's maintainers is posted: a registry that is down says nothing
//! about a commit.

use super::app_state::AppState;
use super::halt::Lifted;
use super::notify;
use super::run::RunState;
use super::{consequences, rollout::RolloutState};
use crate::fleet::app::App;
use crate::model::failure::{Failure, Fault, SkipReason};
use crate::model::name::{AppName, RunId};
use crate::model::notice::{Audience, CommitState, GithubPost, Notice, NoticeBody};
use crate::model::rollout::RolloutConclusion;
use crate::model::run::{Conclusion, Stage};
use crate::model::stages::resolve::Base;
use jiff::{SignedDuration, Timestamp};

/// GitHub's clock and ours may differ; a day is cheap, as few issues are touched in one.
const SKEW: SignedDuration = SignedDuration::from_hours(24);

/// The end of a run. `repo` is `owner/name`; `last_bases` are the images that the last release was built from, if they are
/// known.
///
/// Notices of one `thread` are to be delivered in order: a late failure must not cover a newer success.
#[must_use]
pub fn run_ended(
    state: &RunState,
    app_state: &AppState,
    conclusion: &Conclusion,
    repo: Option<&str>,
    last_bases: Option<&[Base]>,
    now: Timestamp,
) -> Vec<Notice> {
    let Some(repo) = repo else { return Vec::new() };
    let told = Told { repo, state, now };
    match conclusion {
        Conclusion::Failed { stage, failure } if failure.fault() == Fault::Repo => {
            told.failed(app_state, *stage, failure, last_bases)
        }
        Conclusion::Failed { .. } | Conclusion::Cancelled { .. } => Vec::new(),
        Conclusion::Released { release } => told.passed(app_state, Some(&release.tag), false),
        Conclusion::Observed { release } => told.passed(app_state, Some(&release.tag), true),
        Conclusion::Unchanged {
            why: SkipReason::SameContent,
        } => told.passed(app_state, None, false),
        // Nothing was built, so the commit keeps its status.
        Conclusion::Unchanged {
            why: SkipReason::NothingToGain { .. },
        } => told.recovered(app_state).into_iter().collect(),
        // Its content is quarantined: nothing new is known about the commit, but its runs no longer fail.
        Conclusion::Unchanged {
            why: SkipReason::Quarantined { .. },
        } => told.recovered(app_state).into_iter().collect(),
    }
}

struct Told<'a> {
    repo: &'a str,
    state: &'a RunState,
    now: Timestamp,
}

impl Told<'_> {
    fn failed(
        &self,
        app_state: &AppState,
        stage: Stage,
        failure: &Failure,
        last_bases: Option<&[Base]>,
    ) -> Vec<Notice> {
        let app = &self.state.app.name;
        let (first, since) = app_state
            .failing
            .as_ref()
            .map_or((self.state.id, self.now), |failing| (failing.first, failing.since));
        let cause = notify::cause(app, stage, failure);
        let body = NoticeBody::RunFailed {
            app: app.clone(),
            run: self.state.id,
            stage,
            commit: consequences::built(self.state),
            failure: failure.clone(),
            fault: failure.fault(),
        };
        let issue = GithubPost::Issue {
            incident: format!("{}{first}", incidents(RUNS, app)),
            since: since.saturating_sub(SKEW).unwrap_or(since),
        };
        let mut notices = vec![self.notice(RUNS, &format!("{first}/{cause}"), issue, &body)];
        let Some(sha) = self.commit() else { return notices };
        let state = CommitState::Failure;
        notices.push(self.status(sha, state, &format!("{first}/{cause}"), &body));
        if self.is_to_blame(sha, last_bases) {
            let comment = GithubPost::PullComment { sha: sha.to_owned() };
            notices.push(self.notice("pull", sha, comment, &body));
        }
        notices
    }

    /// Is the commit the one input that changed since the last release? Unknown bases do not count as equal.
    fn is_to_blame(&self, sha: &str, last_bases: Option<&[Base]>) -> bool {
        let (Some(last), Some(resolved)) = (&self.state.last, &self.state.resolved) else {
            return false;
        };
        last.commit != sha && last_bases.is_some_and(|bases| bases.iter().eq(resolved.images()))
    }

    fn passed(&self, app_state: &AppState, tag: Option<&str>, observed: bool) -> Vec<Notice> {
        let mut notices: Vec<Notice> = self.recovered(app_state).into_iter().collect();
        let Some(sha) = self.commit() else { return notices };
        let body = NoticeBody::RunPassed {
            app: self.state.app.name.clone(),
            run: self.state.id,
            tag: tag.map(ToOwned::to_owned),
            observed,
        };
        // A run that changes nothing posts no new status, unless the commit is new or failed before.
        let unchanged = || self.state.last.as_ref().map_or(self.state.id, |last| last.run);
        let epoch = match (&app_state.failing, tag) {
            (Some(failing), None) => failing.first,
            (None, None) => unchanged(),
            (_, Some(_)) => self.state.id,
        };
        notices.push(self.status(sha, CommitState::Success, &epoch.to_string(), &body));
        notices
    }

    fn recovered(&self, app_state: &AppState) -> Option<Notice> {
        let failing = app_state.failing.as_ref()?;
        let app = &self.state.app.name;
        let body = NoticeBody::RunRecovered {
            app: app.clone(),
            run: self.state.id,
        };
        let post = GithubPost::IssueClosed {
            incidents: incidents(RUNS, app),
        };
        Some(self.notice(RUNS, &format!("{}/recovered", failing.first), post, &body))
    }

    fn status(&self, sha: &str, state: CommitState, key: &str, body: &NoticeBody) -> Notice {
        let word = match state {
            CommitState::Success => "success",
            CommitState::Failure => "failure",
        };
        let post = GithubPost::Status {
            sha: sha.to_owned(),
            state,
        };
        self.notice("status", &format!("{sha}/{word}/{key}"), post, body)
    }

    fn notice(&self, lane: &str, key: &str, post: GithubPost, body: &NoticeBody) -> Notice {
        notice(self.repo, &self.state.app.name, lane, key, post, body.clone(), self.now)
    }

    fn commit(&self) -> Option<&str> {
        self.state.resolved.as_ref().map(|resolved| resolved.commit.id.as_str())
    }
}

/// The end of a rollout. Only a halt is an incident.
#[must_use]
pub fn rollout_ended(
    state: &RolloutState,
    conclusion: &RolloutConclusion,
    app: Option<&App>,
    repo: Option<&str>,
    now: Timestamp,
) -> Vec<Notice> {
    let Some((repo, (_, body))) = repo.zip(consequences::halt(state, conclusion, app, now)) else {
        return Vec::new();
    };
    let rollout = state.id;
    let post = GithubPost::Issue {
        incident: format!("{}{rollout}", incidents(HALTS, &state.app)),
        since: now.saturating_sub(SKEW).unwrap_or(now),
    };
    vec![notice(repo, &state.app, HALTS, &rollout.to_string(), post, body, now)]
}

/// An operator resumed the app: the issues of all its halts are closed. `halted`: when the app was halted.
#[must_use]
pub fn resumed(
    app: &AppName,
    by: &str,
    lifted: &Lifted,
    halted: Timestamp,
    repo: Option<&str>,
    now: Timestamp,
) -> Vec<Notice> {
    let Some(repo) = repo else { return Vec::new() };
    let body = consequences::resume_body(app, by, lifted);
    let post = GithubPost::IssueClosed {
        incidents: incidents(HALTS, app),
    };
    vec![notice(repo, app, HALTS, &format!("resumed/{halted}"), post, body, now)]
}

const RUNS: &str = "run-failed";
const HALTS: &str = "halt";

/// Common prefix of all incidents of one kind of an app.
fn incidents(kind: &str, app: &AppName) -> String {
    format!("{kind}/{app}/")
}

fn notice(
    repo: &str,
    app: &AppName,
    lane: &str,
    key: &str,
    post: GithubPost,
    body: NoticeBody,
    at: Timestamp,
) -> Notice {
    let lane = format!("github/{lane}/{app}");
    Notice {
        dedup: format!("{lane}/{key}"),
        thread: lane,
        audience: Audience::Github {
            repo: repo.to_owned(),
            post,
        },
        at,
        body,
    }
}

/// The run whose bases a failing run is compared with; `None` where nothing depends on it.
#[must_use]
pub fn compared_with(state: &RunState, conclusion: &Conclusion) -> Option<RunId> {
    let failed = matches!(conclusion, Conclusion::Failed { failure, .. } if failure.fault() == Fault::Repo);
    let last = state.last.as_ref()?;
    let commit = &state.resolved.as_ref()?.commit.id;
    (failed && last.commit != *commit).then_some(last.run)
}
