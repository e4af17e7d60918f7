//! The families of counters and histograms: their names, what they mean, their buckets, and every series they can have.

use super::labels::{
    DeliveryResult, OfConclusion, OfDelivery, OfHalt, OfPromotion, OfRollback, OfRollout, OfRunFailure, OfStage,
    OfStageFailure, OfTargetKind, PromotionResult,
};
use lowtide_core::channels::list as channels;
use lowtide_core::kinds::list::KindName;
use lowtide_model::failure::{FailureKind, Fault, HaltReason};
use lowtide_model::rollout::RolloutConclusion;
use lowtide_model::run::{Conclusion, Stage};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::hash::Hash;

/// Upper bounds in seconds: nothing to gain is found in milliseconds, a build may take hours.
const WORK: [f64; 15] = [
    0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 14_400.0,
];
/// The same of rollouts, which may wait weeks for their window.
const ROLLOUT: [f64; 14] = [
    10.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
    1800.0,
    3600.0,
    14_400.0,
    43_200.0,
    86_400.0,
    259_200.0,
    604_800.0,
    1_209_600.0,
];

pub(super) type Counts<L> = Family<L, Counter>;
pub(super) type Durations<L> = Family<L, Histogram, fn() -> Histogram>;

/// See the module.
#[derive(Debug)]
pub(super) struct Families {
    pub(super) runs: Counts<OfConclusion>,
    pub(super) run_failures: Counts<OfRunFailure>,
    pub(super) run_durations: Durations<OfConclusion>,
    pub(super) stage_failures: Counts<OfStageFailure>,
    pub(super) stage_durations: Durations<OfStage>,
    pub(super) rollouts: Counts<OfRollout>,
    pub(super) rollbacks: Counts<OfRollback>,
    pub(super) rollout_durations: Durations<OfTargetKind>,
    pub(super) rollout_waits: Durations<OfTargetKind>,
    pub(super) promotions: Counts<OfPromotion>,
    pub(super) halts: Counts<OfHalt>,
    pub(super) deliveries: Counts<OfDelivery>,
}

impl Default for Families {
    fn default() -> Self {
        let families = Self {
            runs: Family::default(),
            run_failures: Family::default(),
            run_durations: Family::new_with_constructor(work),
            stage_failures: Family::default(),
            stage_durations: Family::new_with_constructor(work),
            rollouts: Family::default(),
            rollbacks: Family::default(),
            rollout_durations: Family::new_with_constructor(rollout),
            rollout_waits: Family::new_with_constructor(rollout),
            promotions: Family::default(),
            halts: Family::default(),
            deliveries: Family::default(),
        };
        families.begin_at_zero();
        families
    }
}

impl Families {
    /// The registry appends `_total` to counters, `_seconds` to durations, and a full stop to the help.
    pub(super) fn registry(&self) -> Registry {
        let mut all = Registry::with_prefix("lowtide");
        all.register("runs", "Runs that ended", self.runs.clone());
        all.register(
            "run_failures",
            "Runs that ended as failed, by the stage and kind of the failure and by who needs to act",
            self.run_failures.clone(),
        );
        all.register_with_unit(
            "run_duration",
            "Time from opening a run to its end, waits included",
            Unit::Seconds,
            self.run_durations.clone(),
        );
        all.register(
            "stage_failures",
            "Failed attempts of a stage; an attempt that failed for an infrastructure fault is repeated within its run",
            self.stage_failures.clone(),
        );
        all.register_with_unit(
            "stage_duration",
            "Time of one attempt of a stage, failed ones included",
            Unit::Seconds,
            self.stage_durations.clone(),
        );
        all.register("rollouts", "Rollouts that ended", self.rollouts.clone());
        all.register(
            "rollbacks",
            "Rollouts that turned back to the previous release, by who needs to act",
            self.rollbacks.clone(),
        );
        all.register_with_unit(
            "rollout_duration",
            "Time from opening a rollout to its end, waits and bake included",
            Unit::Seconds,
            self.rollout_durations.clone(),
        );
        all.register_with_unit(
            "rollout_wait",
            "The part of a rollout's duration before its first change: its window, a pause, a halt, a slot",
            Unit::Seconds,
            self.rollout_waits.clone(),
        );
        all.register(
            "promotions",
            "Attempts to promote a release to a channel",
            self.promotions.clone(),
        );
        all.register("halts", "Halts of apps", self.halts.clone());
        all.register(
            "notice_deliveries",
            "Attempts to deliver a notice",
            self.deliveries.clone(),
        );
        all
    }

    /// Creates every series, because `increase()` does not see the event that creates one.
    fn begin_at_zero(&self) {
        for conclusion in Conclusion::WORDS {
            create(&self.runs, OfConclusion { conclusion });
            create(&self.run_durations, OfConclusion { conclusion });
        }
        for stage in Stage::ALL {
            create(&self.stage_durations, OfStage { stage: stage.into() });
            for fault in Fault::ALL {
                create(
                    &self.stage_failures,
                    OfStageFailure {
                        stage: stage.into(),
                        fault: fault.into(),
                    },
                );
            }
            for kind in FailureKind::ALL {
                create(&self.run_failures, OfRunFailure::of(stage, *kind));
            }
        }
        for target_kind in KindName::ALL.iter().copied() {
            create(
                &self.rollout_durations,
                OfTargetKind {
                    target_kind: target_kind.into(),
                },
            );
            create(
                &self.rollout_waits,
                OfTargetKind {
                    target_kind: target_kind.into(),
                },
            );
            for conclusion in RolloutConclusion::WORDS {
                let labels = OfRollout {
                    target_kind: target_kind.into(),
                    conclusion,
                };
                create(&self.rollouts, labels);
            }
            for fault in Fault::ALL {
                create(
                    &self.rollbacks,
                    OfRollback {
                        target_kind: target_kind.into(),
                        fault: fault.into(),
                    },
                );
            }
        }
        for result in PromotionResult::ALL {
            create(&self.promotions, OfPromotion { result: result.into() });
        }
        for reason in HaltReason::WORDS {
            create(&self.halts, OfHalt { reason });
        }
        for &channel in channels::KEYS {
            for result in DeliveryResult::ALL {
                create(
                    &self.deliveries,
                    OfDelivery {
                        channel,
                        result: result.into(),
                    },
                );
            }
        }
    }
}

fn create<L: Clone + Hash + Eq, M, C: MetricConstructor<M>>(family: &Family<L, M, C>, labels: L) {
    drop(family.get_or_create(&labels));
}

fn work() -> Histogram {
    Histogram::new(WORK)
}

fn rollout() -> Histogram {
    Histogram::new(ROLLOUT)
}
