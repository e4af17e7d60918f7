//! What stays true of a target.

use crate::decide::notify;
use crate::model::drift::{Drift, Placed};
use crate::model::failure::{Failure, FailureKind};
use crate::model::name::{RolloutId, RunId};
use crate::model::rollout::RolloutConclusion;
use crate::model::standing::{Release, Worked};
use crate::model::window::Occurrence;
use jiff::{SignedDuration, Timestamp};

/// Rollouts whose length is remembered per target.
const LENGTHS: usize = 20;

#[derive(Debug, Clone, PartialEq, Default)]
pub struct TargetState {
    /// The rollout under way.
    pub open: Option<(RolloutId, RunId)>,
    /// When the last rollout was opened.
    pub tried: Option<Timestamp>,
    /// The open rollout bakes twice as long.
    pub probation: bool,
    /// What the target runs as far as we put it there: the last known good.
    pub good: Option<RunId>,
    /// The one before it: where `revert` goes.
    pub before: Option<RunId>,
    /// The image that its owner had put there before our first release arrived. It is rolled back to, never rolled out.
    pub adopted: Option<Box<Release>>,
    /// What it runs was taken back before it had arrived, and too late to turn back on the way.
    pub overtaken: bool,
    pub last: Option<(RunId, RolloutConclusion)>,
    /// A release that it did not take.
    pub refused: Option<Box<Refused>>,
    /// What it really runs, where nobody can be asked but this record.
    pub record: Record,
    /// What the last rollout that arrived left there.
    pub placed: Option<(RolloutId, Placed)>,
    /// Since when that is no longer what it runs.
    pub drift: Option<(Timestamp, Drift)>,
    /// An operator wants back what the last rollout left there.
    pub restore: bool,
    /// The rollout that ended last, and what it brought.
    pub ended: Option<(RolloutId, RunId)>,
    /// Since when a release waits to arrive, one that took another's place included.
    pub waits: Option<Waits>,
    /// How long earlier rollouts worked, newest last.
    pub took: Vec<SignedDuration>,
    /// Containers, as of the last rollout.
    pub units: usize,
    /// The opening in which this release was begun last: it is not used twice for it.
    pub opening: Option<(RunId, Occurrence)>,
}

/// Whether what is remembered of a target can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Record {
    #[default]
    Certain,
    /// The last rollout got stuck, and none has ended well since.
    Doubtful,
}

/// A release that is not there yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    pub since: Timestamp,
    /// It brings security fixes, or one that it took the place of did.
    pub security: bool,
}

/// A release that a target did not take, with nothing wrong with the release: its rollout was refused, or the clock took
/// it back. It lasts, over every further try, until something arrives.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    /// The rollout that began it; names the incident.
    pub first: RolloutId,
    pub since: Timestamp,
    /// Of the first one; see [`notify::trouble`].
    pub cause: String,
    pub release: RunId,
    /// Why the last one ended.
    pub failure: Failure,
}

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
                // What is there now is of our own making, half-way: nobody else changed it.
                (self.placed, self.drift) = (None, None);
            }
            RolloutConclusion::Done | RolloutConclusion::Reverted { .. } => self.record = Record::Certain,
            RolloutConclusion::AlreadyThere
            | RolloutConclusion::Refused { .. }
            | RolloutConclusion::Superseded { .. } => {}
        }
        self.remember_refusal((rollout, release), conclusion, at);
        // Whoever takes its place has waited as long.
        if !matches!(conclusion, RolloutConclusion::Superseded { .. }) {
            self.waits = None;
        }
        if !has_arrived(conclusion) {
            return;
        }
        self.drift = None;
        self.overtaken = withdrawn;
        if self.good != Some(release) {
            let adopted = self.adopted.as_ref().map(|adopted| adopted.run);
            self.before = self.good.replace(release).or(adopted);
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

    /// A look at an earlier rollout's containers says nothing of a later one's.
    pub(super) fn drifts(&mut self, rollout: RolloutId, drift: Option<&Drift>, at: Timestamp) {
        if self.placed.as_ref().is_none_or(|(placed, _)| *placed != rollout) {
            return;
        }
        self.restore &= drift.is_some();
        let since = self.drift.take().map_or(at, |(since, _)| since);
        self.drift = drift.map(|drift| (since, drift.clone()));
    }

    /// What a rollout that ended tells the ones after it.
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
        self.good.is_none_or(|good| release > good)
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

/// Did it end for a reason that says nothing of its release, so that the release still has to come?
fn is_refusal(conclusion: &RolloutConclusion) -> bool {
    match conclusion {
        // An operator took the release back.
        RolloutConclusion::Refused { failure } => failure.kind != FailureKind::TakenBack,
        RolloutConclusion::Reverted { failure } => failure.kind == FailureKind::WindowClosed,
        RolloutConclusion::Done
        | RolloutConclusion::AlreadyThere
        | RolloutConclusion::Superseded { .. }
        | RolloutConclusion::Stuck { .. } => false,
    }
}
