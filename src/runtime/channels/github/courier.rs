//! Delivers notices to GitHub: in order within a lane, and not while GitHub asks us to wait.

use super::post::post;
use super::rights;
use crate::clients::github::connect::{Github, RESPONSE_TIMEOUT};
use crate::clients::github::error::GithubError;
use crate::runtime::channels::courier::{Courier, Delivering, Undelivered};
use crate::runtime::connectivity::{Reached, chain, said};
use crate::store::error::StoreError;
use lowtide_core::channels::github::policy::GithubPolicy;
use lowtide_core::channels::github::route::{Place, Post};
use lowtide_core::fleet::app::Fleet;
use std::collections::BTreeSet;

impl Courier for GithubPolicy {
    type Client = Github;
    /// A late failure must not cover a newer success, nor an issue be opened after it was to be closed.
    const IN_ORDER: bool = true;

    fn connect(&self) -> Result<Github, Undelivered> {
        Github::new(&self.login, &self.api, RESPONSE_TIMEOUT).map_err(|error| undelivered(&error))
    }

    async fn deliver(
        &self,
        github: &Github,
        of: &Delivering<'_, Place>,
    ) -> Result<Result<(), Undelivered>, StoreError> {
        let (notice, Place { repo, post: place }) = (&of.pending.notice, of.address);
        // One open incident per lane: its number saves a search, and finds an issue that lost its label.
        let remember = match place {
            Post::Issue { .. } | Post::IssueClosed { .. } => Some(format!("{repo}/{}", notice.keys.thread)),
            Post::Status { .. } | Post::Check { .. } | Post::Deployment { .. } | Post::PullComment { .. } => None,
        };
        let known = match &remember {
            Some(name) => of.bot.store.number(name).await?,
            None => None,
        };
        let number = match post(github, notice, of.address, known, of.sender).await {
            Ok(number) => number,
            Err(error) => return Ok(Err(undelivered(&error))),
        };
        if let Some(name) = remember.filter(|_| number != known) {
            of.bot.store.set_number(&name, number).await?;
        }
        Ok(Ok(()))
    }

    async fn check(&self, fleet: &Fleet, _mail_to: Option<&str>) -> Vec<Reached> {
        let repos = fleet.apps.values().filter_map(|app| app.github_repo.as_deref());
        let mut reached = Vec::new();
        for repo in repos.collect::<BTreeSet<&str>>() {
            reached.push(Reached {
                what: format!("github {repo}"),
                result: repository(self, repo).await,
            });
        }
        reached
    }
}

async fn repository(policy: &GithubPolicy, repo: &str) -> Result<String, String> {
    let github = said(Github::new(&policy.login, &policy.api, RESPONSE_TIMEOUT))?;
    let installation = said(github.installation(repo).await)?;
    if let Some(installation) = &installation {
        rights::enough(installation, policy.deployments)?;
    }
    let name = said(github.repository(repo).await)?;
    if !name.eq_ignore_ascii_case(repo) {
        return Err(format!("it is called {name} now; write that name"));
    }
    Ok(match installation {
        Some(_) => "the App is installed, and has the rights that lowtide uses".to_owned(),
        None => "the token sees it".to_owned(),
    })
}

fn undelivered(error: &GithubError) -> Undelivered {
    let text = chain(error);
    if let GithubError::Limited { until, .. } = error {
        return Undelivered::Silence {
            error: text,
            until: *until,
        };
    }
    if error.retryable() || error.operator() {
        Undelivered::Later {
            error: text,
            everywhere: error.everywhere(),
        }
    } else {
        Undelivered::Never { error: text }
    }
}
