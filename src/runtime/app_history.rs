//! The last runs and rollouts of an app, and what of them can be drawn over time: for its page.

use super::fleet_status::{millis, run_row};
use crate::store::database::Store;
use crate::store::error::StoreError;
use crate::store::journal::StreamRow;
use jiff::Timestamp;
use lowtide_core::fleet::rollout::RolloutEvent;
use lowtide_core::fleet::run::RunEvent;
use lowtide_core::report::views::RunRow;
use lowtide_model::freshness::Behind;
use lowtide_model::journal::{Recorded, Stream};
use lowtide_model::name::{AppName, RolloutId, TargetName};
use lowtide_model::rollout::RolloutConclusion;
use lowtide_model::run::Outcome;
use lowtide_model::stages::resolve::Resolved;

/// Newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct AppHistory {
    pub runs: Vec<(RunRow, Measured)>,
    pub rollouts: Vec<RolloutRow>,
}

/// What a run found, as far as it came to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Measured {
    /// Bytes of the image that it built or pulled.
    pub size: Option<u64>,
    /// What the last release lacked before it. `None`: it was not known.
    pub pending: Option<Behind>,
}

/// One rollout in a list.
#[derive(Debug, Clone, PartialEq)]
pub struct RolloutRow {
    pub rollout: RolloutId,
    pub target: TargetName,
    pub tag: String,
    pub started: Timestamp,
    /// Milliseconds, once it has ended.
    pub took_ms: Option<u64>,
    /// `None`: it is still under way.
    pub conclusion: Option<RolloutConclusion>,
}

/// At most `most` runs and as many rollouts.
///
/// # Errors
/// When the store cannot be read.
pub async fn of(store: &Store, app: &AppName, most: u32) -> Result<AppHistory, StoreError> {
    let past = store.past_of(app.clone(), most, measured).await?;
    let runs = past
        .runs
        .iter()
        .filter_map(|(end, found)| Some((run_row(end)?, *found)));
    let rollouts = past.rollouts.into_iter().filter_map(rollout_row);
    Ok(AppHistory {
        runs: runs.collect(),
        rollouts: rollouts.collect(),
    })
}

fn measured(events: &[Recorded<RunEvent>]) -> Measured {
    let mut found = Measured::default();
    for recorded in events {
        let RunEvent::EffectEnded { outcome } = &recorded.event else {
            continue;
        };
        match outcome {
            Outcome::Resolved(resolved) => found.pending = pending(resolved),
            Outcome::Built(built) => found.size = Some(built.size),
            Outcome::Pulled(pulled) => found.size = Some(pulled.size),
            Outcome::Inspected(_)
            | Outcome::Bootstrapped(_)
            | Outcome::Tested(_)
            | Outcome::Published(_)
            | Outcome::Failed(_) => {}
        }
    }
    found
}

/// A survey that has read no index knows nothing: that is not the same as nothing pending.
fn pending(resolved: &Resolved) -> Option<Behind> {
    let survey = &resolved.assessment.survey;
    let known = survey.newest.is_some() && survey.unseen.is_none();
    known.then(|| Behind {
        packages: survey.pending.len(),
        security: survey.pending.iter().filter(|pending| pending.security).count(),
    })
}

fn rollout_row((row, first, last): (StreamRow, RolloutEvent, RolloutEvent)) -> Option<RolloutRow> {
    let Stream::Rollout(rollout) = row.stream else {
        return None;
    };
    let RolloutEvent::Opened { target, release, .. } = first else {
        return None;
    };
    Some(RolloutRow {
        rollout,
        target: target.settings.name.clone(),
        tag: release.tag.clone(),
        started: row.opened,
        took_ms: row.closed.map(|closed| millis(row.opened, closed)),
        conclusion: match last {
            RolloutEvent::Concluded { conclusion } => Some(conclusion),
            RolloutEvent::Opened { .. }
            | RolloutEvent::Expedited { .. }
            | RolloutEvent::Entered { .. }
            | RolloutEvent::Suspended { .. }
            | RolloutEvent::LateNoticeSent { .. }
            | RolloutEvent::StepStarted { .. }
            | RolloutEvent::StepEnded { .. }
            | RolloutEvent::StepAbandoned
            | RolloutEvent::BakeStarted { .. }
            | RolloutEvent::RevertDecided { .. } => None,
        },
    })
}
