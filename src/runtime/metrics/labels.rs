//! Labels of counters and histograms. Every value is a word of a fixed list, so their number is bounded: no id, no name of
//! an app and no text from outside can become one.

use crate::store::outbox::Delivery;
use lowtide_core::kinds::list::KindName;
use lowtide_model::failure::{FailureKind, Fault};
use lowtide_model::run::Stage;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use serde::Serialize;
use std::fmt::{self, Write as _};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfConclusion {
    pub(super) conclusion: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfStage {
    pub(super) stage: Spelled<Stage>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfStageFailure {
    pub(super) stage: Spelled<Stage>,
    pub(super) fault: Spelled<Fault>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfRunFailure {
    pub(super) stage: Spelled<Stage>,
    pub(super) kind: Spelled<FailureKind>,
    pub(super) fault: Spelled<Fault>,
}

impl OfRunFailure {
    pub(super) fn of(stage: Stage, kind: FailureKind) -> Self {
        let fault = kind.fault();
        Self {
            stage: stage.into(),
            kind: kind.into(),
            fault: fault.into(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfTargetKind {
    pub(super) target_kind: Spelled<KindName>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfRollout {
    pub(super) target_kind: Spelled<KindName>,
    pub(super) conclusion: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfRollback {
    pub(super) target_kind: Spelled<KindName>,
    pub(super) fault: Spelled<Fault>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfPromotion {
    pub(super) result: Spelled<PromotionResult>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfHalt {
    pub(super) reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfDelivery {
    /// Its key in the configuration.
    pub(super) channel: &'static str,
    pub(super) result: Spelled<DeliveryResult>,
}

/// How an attempt to promote ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PromotionResult {
    Promoted,
    Failed,
}

impl PromotionResult {
    pub(super) const ALL: [Self; 2] = [Self::Promoted, Self::Failed];
}

/// How an attempt to deliver a notice ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DeliveryResult {
    Delivered,
    /// Tried again later.
    Delayed,
    /// Never tried again.
    Undeliverable,
}

impl DeliveryResult {
    pub(super) const ALL: [Self; 3] = [Self::Delivered, Self::Delayed, Self::Undeliverable];

    pub(super) fn of(delivery: &Delivery) -> Self {
        match delivery {
            Delivery::Delivered => Self::Delivered,
            Delivery::Later { .. } => Self::Delayed,
            Delivery::Dead { .. } => Self::Undeliverable,
        }
    }
}

/// A word as the journal's JSON spells it, so that a failure is found under one name everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Spelled<T>(T);

impl<T> From<T> for Spelled<T> {
    fn from(word: T) -> Self {
        Self(word)
    }
}

impl<T: Serialize> fmt::Display for Spelled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.serialize(f)
    }
}

impl<T: Serialize + fmt::Debug> EncodeLabelValue for Spelled<T> {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        write!(encoder, "{self}")
    }
}
