//! Fresh registry logins for the services that lowtide has rolled. Swarm keeps the login of the last update in the service's
//! spec and uses it whenever a task moves to another node; one that a helper made may be good for twelve hours only
//! (moby#31063). Handing Swarm a new one replaces no task.

use super::{find, verbs};
use crate::clients::engine::connect::Engine;
use crate::runtime::bot::{Bot, InForce};
use lowtide_core::kinds::list::KindName;
use lowtide_model::failure::Failure;
use lowtide_model::name::HostName;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;
use tracing::{debug, warn};

/// Three times in twelve hours: one round may fail, and a task may still move.
const EVERY: Duration = Duration::from_secs(4 * 3600);

/// A round every few hours, for ever. Trouble is logged and left for the next round.
pub async fn run(bot: &Bot) -> Infallible {
    loop {
        tokio::time::sleep(EVERY).await;
        once(bot).await;
    }
}

async fn once(bot: &Bot) {
    let fleet = bot.in_force();
    for host in managers(&fleet) {
        let renewed = match fleet.engine(host) {
            Ok(engine) => renew(bot, &fleet, engine).await,
            Err(failure) => Err(failure),
        };
        match renewed {
            Ok(services) => debug!(%host, services, "registry logins are fresh"),
            Err(failure) => warn!(%host, detail = %failure.detail, "registry logins of services cannot be renewed"),
        }
    }
}

/// Hosts whose swarms have targets.
fn managers(fleet: &InForce) -> BTreeSet<&HostName> {
    let targets = fleet.fleet.apps.values().flat_map(|app| &app.rollout);
    let swarms = targets.filter(|target| target.kind.name() == KindName::Services);
    swarms.map(|target| &target.settings.host).collect()
}

async fn renew(bot: &Bot, fleet: &InForce, engine: &Engine) -> Result<usize, Failure> {
    let mut renewed = 0;
    for service in find::rolled(engine, &bot.instance).await? {
        let repository = &service.image.repository;
        if let Some(auth) = fleet.credentials.made_login(repository).await? {
            verbs::refresh_auth(engine, &service.id, &auth).await?;
            renewed += 1;
        }
    }
    Ok(renewed)
}
