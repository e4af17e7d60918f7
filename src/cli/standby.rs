//! What a `serve` does while it stands by: it serves its health, so that the owner of the state knows whether this
//! process could take over.

use super::args::Global;
use super::open;
use crate::runtime::kinds::self_update::standby::{self, Waited};
use crate::web::standby::{Fitness, serve};
use anyhow::Context;
use lowtide_model::handover::StateOwner;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::watch::channel;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info, warn};

/// Interval of the fitness check while this process could not take over, and while it could: the configuration may be
/// in a remote repository.
const FITNESS_POLL: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));

/// Waits for the state.
pub(super) async fn await_state(
    global: &Global,
    listen: SocketAddr,
    shutdown: &CancellationToken,
) -> anyhow::Result<Waited> {
    let stand_by = |role| {
        info!(%role, "standing by: lowtide is being replaced");
        match role {
            // An update helper gets no health checks, and on the host's network the address belongs to the other two.
            StateOwner::Helper => vec![watch(global)],
            StateOwner::Old | StateOwner::New => serve_health(global, listen),
        }
    };
    let waited = standby::await_state(&global.state, shutdown, stand_by).await;
    waited.context("the state directory cannot be used")
}

/// Stops a new lowtide that has the state and hangs; runs until the handle is dropped.
fn watch(global: &Global) -> AbortOnDropHandle<()> {
    let global = global.clone();
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            match open::configuration(&global).await {
                Ok(Some(loaded)) => standby::end_what_hangs(&global.state, &loaded.fleet).await,
                // It had the same one when it worked.
                Ok(None) => error!("the configuration has problems"),
                Err(error) => error!("{error:#}"),
            }
            tokio::time::sleep(FITNESS_POLL.1).await;
        }
    }))
}

/// Serves health and keeps checking fitness, until the handles are dropped.
fn serve_health(global: &Global, listen: SocketAddr) -> Vec<AbortOnDropHandle<()>> {
    let (sender, fitness) = channel(Fitness::Unknown);
    let global = global.clone();
    let judge = tokio::spawn(async move {
        loop {
            let found = fitness_of(&global).await;
            let pause = match &found {
                Fitness::Fit => FITNESS_POLL.1,
                Fitness::Unknown | Fitness::Unfit(_) => FITNESS_POLL.0,
            };
            if let Fitness::Unfit(why) = &found
                && *sender.borrow() != found
            {
                warn!(why, "could not take over");
            }
            sender.send_replace(found);
            tokio::time::sleep(pause).await;
        }
    });
    let server = tokio::spawn(async move {
        if let Err(error) = serve(listen, fitness).await {
            error!(%error, "health cannot be served");
        }
    });
    vec![AbortOnDropHandle::new(judge), AbortOnDropHandle::new(server)]
}

/// Could this process take over, with the current configuration and the engine that runs lowtide?
async fn fitness_of(global: &Global) -> Fitness {
    match open::configuration(global).await {
        Ok(Some(loaded)) => match standby::reach_own_engine(&loaded.fleet).await {
            Ok(()) => Fitness::Fit,
            Err(why) => Fitness::Unfit(why),
        },
        Ok(None) => Fitness::Unfit("the configuration has problems".to_owned()),
        Err(error) => Fitness::Unfit(format!("{error:#}")),
    }
}
