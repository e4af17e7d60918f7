//! The runtime's contract, for lowtide's own container.

use super::helper;
use super::perform::{fit, hand_over, introduce, look, start_helper, stored};
use crate::clients::engine::connect::Engine;
use crate::runtime::kinds::containers::effects as containers;
use crate::runtime::kinds::containers::perform::Stage;
use crate::runtime::kinds::containers::sight::Listing;
use crate::runtime::kinds::effects::{Connect, Effects, RolloutOf};
use crate::store::handover;
use lowtide_core::fleet::app::App;
use lowtide_core::kinds::containers::step::ContainerStep;
use lowtide_core::kinds::kind::TargetSettings;
use lowtide_core::kinds::self_update::model::ObservedSelfUpdate;
use lowtide_core::kinds::self_update::owner::taken_over;
use lowtide_core::kinds::self_update::policy::SelfUpdatePolicy;
use lowtide_core::kinds::self_update::step::{SelfUpdateOutcome, SelfUpdateStep};
use lowtide_core::kinds::track::Ended;
use lowtide_model::drift::Sighted;
use lowtide_model::failure::Failure;
use lowtide_model::release::Release;
use lowtide_model::rollout::Which;
use lowtide_model::secret::Secret;

impl Effects for SelfUpdatePolicy {
    async fn observe(of: &RolloutOf<'_, Self>) -> Result<Option<ObservedSelfUpdate>, Failure> {
        let Some(units) = &of.track.state.containers.units else {
            return Ok(None);
        };
        look(of.engine()?, of.state, units).await.map(Some)
    }

    async fn perform(of: &RolloutOf<'_, Self>, step: &SelfUpdateStep) -> Result<Ended<SelfUpdateOutcome>, Failure> {
        let stage = Stage {
            bot: of.bot,
            fleet: of.fleet,
            engine: of.engine()?,
            state: of.state,
            policy: &of.track.policy.container,
            containers: &of.track.state.containers,
            refuse: &|found| fit(found, &of.bot.state),
            secrets: &|| Self::secrets(of),
            shutdown: of.shutdown,
        };
        match step {
            SelfUpdateStep::Container { container_step } => {
                if let ContainerStep::Start { container, which, .. } = container_step {
                    introduce(of.bot, container, *which)?;
                }
                let ended = stage.perform(container_step).await?;
                return Ok(ended.map(SelfUpdateOutcome::Container));
            }
            SelfUpdateStep::StartHelper => {
                // Preflight made sure that this target is exactly one container.
                let unit = stage.unit(0)?;
                let mark = stage.mark(unit.index, Which::New);
                start_helper(of.bot, stage.engine, of.state, unit, &mark).await?;
            }
            SelfUpdateStep::RemoveHelper => {
                let removed = helper::dismiss(stage.engine, of.state.id).await;
                removed.map_err(|e| e.failure())?;
            }
            SelfUpdateStep::HandOver { to, deadline } => {
                hand_over(of.bot, stage.engine, of.state, stage.unit(0)?, *to, *deadline).await?;
            }
        }
        Ok(Ended::Well {
            outcome: SelfUpdateOutcome::Done,
        })
    }

    fn ends_elsewhere(step: &SelfUpdateStep) -> bool {
        match step {
            SelfUpdateStep::HandOver { .. } => true,
            SelfUpdateStep::Container { .. } | SelfUpdateStep::StartHelper | SelfUpdateStep::RemoveHelper => false,
        }
    }

    async fn take_up(
        of: &RolloutOf<'_, Self>,
        step: &SelfUpdateStep,
    ) -> Result<Option<Ended<SelfUpdateOutcome>>, Failure> {
        if let SelfUpdateStep::Container {
            container_step: ContainerStep::TryOut { .. },
        } = step
        {
            containers::sweep_trial(of).await;
        }
        let record = handover::read(&of.bot.state).map_err(|e| stored(&e))?;
        let (Some(_), Some(units)) = (&record, &of.track.state.containers.units) else {
            return Ok(None);
        };
        let seen = look(of.engine()?, of.state, units).await?;
        Ok(taken_over(step, record.as_ref(), seen.owner))
    }

    fn secrets(of: &RolloutOf<'_, Self>) -> Vec<Secret> {
        containers::secrets(of)
    }

    fn adopted(of: &RolloutOf<'_, Self>) -> Option<Release> {
        containers::adopted(of, &of.track.state.containers)
    }

    async fn sight(&self, engine: &Engine, listing: &Listing, app: &App) -> Result<Option<Vec<Sighted>>, String> {
        self.container.sight(engine, listing, app).await
    }

    async fn check(&self, connect: Connect<'_>, target: &TargetSettings, app: &App) -> Result<String, String> {
        self.container.check(connect, target, app).await
    }
}
