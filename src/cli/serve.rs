//! `lowtide serve`: the bot.

use super::args::Global;
use super::exit::Exit;
use super::open::{self, Holder, Loaded};
use crate::runtime::supervisor::{Scope, Supervisor};
use crate::runtime::{config_watch, control, housekeeping, logins, notify, tick};
use crate::web;
use anyhow::{Context, anyhow};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

/// How long a start waits for an earlier lowtide to let go of the state.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
const LOCK_POLL: Duration = Duration::from_millis(100);

pub(super) async fn serve(global: &Global, listen: SocketAddr) -> anyhow::Result<Exit> {
    let Some(lock) = wait_for_lock(global).await? else {
        error!(state = %global.state.display(), "another lowtide holds the state");
        return Ok(Exit::Held);
    };
    let Some(loaded) = in_force(global, &lock).await? else {
        return Ok(Exit::Problems);
    };
    let bot = open::bot(global, loaded, &lock).await?;
    let shutdown = CancellationToken::new();
    tokio::spawn(on_signal(shutdown.clone()));
    let mut ticks = tick::start(&bot).await.context("the tick cannot be made")?;
    let (supervisor, ask) = Supervisor::new(Arc::clone(&bot), Scope::All, shutdown.clone());
    let place = config_watch::Place::parse(&global.config);
    info!(term = bot.store.term(), instance = %bot.instance, apps = bot.in_force().fleet.apps.len(), "lowtide serves");
    // Any of these ending ends the process: a bot that only half lives is worse than one that restarts.
    let ended: anyhow::Result<()> = tokio::select! {
        done = supervisor.run() => done.context("the supervisor"),
        done = notify::run(Arc::clone(&bot), CancellationToken::new()) => done.context("the outbox"),
        done = control::serve(Arc::clone(&bot), ask, shutdown.clone()), if !shutdown.is_cancelled() => {
            done.context("the control socket").and_then(|()| wait_out(&shutdown))
        }
        done = web::serve::serve(Arc::clone(&bot), listen, CancellationToken::new()) => done.context("the web server"),
        done = config_watch::watch(&bot, &place, open::docker_config(), CancellationToken::new()) => {
            done.context("the configuration watch")
        }
        never = logins::run(&bot) => match never {},
        done = housekeeping::run(Arc::clone(&bot), CancellationToken::new()) => done.context("housekeeping"),
    };
    // The process ends; a tick that does not hear of it rings nobody.
    let _ = ticks.shutdown().await;
    ended?;
    info!("lowtide stopped");
    Ok(Exit::Done)
}

fn wait_out(shutdown: &CancellationToken) -> anyhow::Result<()> {
    if shutdown.is_cancelled() {
        Ok(())
    } else {
        Err(anyhow!("the control socket closed"))
    }
}

/// The configuration as it stands; a bad one leaves the last good one in force.
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
                "the configuration cannot be used; the last good revision stays in force"
            );
            Ok(Some(Loaded { fleet, revision }))
        }
        (None, Err(error)) => Err(error),
        (None, Ok(_)) => Ok(None),
    }
}

async fn wait_for_lock(global: &Global) -> anyhow::Result<Option<crate::store::lock::StateLock>> {
    let deadline = tokio::time::Instant::now() + LOCK_PATIENCE;
    loop {
        match open::hold(&global.state)? {
            Holder::Us(lock) => return Ok(Some(lock)),
            Holder::Another if tokio::time::Instant::now() >= deadline => return Ok(None),
            Holder::Another => tokio::time::sleep(LOCK_POLL).await,
        }
    }
}

/// Cancels `shutdown` at SIGTERM or SIGINT.
pub(super) async fn on_signal(shutdown: CancellationToken) {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        error!("signals cannot be heard");
        return;
    };
    tokio::select! {
        _ = term.recv() => info!("SIGTERM: parking"),
        _ = int.recv() => info!("SIGINT: parking"),
    }
    shutdown.cancel();
}
