//! Waiting for the state: at an ordinary start for an earlier lowtide to end, while lowtide is replaced for as long as it
//! takes.

use crate::clients::clock;
use crate::clients::engine::connect::Engine;
use crate::clients::engine::error::EngineError;
use crate::runtime::kinds::containers::own::own_id;
use crate::runtime::kinds::containers::verbs;
use crate::store;
use crate::store::error::StoreError;
use crate::store::lock::{self, StateLock};
use lowtide_core::decide::handover::{self, AtStart};
use lowtide_core::fleet::app::Fleet;
use lowtide_model::handover::StateOwner;
use lowtide_model::name::HostName;
use std::path::Path;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// How long a start waits for an earlier lowtide to let go of the state.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(100);
/// How often an update helper looks whether the new one hangs.
const WATCH: Duration = Duration::from_secs(15);

/// How the wait ended.
pub enum Waited {
    /// `role`: which container of a self-replacement under way this process is.
    Ours { lock: StateLock, role: Option<StateOwner> },
    /// Another lowtide stays.
    Another,
    /// This process was asked to end.
    Ended,
}

/// Waits for the state. `stand_by` is called once if the wait has no time limit; its result is dropped when the wait
/// ends.
///
/// # Errors
/// When the state directory cannot be used.
pub async fn await_state<T>(
    state: &Path,
    shutdown: &CancellationToken,
    mut stand_by: impl FnMut(StateOwner) -> T,
) -> Result<Waited, StoreError> {
    let own = own_id();
    let (up, begun) = (clock::now(), tokio::time::Instant::now());
    let mut standing_by = None;
    loop {
        let record = store::handover::read(state)?;
        let role = own
            .as_deref()
            .zip(record.as_ref())
            .and_then(|(own, record)| record.role(own));
        let lock = match handover::at_start(record.as_ref(), role, up, clock::now()) {
            AtStart::Try | AtStart::Ordinary => lock::acquire(state)?,
            AtStart::StandBy => None,
        };
        if let Some(lock) = lock {
            // Read again under the lock: the state may have been handed to another process meanwhile.
            if store::handover::read(state)? == record {
                return Ok(Waited::Ours { lock, role });
            }
            continue;
        }
        match role {
            Some(role) if standing_by.is_none() => standing_by = Some(stand_by(role)),
            None if begun.elapsed() >= PATIENCE => return Ok(Waited::Another),
            Some(_) | None => {}
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            () = shutdown.cancelled() => return Ok(Waited::Ended),
        }
    }
}

/// Run by an update helper: stops a new lowtide that took the state and hangs. Runs until it is dropped.
pub async fn end_what_hangs(state: &Path, fleet: &Fleet) {
    loop {
        tokio::time::sleep(WATCH).await;
        let Ok(Some(record)) = store::handover::read(state) else {
            continue;
        };
        let role = own_id().and_then(|own| record.role(&own));
        let Some(new) = handover::hangs(&record, role, clock::now()) else {
            continue;
        };
        warn!("the new lowtide has the state and does not come to an end: it is stopped");
        for (_, engine) in own_engines(fleet) {
            let stopped = match engine {
                Ok(engine) => verbs::stop(&engine, new, None).await,
                Err(error) => Err(error),
            };
            if let Err(error) = stopped {
                warn!(%error, "it could not be stopped");
            }
        }
    }
}

/// Restores the copy of the database from the hand-over if a new lowtide, since gone, migrated the database to a
/// version that this one cannot read.
///
/// # Errors
/// When it cannot be put back.
pub fn bring_back(state: &Path, database: &Path, role: Option<StateOwner>) -> Result<(), StoreError> {
    let Some(record) = store::handover::read(state)? else {
        return Ok(());
    };
    if handover::may_bring_back(&record, role) && store::handover::bring_back(state, database)? {
        warn!("the new lowtide changed the database and did not stay: it is as it was handed over");
    }
    Ok(())
}

/// Can the engine that runs lowtide be reached?
///
/// # Errors
/// Why not.
pub async fn reach_own_engine(fleet: &Fleet) -> Result<(), String> {
    for (host, engine) in own_engines(fleet) {
        let version = match engine {
            Ok(engine) => engine.version().await.map(drop),
            Err(error) => Err(error),
        };
        version.map_err(|error| format!("{host}: {error}"))?;
    }
    Ok(())
}

fn own_engines(fleet: &Fleet) -> impl Iterator<Item = (&HostName, Result<Engine, EngineError>)> {
    let targets = fleet.apps.values().flat_map(|app| &app.rollout);
    let hosts = targets
        .filter(|target| target.is_own_container())
        .filter_map(|target| fleet.hosts.get_key_value(&target.settings.host));
    hosts.map(|(name, host)| (name, Engine::connect(&host.address)))
}
