//! What the database forgets, by the bounds of `retention`: one function for the bot's round and for the test that lives
//! through a year.

use crate::store::database::Store;
use crate::store::error::StoreError;
use jiff::Timestamp;
use lowtide_core::decide::app_state::{self, AppState};
use lowtide_core::decide::retention::{self, EVIDENCE, FACTS};
use lowtide_model::journal::Stream;
use lowtide_model::policy::Retention;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gone {
    /// Runs and rollouts.
    pub streams: usize,
    /// Notices that could not be delivered.
    pub undelivered: u64,
    /// Facts about apps that a checkpoint stands for.
    pub facts: usize,
    /// Contents whose inventory and packages are no longer needed.
    pub evidence: usize,
}

/// Each part is whole by itself: a kill between them leaves the rest to the next round.
///
/// # Errors
/// When the store cannot be used.
pub async fn forget(
    store: &Store,
    retention: &Retention,
    app_states: &[Arc<AppState>],
    now: Timestamp,
) -> Result<Gone, StoreError> {
    let history = now - retention.history;
    // Rollouts that halted an app are retained until an operator has answered for them.
    let incidents = app_states.iter().flat_map(|app_state| &app_state.incidents);
    let incidents = incidents.map(|incident| Stream::Rollout(incident.rollout)).collect();
    let forgotten = store.forget(history, incidents).await?;
    store
        .checkpoint_apps(retention::wants_checkpoint, app_state::checkpoint, now)
        .await?;
    let facts = store.trim_apps(now - FACTS, now - retention.audit).await?;
    let needed = app_states.iter().flat_map(|app_state| retention::needed(app_state));
    let needed: BTreeSet<_> = needed
        .flat_map(|release| release.images.iter().map(|one| one.content.clone()))
        .collect();
    let evidence = store
        .forget_evidence(now - EVIDENCE.min(retention.history), needed)
        .await?;
    Ok(Gone {
        streams: forgotten.streams,
        undelivered: forgotten.undelivered,
        facts,
        evidence,
    })
}
