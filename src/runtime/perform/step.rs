//! The steps of a rollout: looking, and doing one.

use super::{command, containers, room, self_update, services};
use crate::clients::target::docker::observe as look;
use crate::clients::target::docker::snapshot::Snapshot;
use crate::clients::target::swarm::{self, snapshot::ServiceSnapshot};
use crate::decide::rollout::{KindState, RolloutState};
use crate::model::failure::Failure;
use crate::model::fleet::Select;
use crate::model::hide::masked;
use crate::model::rollout::{Observed, Step, StepOutcome};
use crate::model::secret::Secret;
use crate::model::self_update::SelfUpdateStep;
use crate::model::service::ServiceStep;
use crate::runtime::bot::Bot;
use tokio_util::sync::CancellationToken;

/// Observes the actual state of everything that the rollout moves.
///
/// # Errors
/// As the engine fails: nothing is known then.
pub async fn observe(bot: &Bot, state: &RolloutState) -> Result<Observed, Failure> {
    if state.conclusion.is_some() {
        return Ok(Observed::Nothing);
    }
    let fleet = bot.in_force();
    match &state.kind_state {
        KindState::Containers(containers) => match &containers.units {
            None => Ok(Observed::Nothing),
            Some(units) => {
                let engine = fleet.engine(&state.target.host)?;
                if state.target.select == Select::OwnContainer {
                    let seen = self_update::look(engine, state, units).await?;
                    return Ok(Observed::SelfUpdate(Box::new(seen)));
                }
                let seen = look::observe(engine, state.id, units).await;
                seen.map(Observed::Containers).map_err(|e| e.failure())
            }
        },
        KindState::Services(services) => match &services.units {
            None => Ok(Observed::Nothing),
            Some(units) => {
                let engine = fleet.engine(&state.target.host)?;
                let seen = swarm::observe::observe(engine, state.id, units).await;
                seen.map(Observed::Services).map_err(|e| e.failure())
            }
        },
        KindState::Command(units) => Ok(Observed::Command(command::look(state, units).await?)),
    }
}

/// Carries out one step; `None` when a wait was broken off because the process ends.
pub async fn perform(
    bot: &Bot,
    state: &RolloutState,
    step: &Step,
    shutdown: &CancellationToken,
) -> Option<StepOutcome> {
    let done = match (room_for(bot, step), &state.kind_state) {
        (Err(failure), _) => Err(failure),
        (Ok(()), KindState::Containers(units)) => containers::perform(bot, state, units, step, shutdown).await,
        (Ok(()), KindState::Services(units)) => services::perform(bot, state, units, step, shutdown).await,
        (Ok(()), KindState::Command(units)) => command::perform(bot, state, units, step, shutdown).await,
    };
    let waits = matches!(
        step,
        Step::AwaitReady { .. } | Step::Drain { .. } | Step::Service(ServiceStep::Prepull { .. }) | Step::Command(_)
    );
    let outcome = match done {
        // The next owner of the state journals the end of this step.
        Ok(_) if matches!(step, Step::SelfUpdate(SelfUpdateStep::Yield { .. })) => return None,
        Ok(outcome) => outcome,
        Err(_) if shutdown.is_cancelled() && waits => return None,
        Err(failure) => StepOutcome::Failed { failure },
    };
    Some(masked_outcome(outcome, bot, state))
}

/// Checks once, before the first change, that the state directory has room for the rollout. After the first change,
/// finishing and rolling back need the same space.
fn room_for(bot: &Bot, step: &Step) -> Result<(), Failure> {
    if *step == Step::Preflight {
        room::enough(&bot.state, room::ROLLOUT)
    } else {
        Ok(())
    }
}

/// Masks secrets in the output of containers, hooks and commands, which goes into the journal and into mails.
fn masked_outcome(outcome: StepOutcome, bot: &Bot, state: &RolloutState) -> StepOutcome {
    match outcome {
        StepOutcome::Failed { failure } => StepOutcome::Failed {
            failure: failure.masked(&secrets(bot, state)),
        },
        StepOutcome::Kept { log, exit_code } => {
            let secrets = secrets(bot, state);
            StepOutcome::Kept {
                log: log.iter().map(|line| masked(line, &secrets)).collect(),
                exit_code,
            }
        }
        StepOutcome::Ran { output } => {
            let secrets = secrets(bot, state);
            StepOutcome::Ran {
                output: output.iter().map(|line| masked(line, &secrets)).collect(),
            }
        }
        StepOutcome::Done
        | StepOutcome::Unchanged
        | StepOutcome::Preflighted { .. }
        | StepOutcome::ServicesPreflighted { .. }
        | StepOutcome::CommandPreflighted { .. }
        | StepOutcome::Pulled { .. }
        | StepOutcome::Prepulled { .. }
        | StepOutcome::Busy { .. } => outcome,
    }
}

/// The secrets to mask. Skips a snapshot that cannot be read: the step that needs it fails by itself.
pub(super) fn secrets(bot: &Bot, state: &RolloutState) -> Vec<Secret> {
    match &state.kind_state {
        KindState::Containers(containers) => {
            let units = containers.units.iter().flatten();
            units
                .filter_map(|unit| Snapshot::from_bytes(&bot.sealed.read(&unit.snapshot).ok()?).ok())
                .flat_map(|snapshot| snapshot.secrets())
                .collect()
        }
        KindState::Services(services) => services
            .snapshots()
            .filter_map(|snapshot| ServiceSnapshot::from_bytes(&bot.sealed.read(snapshot).ok()?).ok())
            .flat_map(|snapshot| snapshot.secrets())
            .collect(),
        KindState::Command(_) => command::secrets(state),
    }
}
