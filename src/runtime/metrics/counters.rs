//! What has happened since this process started, counted when it is committed to the journal. A restart begins at zero,
//! which `rate()` and `increase()` expect; a run or rollout that a kill interrupted is counted by the process that ends it.

use super::families::{Counts, Families};
use super::labels::{
    DeliveryResult, OfConclusion, OfDelivery, OfHalt, OfPromotion, OfRollback, OfRollout, OfRunFailure, OfStage,
    OfStageFailure, OfTargetKind, PromotionResult,
};
use crate::store::outbox::Delivery;
use jiff::Timestamp;
use lowtide_core::channels::list::Address;
use lowtide_core::decide::rollout::RolloutState;
use lowtide_core::decide::run::{Progress, RunState};
use lowtide_core::fleet::app_state::AppEvent;
use lowtide_core::fleet::rollout::RolloutEvent;
use lowtide_core::fleet::run::RunEvent;
use lowtide_core::kinds::list::KindName;
use lowtide_model::failure::{Failure, HaltReason};
use lowtide_model::rollout::{Goal, RolloutConclusion};
use lowtide_model::run::{Conclusion, Outcome, Stage};
use prometheus_client::registry::Registry;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};

/// See the module.
#[derive(Debug)]
pub struct Counters {
    families: Families,
    registry: Registry,
    counted: AtomicU64,
}

impl Default for Counters {
    fn default() -> Self {
        let families = Families::default();
        Self {
            registry: families.registry(),
            families,
            counted: AtomicU64::new(0),
        }
    }
}

