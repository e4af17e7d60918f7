//! The steps that only lowtide's own container needs, and what is left of them.

use crate::clients::clock;
use crate::clients::engine::connect::Engine;
use crate::clients::target::docker::body::Mark;
use crate::clients::target::docker::own::own_id;
use crate::clients::target::docker::preflight::Preflight;
use crate::clients::target::docker::snapshot::Snapshot;
use crate::clients::target::docker::{keeper, observe, own, verbs};
use crate::decide::rollout::RolloutState;
use crate::model::failure::{Failure, FailureKind};
use crate::model::fleet::Select;
use crate::model::itself::{Handover, Holder, ObservedItself, OwnStep};
use crate::model::journal::Stream;
use crate::model::rollout::{EndedBy, Unit, Which};
use crate::runtime::bot::Bot;
use crate::store::error::StoreError;
use crate::store::handover;
use jiff::{SignedDuration, Timestamp};
use std::path::Path;
use tracing::{info, warn};

/// Beyond the bake, for a new one that is only slow to end.
const SLACK: SignedDuration = SignedDuration::from_mins(5);

/// What is there, and who this process is.
pub(super) async fn look(engine: &Engine, state: &RolloutState, units: &[Unit]) -> Result<ObservedItself, Failure> {
    let keeper = keeper::look(engine, state.id).await.map_err(|e| e.failure())?;
    let units_seen = observe::observe(engine, state.id, units).await;
    let mut units_seen = units_seen.map_err(|e| e.failure())?;
    // The keeper stops a new one that is overdue: that is no stranger's call.
    for new in units_seen.iter_mut().flat_map(|unit| &mut unit.candidates) {
        new.ended_by = EndedBy::Itself;
    }
    let id = own_id();
    let is = |other: &str| id.as_deref() == Some(other);
    let holder = if units.iter().any(|unit| is(&unit.old)) {
        Some(Holder::Old)
    } else if keeper.as_ref().is_some_and(|keeper| is(&keeper.id)) {
        Some(Holder::Keeper)
    } else {
        let mut new = units_seen.iter().flat_map(|unit| &unit.candidates);
        new.any(|new| is(&new.id)).then_some(Holder::New)
    };
    Ok(ObservedItself {
        holder,
        units: units_seen,
        keeper,
    })
}

/// Refuses what only matters for lowtide's own container.
pub(super) fn fit(found: &Preflight, state: &Path) -> Result<(), Failure> {
    let refused = |detail| Err(Failure::new(FailureKind::PreflightRefused, detail));
    let ([_], [snapshot]) = (found.units.as_slice(), found.snapshots.as_slice()) else {
        return refused("other containers hold on to lowtide's own: they cannot be moved with it".to_owned());
    };
    let snapshot = Snapshot::read(snapshot)?;
    match own::refusals(&snapshot.container, state) {
        refusals if refusals.is_empty() => Ok(()),
        refusals => refused(refusals.join("; ")),
    }
}

pub(super) async fn perform(
    bot: &Bot,
    engine: &Engine,
    state: &RolloutState,
    unit: &Unit,
    mark: &Mark<'_>,
    step: OwnStep,
) -> Result<(), Failure> {
    match step {
        OwnStep::Keep => keep(bot, engine, state, unit, mark).await,
        OwnStep::Dismiss => keeper::dismiss(engine, state.id).await.map_err(|e| e.failure()),
        OwnStep::Yield { to, deadline } => hand_over(bot, engine, state, unit, to, deadline).await,
    }
}

/// The keeper is named before it runs: one that nobody has named would take itself for one too many, and leave. Until
/// the state is handed over it is whose it was.
async fn keep(bot: &Bot, engine: &Engine, state: &RolloutState, unit: &Unit, mark: &Mark<'_>) -> Result<(), Failure> {
    let snapshot = bot.sealed.read(&unit.snapshot).map_err(|e| stored(&e))?;
    let keeper = keeper::make(engine, unit, &snapshot, mark).await?;
    let seen = look(engine, state, std::slice::from_ref(unit)).await?;
    let stranger = || {
        Failure::new(
            FailureKind::Invariant,
            "lowtide runs in a container that is not part of its own rollout",
        )
    };
    let holder = seen.holder.ok_or_else(stranger)?;
    let record = record(state, unit, seen, holder, clock::now())?;
    let tried = tried(bot, state)?;
    handover::write(&bot.state, &Handover { tried, ..record }).map_err(|e| stored(&e))?;
    verbs::start(engine, &keeper).await
}

