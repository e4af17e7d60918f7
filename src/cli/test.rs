//! `lowtide test`: the build and the tests of a commit, on the engine of whoever asks.

use super::args::Global;
use super::exit::Exit;
use super::live::Following;
use super::open::{self, Loaded, LockAttempt};
use super::repository::{self, RepositoryArgs};
use super::{live, operate};
use crate::clients::git::local;
use crate::runtime::control::OperatorRequest;
use anyhow::Context;
use lowtide_core::channels::list::Channels;
use lowtide_core::fleet::app::{App, Fleet};
use lowtide_model::policy::{EngineAddress, GitRef, Host, ImageOrigin, Mode, Schedule, Source, Unhealthy};
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    /// Folder for logs, artefacts and the rest of the state. Without it they go when the command ends.
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
    /// Print one JSON object a line, for programs.
    #[arg(long)]
    json: bool,
}

pub(super) async fn test(global: &Global, args: &TestArgs) -> anyhow::Result<Exit> {
    let top = local::top(&args.repository.repo).await?;
    let commit = local::commit(&top, &args.commit).await?;
    let Some(fleet) = repository::fleet(global, &args.repository, &top).await? else {
        return Ok(Exit::Problems);
    };
    let fleet = here(fleet, args, &top, commit, open::default_engine()?);
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
    if args.keep.is_some() && !args.json {
        live::print_line(&format!("logs and artefacts are in {}", global.state.display()));
    }
    Ok(exit)
}

/// The fleet as it is on this machine: this repository at this commit, this engine; nothing is pushed, rolled out or told to anybody.
fn here(fleet: Fleet, args: &TestArgs, top: &Path, commit: String, engine: EngineAddress) -> Fleet {
    let app = |app: Arc<App>| {
        let ImageOrigin::Built { source, build } = app.origin.clone();
        let source = Source {
            repo: format!("file://{}", top.display()),
            git_ref: GitRef::Commit(commit.clone()),
            context: args.context.clone().unwrap_or(source.context),
            dockerfile: args.dockerfile.clone().unwrap_or(source.dockerfile),
            username: None,
            token: None,
            ssh_key: None,
            ..source
        };
        Arc::new(App {
            mode: Mode::Observe,
            origin: ImageOrigin::Built { source, build },
            publish: None,
            schedule: Schedule::Never,
            rollout: Vec::new(),
            github_repo: None,
            maintainers: Vec::new(),
            ..(*app).clone()
        })
    };
    let host = Host { address: engine };
    Fleet {
        hosts: fleet.hosts.into_keys().map(|name| (name, host.clone())).collect(),
        channels: Channels::default(),
        apps: fleet.apps.into_iter().map(|(name, it)| (name, app(it))).collect(),
        ..fleet
    }
}
