//! Watches what the bot needs and cannot fix: its engines. Problems are shown by health, readiness, the status page and
//! the metrics, and logged when they change. They never end the process: a restart of lowtide fixes no engine.

use super::bot::{Bot, InForce};
use crate::clients::engine::error::EngineError;
use futures_util::future::join_all;
use lowtide_model::name::HostName;
use lowtide_model::trouble::{NoEngine, Trouble};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tracing::{info, warn};

const EVERY: Duration = Duration::from_secs(60);
/// An engine that needs longer to say its version does not work for us.
const PATIENCE: Duration = Duration::from_secs(15);

/// As the last look found it.
#[derive(Debug, Default)]
pub struct Troubles {
    found: Mutex<Found>,
}

#[derive(Debug, Default)]
struct Found {
    engines: BTreeMap<HostName, NoEngine>,
    configuration_unread: bool,
}

impl Troubles {
    #[must_use]
    pub fn all(&self) -> Vec<Trouble> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let engine = |(host, why): (&HostName, &NoEngine)| Trouble::Engine {
            host: host.clone(),
            why: *why,
        };
        let unread = found.configuration_unread.then_some(Trouble::ConfigurationUnread);
        unread.into_iter().chain(found.engines.iter().map(engine)).collect()
    }

    pub(super) fn configuration_unread(&self, unread: bool) {
        self.found
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .configuration_unread = unread;
    }

    /// Stores the engines that have a problem; returns the previous ones.
    fn put(&self, engines: BTreeMap<HostName, NoEngine>) -> BTreeMap<HostName, NoEngine> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut found.engines, engines)
    }
}

/// Looks again and again, for ever.
pub async fn run(bot: &Bot) -> Infallible {
    loop {
        look(bot).await;
        tokio::time::sleep(EVERY).await;
    }
}

/// Probes every engine once, all at the same time.
pub async fn look(bot: &Bot) {
    let fleet = bot.in_force();
    let probes = fleet.fleet.hosts.keys().map(|host| probe(&fleet, host));
    let results = join_all(probes).await;
    let now: BTreeMap<HostName, (NoEngine, String)> = results.into_iter().flatten().collect();
    let kinds = now.iter().map(|(host, (why, _))| (host.clone(), *why)).collect();
    let before = bot.troubles.put(kinds);
    for (host, (why, detail)) in &now {
        if before.get(host) != Some(why) {
            warn!(%host, detail, "the engine cannot be used");
        }
    }
    for host in before.keys().filter(|host| !now.contains_key(*host)) {
        info!(%host, "the engine can be used again");
    }
}

async fn probe(fleet: &InForce, host: &HostName) -> Option<(HostName, (NoEngine, String))> {
    let engine = match fleet.engine(host) {
        Ok(engine) => engine,
        Err(failure) => return Some((host.clone(), (NoEngine::NoAnswer, failure.detail))),
    };
    let why = match tokio::time::timeout(PATIENCE, engine.version()).await {
        Ok(Ok(_)) => return None,
        Ok(Err(error)) => (kind(&error), error.to_string()),
        Err(_) => (NoEngine::NoAnswer, format!("no answer within {} s", PATIENCE.as_secs())),
    };
    Some((host.clone(), why))
}

fn kind(error: &EngineError) -> NoEngine {
    match error {
        EngineError::Denied { .. } => NoEngine::Denied,
        EngineError::Unreachable { .. }
        | EngineError::NotFound { .. }
        | EngineError::Conflict { .. }
        | EngineError::Refused { .. }
        | EngineError::Failed { .. }
        | EngineError::Timeout { .. }
        | EngineError::Unreadable { .. } => NoEngine::NoAnswer,
    }
}