/// Before another one runs: it stands by because the hand-over names it.
pub(super) fn introduce(bot: &Bot, container: &str, which: Which) -> Result<(), Failure> {
    let gone = || Failure::new(FailureKind::HandoverFailed, "the record of the hand-over is gone");
    let record = handover::read(&bot.state).map_err(|e| stored(&e))?.ok_or_else(gone)?;
    let new = match which {
        Which::New => Some(container.to_owned()),
        Which::Old => record.new,
    };
    handover::write(&bot.state, &Handover { new, ..record }).map_err(|e| stored(&e))
}

/// What is there, as a hand-over to `to`.
fn record(
    state: &RolloutState,
    unit: &Unit,
    seen: ObservedItself,
    to: Holder,
    deadline: Timestamp,
) -> Result<Handover, Failure> {
    let gone = || Failure::new(FailureKind::HandoverFailed, "the keeper is gone");
    let new = seen.units.into_iter().flat_map(|unit| unit.candidates).next();
    Ok(Handover {
        rollout: state.id,
        to,
        deadline,
        overdue: deadline + state.target.bake + SLACK,
        old: unit.old.clone(),
        keeper: seen.keeper.ok_or_else(gone)?.id,
        new: new.map(|new| new.id),
        tried: (to == Holder::New).then_some(deadline),
    })
}

/// Was the state handed to the new one before?
fn tried(bot: &Bot, state: &RolloutState) -> Result<Option<Timestamp>, Failure> {
    let before = handover::read(&bot.state).map_err(|e| stored(&e))?;
    Ok(before
        .filter(|record| record.rollout == state.id)
        .and_then(|record| record.tried))
}

/// Leaves word of who is next, then lets go. The step is ended by whoever takes the state.
async fn hand_over(
    bot: &Bot,
    engine: &Engine,
    state: &RolloutState,
    unit: &Unit,
    to: Holder,
    deadline: Timestamp,
) -> Result<(), Failure> {
    let seen = look(engine, state, std::slice::from_ref(unit)).await?;
    let record = record(state, unit, seen, to, deadline)?;
    let record = match to {
        Holder::New => {
            handover::copy(&bot.state, &bot.store).await.map_err(|e| stored(&e))?;
            record
        }
        Holder::Old | Holder::Keeper => Handover {
            tried: tried(bot, state)?,
            ..record
        },
    };
    handover::write(&bot.state, &record).map_err(|e| stored(&e))?;
    info!(%to, "handing over");
    bot.let_go.cancel();
    Ok(())
}

/// At the start of whoever took the state: a replacement under way has its turn before anything else.
///
/// # Errors
/// When the hand-over or the journal cannot be read.
pub async fn take_up(bot: &Bot) -> Result<(), StoreError> {
    let open = bot.store.open_streams().await?;
    match handover::read(&bot.state)? {
        Some(record) if open.iter().any(|row| row.stream == Stream::Rollout(record.rollout)) => {
            bot.turns.reserve(record.rollout);
            Ok(())
        }
        Some(_) | None => Ok(()),
    }
}

/// What is left of replacements that have ended: the hand-over, its copy of the database, keepers. Called by whoever holds
/// the state. A keeper that holds it itself stays: it is all there is.
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
    for target in targets.filter(|target| target.select == Select::Itself) {
        let Ok(engine) = fleet.engine(&target.host) else {
            continue;
        };
        let swept = async {
            for rollout in keeper::all(engine, &bot.instance).await? {
                let ours = keeper::look(engine, rollout).await?.map(|keeper| keeper.id) == own_id();
                if !ours && !is_open(rollout) {
                    keeper::dismiss(engine, rollout).await?;
                }
            }
            Ok::<(), crate::clients::engine::error::EngineError>(())
        };
        if let Err(error) = swept.await {
            warn!(%error, "a keeper that is done could not be removed");
        }
    }
    Ok(())
}

fn stored(error: &StoreError) -> Failure {
    Failure::new(FailureKind::HandoverFailed, error.to_string())
}
