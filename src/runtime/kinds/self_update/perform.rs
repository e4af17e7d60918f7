//! The steps that only lowtide's own container needs, and what is left of them.

use super::helper;
use super::refusals::refusals;
use crate::clients::clock;
use crate::clients::engine::connect::Engine;
use crate::runtime::bot::Bot;
use crate::runtime::kinds::containers::body::Mark;
use crate::runtime::kinds::containers::own::own_id;
use crate::runtime::kinds::containers::preflight::Preflight;
use crate::runtime::kinds::containers::snapshot::Snapshot;
use crate::runtime::kinds::containers::{observe, verbs};
use crate::store::error::StoreError;
use crate::store::handover;
use jiff::{SignedDuration, Timestamp};
use lowtide_core::decide::rollout::RolloutState;
use lowtide_core::kinds::containers::model::{EndedBy, Unit};
use lowtide_core::kinds::self_update::model::ObservedSelfUpdate;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::handover::{Handover, StateOwner};
use lowtide_model::journal::Stream;
use lowtide_model::rollout::Which;
use std::path::Path;
use tracing::{info, warn};

/// Time beyond the bake before a new lowtide counts as hanging: it may only be slow to finish.
const SLACK: SignedDuration = SignedDuration::from_mins(5);

/// Observes the containers, and finds out which of them this process runs in.
pub(super) async fn look(engine: &Engine, state: &RolloutState, units: &[Unit]) -> Result<ObservedSelfUpdate, Failure> {
    let helper = helper::look(engine, state.id).await.map_err(|e| e.failure())?;
    let units_seen = observe::observe(engine, state.id, units).await;
    let mut units_seen = units_seen.map_err(|e| e.failure())?;
    // The update helper may stop an overdue new container. That must not look like someone else's doing.
    for new in units_seen.iter_mut().flat_map(|unit| &mut unit.candidates) {
        new.ended_by = EndedBy::Itself;
    }
    let id = own_id();
    let is = |other: &str| id.as_deref() == Some(other);
    let owner = if units.iter().any(|unit| is(&unit.old)) {
        Some(StateOwner::Old)
    } else if helper.as_ref().is_some_and(|helper| is(&helper.id)) {
        Some(StateOwner::Helper)
    } else {
        let mut new = units_seen.iter().flat_map(|unit| &unit.candidates);
        new.any(|new| is(&new.id)).then_some(StateOwner::New)
    };
    Ok(ObservedSelfUpdate {
        owner,
        units: units_seen,
        helper,
    })
}

/// The preflight checks that only lowtide's own container needs.
pub(super) fn fit(found: &Preflight, state: &Path) -> Result<(), Failure> {
    let refused = |detail| Err(Failure::new(FailureKind::PreflightRefused, detail));
    let ([_], [snapshot]) = (found.units.as_slice(), found.snapshots.as_slice()) else {
        return refused("other containers hold on to lowtide's own: they cannot be moved with it".to_owned());
    };
    let snapshot = Snapshot::read(snapshot)?;
    match refusals(&snapshot.container, state) {
        refusals if refusals.is_empty() => Ok(()),
        refusals => refused(refusals.join("; ")),
    }
}

/// The hand-over record names the update helper before it starts: otherwise it would find the state locked, take itself for a
/// second lowtide and exit. The current owner keeps the state until it hands over.
pub(super) async fn start_helper(
    bot: &Bot,
    engine: &Engine,
    state: &RolloutState,
    unit: &Unit,
    mark: &Mark<'_>,
) -> Result<(), Failure> {
    let snapshot = bot.sealed.read(&unit.snapshot).map_err(|e| stored(&e))?;
    let helper = helper::make(engine, unit, &snapshot, mark).await?;
    let seen = look(engine, state, std::slice::from_ref(unit)).await?;
    let stranger = || {
        Failure::new(
            FailureKind::Invariant,
            "lowtide runs in a container that is not part of its own rollout",
        )
    };
    let owner = seen.owner.ok_or_else(stranger)?;
    let record = record(state, unit, seen, owner, clock::now())?;
    let tried = tried(bot, state)?;
    handover::write(&bot.state, &Handover { tried, ..record }).map_err(|e| stored(&e))?;
    verbs::start(engine, &helper).await
}

