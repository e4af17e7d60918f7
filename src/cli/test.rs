//! `lowtide test`: the build and the tests of a commit, on this machine's engine.

use super::args::Global;
use super::exit::Exit;
use super::live::Following;
use super::open::{self, Loaded, LockAttempt};
use super::repository::{self, RepositoryArgs};
use super::{live, operate, screen};
use crate::runtime::control::OperatorRequest;
use crate::runtime::repository::{self as in_repository, Here};
use anyhow::Context;
use lowtide_model::failure::Failure;
use lowtide_model::policy::Unhealthy;
use std::path::PathBuf;

/// What `lowtide test` is given.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct TestArgs {
    #[command(flatten)]
    repository: RepositoryArgs,
    /// What to test: a commit's id or its beginning, a branch, a tag. What is not committed is not tested.
    #[arg(long, default_value = "HEAD")]
    commit: String,
    /// Without --app: folder of the build context inside the repository.
    #[arg(long, value_name = "FOLDER", conflicts_with = "app")]
    context: Option<String>,
    /// Without --app: path of the Dockerfile inside the context.
    #[arg(long, value_name = "PATH", conflicts_with = "app")]
    dockerfile: Option<String>,
    /// Folder for logs, artefacts and the rest of the state. Without it they and the image go when the command ends.
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
    /// Print one JSON object a line, for programs.
    #[arg(long)]
    json: bool,
}

pub(super) async fn test(global: &Global, args: &TestArgs) -> anyhow::Result<Exit> {
    let Some((top, commit)) = found(args).await else {
        return Ok(Exit::Failed);
    };
    let Some(fleet) = repository::fleet(global, &args.repository, &top).await? else {
        return Ok(Exit::Problems);
    };
    let here = Here {
        top,
        commit,
        context: args.context.clone(),
        dockerfile: args.dockerfile.clone(),
        engine: open::default_engine()?,
    };
    let fleet = in_repository::here(fleet, &here);
    let apps: Vec<_> = fleet.apps.keys().cloned().collect();
    let scratch = open::Scratch::new()?;
    let state = match &args.keep {
        Some(folder) => std::path::absolute(folder).context("--keep")?,
        None => scratch.path().join("state"),
    };
    let LockAttempt::Us(lock) = open::hold(&state)? else {
        anyhow::bail!("another lowtide owns {}", state.display());
    };
    let following = Following {
        zone: fleet.timezone.clone(),
        apps: apps.clone(),
        json: args.json,
        back: false,
        goes_on: false,
    };
    let loaded = Loaded {
        fleet,
        revision: "test".to_owned(),
    };
    let request = OperatorRequest::Run {
        apps,
        now: false,
        rebuild: true,
        unhealthy: Unhealthy::Refuse,
        by: operate::who(),
    };
    let global = Global {
        state,
        ..global.clone()
    };
    let exit = operate::carry_out(&global, loaded, &lock, request, &following).await?;
    tidy(&global, &here, args.keep.is_some()).await;
    if args.keep.is_some() && !args.json {
        live::print_line(&format!("logs and artefacts are in {}", global.state.display()));
    }
    Ok(exit)
}

/// The repository and the commit; `None`: it was said why not.
async fn found(args: &TestArgs) -> Option<(PathBuf, String)> {
    let found = async {
        let top = in_repository::top(&args.repository.repo).await?;
        let commit = in_repository::commit(&top, &args.commit).await?;
        Ok::<_, Failure>((top, commit))
    };
    found.await.map_err(|failure| screen::log(&failure.detail)).ok()
}

/// Removes what the test left on the engine, and the image that was tested unless it is kept. The result stands if this fails.
async fn tidy(global: &Global, here: &Here, keeps_image: bool) {
    let tidied = async {
        let runs = match open::reader(&global.state)? {
            Some(store) if !keeps_image => store.recent_runs(None, 1).await?,
            Some(_) | None => Vec::new(),
        };
        let runs: Vec<_> = runs.iter().map(|end| end.run).collect();
        let removed = in_repository::leave_nothing(&here.engine, &global.state, &runs).await;
        removed.map_err(|failure| anyhow::anyhow!("{}", failure.detail))
    };
    if let Err(error) = tidied.await {
        screen::log(&format!("what the test made is still on the engine: {error:#}"));
    }
}