impl Counters {
    /// Grows with everything that is counted.
    #[must_use]
    pub fn counted(&self) -> u64 {
        self.counted.load(Ordering::Acquire)
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// An event of a run was committed. `before`: the run without it.
    pub(in crate::runtime) fn run(&self, before: &RunState, event: &RunEvent, at: Timestamp) {
        match event {
            RunEvent::EffectEnded { outcome } => {
                if let Progress::Started { effect, at: begun, .. } = &before.effect {
                    self.stage(effect.stage(), outcome, seconds(*begun, at));
                }
            }
            RunEvent::Concluded { conclusion } => self.run_ended(conclusion, seconds(before.opened, at)),
            RunEvent::Opened { .. }
            | RunEvent::EffectStarted { .. }
            | RunEvent::EffectAbandoned { .. }
            | RunEvent::CancelRequested { .. } => {}
        }
    }

    /// An event of a rollout was committed. `before`: the rollout without it.
    pub(in crate::runtime) fn rollout(&self, before: &RolloutState, event: &RolloutEvent, at: Timestamp) {
        match event {
            RolloutEvent::RevertDecided { failure } => match before.goal {
                Goal::Forward => self.rolled_back(before.kind.kind(), failure),
                Goal::Back => {}
            },
            RolloutEvent::Concluded { conclusion } => self.rollout_ended(before, conclusion, at),
            RolloutEvent::Opened { .. }
            | RolloutEvent::Expedited { .. }
            | RolloutEvent::Entered { .. }
            | RolloutEvent::Suspended { .. }
            | RolloutEvent::LateNoticeSent { .. }
            | RolloutEvent::StepStarted { .. }
            | RolloutEvent::StepEnded { .. }
            | RolloutEvent::StepAbandoned
            | RolloutEvent::BakeStarted { .. } => {}
        }
    }

    /// A fact about an app was committed.
    pub(in crate::runtime) fn fact(&self, fact: &AppEvent) {
        match fact {
            AppEvent::Promoted { .. } => self.promotion(PromotionResult::Promoted),
            AppEvent::PromoteFailed { .. } => self.promotion(PromotionResult::Failed),
            AppEvent::Halted { reason, .. } => self.halted(reason),
            AppEvent::Tracked
            | AppEvent::ScheduleFired { .. }
            | AppEvent::Released { .. }
            | AppEvent::BasesKnown { .. }
            | AppEvent::ImagesSeen { .. }
            | AppEvent::Retested { .. }
            | AppEvent::Judged { .. }
            | AppEvent::UnfixableUpdates { .. }
            | AppEvent::RunFailed { .. }
            | AppEvent::RunRecovered { .. }
            | AppEvent::PromoteStarted { .. }
            | AppEvent::Again { .. }
            | AppEvent::Adopted { .. }
            | AppEvent::RolloutOpened { .. }
            | AppEvent::RolloutEnded { .. }
            | AppEvent::Drifted { .. }
            | AppEvent::TagsExpired { .. }
            | AppEvent::TagsRemoved { .. }
            | AppEvent::RegistryDrifted { .. }
            | AppEvent::Quarantined { .. }
            | AppEvent::Unquarantined { .. }
            | AppEvent::Resumed { .. }
            | AppEvent::Expedited { .. }
            | AppEvent::Cancelled { .. }
            | AppEvent::RequestCompleted
            | AppEvent::Checkpoint { .. } => {}
        }
    }

    /// An attempt to deliver a notice was recorded.
    pub(in crate::runtime) fn delivery(&self, address: &Address, delivery: &Delivery) {
        let labels = OfDelivery {
            channel: address.channel(),
            result: DeliveryResult::of(delivery).into(),
        };
        self.count(&self.families.deliveries, &labels);
    }

    fn stage(&self, stage: Stage, outcome: &Outcome, seconds: f64) {
        self.families
            .stage_durations
            .get_or_create(&OfStage { stage: stage.into() })
            .observe(seconds);
        match outcome {
            Outcome::Failed(failure) => {
                let fault = failure.fault();
                self.families
                    .stage_failures
                    .get_or_create(&OfStageFailure {
                        stage: stage.into(),
                        fault: fault.into(),
                    })
                    .inc();
            }
            Outcome::Resolved(_)
            | Outcome::Built(_)
            | Outcome::Pulled(_)
            | Outcome::Inspected(_)
            | Outcome::Bootstrapped(_)
            | Outcome::Tested(_)
            | Outcome::Published(_) => {}
        }
        self.counted.fetch_add(1, Ordering::AcqRel);
    }

    fn run_ended(&self, conclusion: &Conclusion, seconds: f64) {
        match conclusion {
            Conclusion::Failed { stage, failure } => {
                let labels = OfRunFailure::of(*stage, failure.kind);
                self.families.run_failures.get_or_create(&labels).inc();
            }
            Conclusion::Unchanged { .. }
            | Conclusion::Retested { .. }
            | Conclusion::Released { .. }
            | Conclusion::Observed { .. }
            | Conclusion::Cancelled { .. } => {}
        }
        let conclusion = conclusion.word();
        let labels = OfConclusion { conclusion };
        self.families.run_durations.get_or_create(&labels).observe(seconds);
        self.count(&self.families.runs, &labels);
    }

    fn rolled_back(&self, target_kind: KindName, failure: &Failure) {
        let fault = failure.fault();
        self.count(
            &self.families.rollbacks,
            &OfRollback {
                target_kind: target_kind.into(),
                fault: fault.into(),
            },
        );
    }

    fn rollout_ended(&self, before: &RolloutState, conclusion: &RolloutConclusion, at: Timestamp) {
        let target_kind = before.kind.kind();
        let labels = OfTargetKind {
            target_kind: target_kind.into(),
        };
        let durations = self.families.rollout_durations.get_or_create(&labels);
        durations.observe(seconds(before.opened, at));
        drop(durations);
        // What changed nothing has only waited.
        let begun = before.window_progress.begun.unwrap_or(at);
        let waits = self.families.rollout_waits.get_or_create(&labels);
        waits.observe(seconds(before.opened, begun));
        drop(waits);
        let conclusion = conclusion.word();
        let labels = OfRollout {
            target_kind: target_kind.into(),
            conclusion,
        };
        self.count(&self.families.rollouts, &labels);
    }

    fn promotion(&self, result: PromotionResult) {
        self.count(&self.families.promotions, &OfPromotion { result: result.into() });
    }

    fn halted(&self, reason: &HaltReason) {
        let reason = reason.word();
        self.count(&self.families.halts, &OfHalt { reason });
    }

    fn count<L: Clone + Hash + Eq>(&self, counts: &Counts<L>, labels: &L) {
        counts.get_or_create(labels).inc();
        // After the counter: whoever sees this grow finds it on the page.
        self.counted.fetch_add(1, Ordering::AcqRel);
    }
}

/// Not less than 0: the clock may have been set back in between.
fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}
