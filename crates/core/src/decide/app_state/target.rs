//! State of a target, folded from its app's events.

use super::{Record, Refused, TargetState};
use crate::decide::notify;
use crate::fleet::app_state::Placed;
use crate::fleet::app_state::Worked;
use jiff::Timestamp;
use lowtide_model::drift::Drift;
use lowtide_model::failure::FailureKind;
use lowtide_model::name::{RolloutId, RunId};
use lowtide_model::rollout::RolloutConclusion;

/// Rollouts whose length is remembered per target.
const LENGTHS: usize = 20;

impl TargetState {
    /// `withdrawn`: its release is quarantined by now.
    pub(super) fn end(
        &mut self,
        (rollout, release): (RolloutId, RunId),
        conclusion: &RolloutConclusion,
        withdrawn: bool,
        at: Timestamp,
    ) {
        self.open = None;
        self.ended = Some((rollout, release));
        self.last = Some((release, conclusion.clone()));
        match conclusion {
            RolloutConclusion::Stuck { .. } => {
                self.record = Record::Doubtful;
                // The target is half-changed by our own rollout, so a difference is no drift.
                (self.placed, self.drift) = (None, None);
            }
            RolloutConclusion::Done | RolloutConclusion::Reverted { .. } => self.record = Record::Certain,
            RolloutConclusion::AlreadyThere
            | RolloutConclusion::Refused { .. }
            | RolloutConclusion::Superseded { .. } => {}
        }
        self.remember_refusal((rollout, release), conclusion, at);
        // The release that takes its place inherits the wait.
        if !matches!(conclusion, RolloutConclusion::Superseded { .. }) {
            self.waits = None;
        }
        if !has_arrived(conclusion) {
            return;
        }
        self.drift = None;
        self.overtaken = withdrawn;
        if self.current != Some(release) {
            let adopted = self.adopted.as_ref().map(|adopted| adopted.run);
            self.previous = self.current.replace(release).or(adopted);
        }
    }

    fn remember_refusal(&mut self, ids: (RolloutId, RunId), conclusion: &RolloutConclusion, at: Timestamp) {
        let (first, release) = ids;
        match conclusion {
            RolloutConclusion::Refused { failure } | RolloutConclusion::Reverted { failure }
                if is_refusal(conclusion) =>
            {
                let known = self.refused.take();
                let (first, since, cause) = known.map_or_else(
                    || (first, at, notify::trouble(failure)),
                    |known| (known.first, known.since, known.cause),
                );
                self.refused = Some(Box::new(Refused {
                    first,
                    since,
                    cause,
                    release,
                    failure: failure.clone(),
                }));
            }
            RolloutConclusion::Superseded { .. } => {}
            RolloutConclusion::Done
            | RolloutConclusion::AlreadyThere
            | RolloutConclusion::Refused { .. }
            | RolloutConclusion::Reverted { .. }
            | RolloutConclusion::Stuck { .. } => self.refused = None,
        }
    }

    /// Drift from what an earlier rollout placed says nothing about a later one.
    pub(super) fn drifts(&mut self, rollout: RolloutId, drift: Option<&Drift>, at: Timestamp) {
        if self.placed.as_ref().is_none_or(|(placed, _)| *placed != rollout) {
            return;
        }
        self.restore &= drift.is_some();
        let since = self.drift.take().map_or(at, |(since, _)| since);
        self.drift = drift.map(|drift| (since, drift.clone()));
    }

    /// Records what later rollouts of the target need to know about one that ended.
    pub(super) fn learn(
        &mut self,
        (rollout, release): (RolloutId, RunId),
        worked: Option<&Worked>,
        placed: Option<&Placed>,
    ) {
        if let Some(placed) = placed {
            self.placed = Some((rollout, placed.clone()));
        }
        let Some(worked) = worked else { return };
        self.units = worked.units;
        self.took.extend(worked.took);
        let surplus = self.took.len().saturating_sub(LENGTHS);
        self.took.drain(..surplus);
        if let Some(opening) = &worked.opening {
            self.opening = Some((release, opening.clone()));
        }
    }

    /// Would a rollout of this release bring something that the target has not run yet?
    #[must_use]
    pub fn is_news(&self, release: RunId) -> bool {
        self.current.is_none_or(|good| release > good)
    }
}

pub(super) fn has_arrived(conclusion: &RolloutConclusion) -> bool {
    match conclusion {
        RolloutConclusion::Done | RolloutConclusion::AlreadyThere => true,
        RolloutConclusion::Refused { .. }
        | RolloutConclusion::Superseded { .. }
        | RolloutConclusion::Reverted { .. }
        | RolloutConclusion::Stuck { .. } => false,
    }
}

/// Did the rollout end for a reason unrelated to its release, so that the release is still pending?
fn is_refusal(conclusion: &RolloutConclusion) -> bool {
    match conclusion {
        // An operator withdrew the release.
        RolloutConclusion::Refused { failure } => failure.kind != FailureKind::Withdrawn,
        RolloutConclusion::Reverted { failure } => failure.kind == FailureKind::WindowClosed,
        RolloutConclusion::Done
        | RolloutConclusion::AlreadyThere
        | RolloutConclusion::Superseded { .. }
        | RolloutConclusion::Stuck { .. } => false,
    }
}
