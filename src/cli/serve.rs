//! `lowtide serve`: the bot.

use super::args::Global;
use super::exit::Exit;
use super::open::{self, Loaded};
use super::standby;
use crate::runtime::bot::Bot;
use crate::runtime::kinds::self_update::perform as self_update;
use crate::runtime::kinds::self_update::standby::Waited;
use crate::runtime::kinds::services::logins;
use crate::runtime::supervisor::{Request, Scope, Supervisor};
use crate::runtime::{self, config_watch, control, drift, housekeeping, notify, registry_watch, tick, troubles};
use crate::store::error::StoreError;
use crate::web;
use anyhow::{Context, anyhow};
use lowtide_model::handover::StateOwner;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

pub(super) async fn serve(global: &Global, listen: SocketAddr, hooks: Option<SocketAddr>) -> anyhow::Result<Exit> {
    let stop_requested = CancellationToken::new();
    tokio::spawn(on_signal(stop_requested.clone()));
    let (lock, role) = match standby::await_state(global, listen, &stop_requested).await? {
        Waited::Ours { lock, role } => (lock, role),
        Waited::Another => {
            error!(state = %global.state.display(), "another lowtide owns the state");
            return Ok(Exit::Held);
        }
        Waited::Ended => return Ok(Exit::Done),
    };
    runtime::kinds::self_update::standby::bring_back(&global.state, &open::database(&global.state), role)
        .context("the database cannot be put back")?;
    let Some(loaded) = in_force(global, &lock).await? else {
        return Ok(Exit::Problems);
    };
    let bot = open::bot(global, loaded, &lock).await?;
    self_update::take_up(&bot).await?;
    let shutdown = stop_requested.child_token();
    let doors = Doors { listen, hooks, role };
    let ended = with_state(&bot, global, doors, &shutdown).await;
    ended?;
    if bot.let_go.is_cancelled() && !stop_requested.is_cancelled() {
        return Err(begin_anew());
    }
    info!("lowtide stopped");
    Ok(Exit::Done)
}

/// If any of these tasks ends, the process ends: a bot that runs in part is worse than one that restarts.
async fn with_state(bot: &Arc<Bot>, global: &Global, doors: Doors, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let mut ticks = tick::start(bot).await.context("the tick cannot be made")?;
    let (supervisor, requests) = Supervisor::new(Arc::clone(bot), Scope::All, shutdown.clone());
    let place = config_watch::Place::parse(&global.config);
    info!(term = bot.store.term(), instance = %bot.instance, apps = bot.in_force().fleet.apps.len(), "lowtide serves");
    let parks = shutdown.clone();
    let let_go = bot.let_go.clone();
    tokio::spawn(async move {
        let_go.cancelled().await;
        parks.cancel();
    });
    let ended: anyhow::Result<()> = tokio::select! {
        done = supervisor.run() => done.context("the supervisor"),
        () = bot.unfit.cancelled() => Err(anyhow!("the rollout that started this lowtide cannot continue")),
        done = undisturbed(bot, notify::run(Arc::clone(bot), CancellationToken::new())) => done.context("the outbox"),
        done = commands(bot, requests, shutdown) => done,
        done = pages(bot, doors) => done.context("the web server"),
        done = hooks(bot, doors) => done.context("the server of hooks"),
        done = config_watch::watch(bot, &place, open::docker_config(), CancellationToken::new()) => {
            done.context("the configuration watch")
        }
        never = logins::run(bot) => match never {},
        never = troubles::run(bot) => match never {},
        done = undisturbed(bot, housekeep(bot)) => done.context("housekeeping"),
        never = undisturbed(bot, registry_watch::run(bot)) => match never.context("the watch over registries") {
            Ok(never) => match never {},
            Err(error) => Err(error),
        },
        never = undisturbed(bot, drift::run(bot)) => match never.context("the watch over targets") {
            Ok(never) => match never {},
            Err(error) => Err(error),
        },
    };
    // The process ends anyway, so a tick that goes on does no harm.
    let _ = ticks.shutdown().await;
    ended
}

/// Starts `work` once lowtide is not being replaced: a rollback of the replacement may lose what was journalled until
/// then.
async fn undisturbed<T>(bot: &Bot, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    drop(bot.work_lock.share().await);
    work.await
}

async fn housekeep(bot: &Arc<Bot>) -> Result<(), StoreError> {
    self_update::tidy(bot).await?;
    housekeeping::run(Arc::clone(bot), CancellationToken::new()).await
}

/// Serves the control socket until shutdown, then never returns: the supervisor parks its work and ends last.
async fn commands(bot: &Arc<Bot>, requests: mpsc::Sender<Request>, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let served = control::serve(Arc::clone(bot), requests, shutdown.clone()).await;
    served.context("the control socket")?;
    std::future::pending().await
}

/// Where this lowtide serves.
#[derive(Clone, Copy)]
struct Doors {
    listen: SocketAddr,
    hooks: Option<SocketAddr>,
    role: Option<StateOwner>,
}

async fn pages(bot: &Arc<Bot>, Doors { listen, role, .. }: Doors) -> std::io::Result<()> {
    match role {
        // An update helper serves no pages: on the host's network, the address belongs to the other two.
        Some(StateOwner::Helper) => std::future::pending().await,
        Some(StateOwner::Old | StateOwner::New) | None => {
            web::serve::serve(Arc::clone(bot), listen, CancellationToken::new()).await
        }
    }
}

async fn hooks(bot: &Arc<Bot>, Doors { hooks, role, .. }: Doors) -> std::io::Result<()> {
    match (hooks, role) {
        (None, _) | (_, Some(StateOwner::Helper)) => std::future::pending().await,
        (Some(listen), Some(StateOwner::Old | StateOwner::New) | None) => {
            web::hooks::serve(Arc::clone(bot), listen, CancellationToken::new()).await
        }
    }
}

/// Restarts the program in the same process (exec), because its container lives as long as the process: no part of the
/// former owner is left that could still act, and the kernel frees the lock. Returns only on an error.
fn begin_anew() -> anyhow::Error {
    info!("another lowtide takes the state");
    match std::env::current_exe() {
        Ok(program) => Command::new(program).args(std::env::args_os().skip(1)).exec().into(),
        Err(error) => error.into(),
    }
}

/// The current configuration; if it cannot be used, the last valid revision stays in effect.
async fn in_force(global: &Global, _lock: &crate::store::lock::StateLock) -> anyhow::Result<Option<Loaded>> {
    let now = open::configuration(global).await;
    if let Ok(Some(loaded)) = now {
        return Ok(Some(loaded));
    }
    let last = match open::reader(&global.state)? {
        Some(store) => store.last_revision().await?,
        None => None,
    };
    match (last, now) {
        (Some((revision, fleet)), now) => {
            if let Err(error) = now {
                error!("{error:#}");
            }
            error!(
                revision,
                "the configuration cannot be used; the last valid revision stays in effect"
            );
            Ok(Some(Loaded { fleet, revision }))
        }
        (None, Err(error)) => Err(error),
        (None, Ok(_)) => Ok(None),
    }
}

/// Cancels `shutdown` at SIGTERM or SIGINT.
pub(super) async fn on_signal(shutdown: CancellationToken) {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        error!("signals cannot be received");
        return;
    };
    tokio::select! {
        _ = term.recv() => info!("SIGTERM: parking"),
        _ = int.recv() => info!("SIGINT: parking"),
    }
    shutdown.cancel();
}