/// Names a new container in the hand-over record before it starts: only a process named there stands by.
pub(super) fn introduce(bot: &Bot, container: &str, which: Which) -> Result<(), Failure> {
    let gone = || Failure::new(FailureKind::HandoverFailed, "the record of the hand-over is gone");
    let record = handover::read(&bot.state).map_err(|e| stored(&e))?.ok_or_else(gone)?;
    let new = match which {
        Which::New => Some(container.to_owned()),
        Which::Old => record.new,
    };
    handover::write(&bot.state, &Handover { new, ..record }).map_err(|e| stored(&e))
}

/// A hand-over record to `to`, from the observed containers.
fn record(
    state: &RolloutState,
    unit: &Unit,
    seen: ObservedSelfUpdate,
    to: StateOwner,
    deadline: Timestamp,
) -> Result<Handover, Failure> {
    let gone = || Failure::new(FailureKind::HandoverFailed, "the helper is gone");
    let new = seen.units.into_iter().flat_map(|unit| unit.candidates).next();
    Ok(Handover {
        rollout: state.id,
        to,
        deadline,
        overdue: deadline + state.target.bake + SLACK,
        old: unit.old.clone(),
        helper: seen.helper.ok_or_else(gone)?.id,
        new: new.map(|new| new.id),
        tried: (to == StateOwner::New).then_some(deadline),
    })
}

/// Was the state handed to the new one before?
fn tried(bot: &Bot, state: &RolloutState) -> Result<Option<Timestamp>, Failure> {
    let before = handover::read(&bot.state).map_err(|e| stored(&e))?;
    Ok(before
        .filter(|record| record.rollout == state.id)
        .and_then(|record| record.tried))
}

/// Writes the hand-over record, then releases the state. The next owner journals the end of this step.
pub(super) async fn hand_over(
    bot: &Bot,
    engine: &Engine,
    state: &RolloutState,
    unit: &Unit,
    to: StateOwner,
    deadline: Timestamp,
) -> Result<(), Failure> {
    let seen = look(engine, state, std::slice::from_ref(unit)).await?;
    let record = record(state, unit, seen, to, deadline)?;
    let record = match to {
        StateOwner::New => {
            handover::copy(&bot.state, &bot.store).await.map_err(|e| stored(&e))?;
            record
        }
        StateOwner::Old | StateOwner::Helper => Handover {
            tried: tried(bot, state)?,
            ..record
        },
    };
    handover::write(&bot.state, &record).map_err(|e| stored(&e))?;
    info!(%to, "handing over");
    bot.let_go.cancel();
    Ok(())
}

/// Called at the start of the process that holds the state: reserves the exclusive turn for a replacement under way.
///
/// # Errors
/// When the hand-over or the journal cannot be read.
pub async fn take_up(bot: &Bot) -> Result<(), StoreError> {
    let open = bot.store.open_streams().await?;
    match handover::read(&bot.state)? {
        Some(record) if open.iter().any(|row| row.stream == Stream::Rollout(record.rollout)) => {
            bot.work_lock.reserve(record.rollout);
            Ok(())
        }
        Some(_) | None => Ok(()),
    }
}

/// Removes what ended replacements left: the hand-over record, its copy of the database, update helpers. Only the owner of
/// the state may call this. An update helper that holds the state itself stays: no other lowtide is left.
///
/// # Errors
/// When the journal cannot be read; what an engine does not let go is left for the next time.
pub async fn tidy(bot: &Bot) -> Result<(), StoreError> {
    let open = bot.store.open_streams().await?;
    let is_open = |id| open.iter().any(|row| row.stream == Stream::Rollout(id));
    if let Some(record) = handover::read(&bot.state)?
        && !is_open(record.rollout)
    {
        handover::clear(&bot.state)?;
    }
    let fleet = bot.in_force();
    let targets = fleet.fleet.apps.values().flat_map(|app| &app.rollout);
    for target in targets.filter(|target| target.is_own_container()) {
        let Ok(engine) = fleet.engine(&target.settings.host) else {
            continue;
        };
        let swept = async {
            for rollout in helper::all(engine, &bot.instance).await? {
                let ours = helper::look(engine, rollout).await?.map(|helper| helper.id) == own_id();
                if !ours && !is_open(rollout) {
                    helper::dismiss(engine, rollout).await?;
                }
            }
            Ok::<(), crate::clients::engine::error::EngineError>(())
        };
        if let Err(error) = swept.await {
            warn!(%error, "a helper that is done could not be removed");
        }
    }
    Ok(())
}

pub(super) fn stored(error: &StoreError) -> Failure {
    Failure::new(FailureKind::HandoverFailed, error.to_string())
}
