//! What is going on, for whoever watches. Nothing depends on anybody watching: the journal is the truth.

use crate::decide::rollout::RolloutState;
use crate::decide::standing::Standing;
use crate::model::failure::{Failure, WaitReason};
use crate::model::fleet::{App, Mode};
use crate::model::name::{AppName, ChannelName, RolloutId, RunId, TargetName};
use crate::model::outlook::{Move, Phase};
use crate::model::rollout::RolloutConclusion;
use crate::model::run::{Conclusion, Stage};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

/// One thing a watcher sees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "progress")]
pub enum Progress {
    RunOpened {
        app: AppName,
        run: RunId,
    },
    StageStarted {
        run: RunId,
        stage: Stage,
        attempt: u32,
    },
    /// A line of the stage's own output.
    Line {
        run: RunId,
        line: String,
    },
    StageEnded {
        run: RunId,
        stage: Stage,
        ok: bool,
    },
    RunWaits {
        run: RunId,
        reason: WaitReason,
    },
    RunEnded {
        app: AppName,
        run: RunId,
        conclusion: Box<Conclusion>,
    },
    RolloutOpened {
        app: AppName,
        target: TargetName,
        rollout: RolloutId,
        run: RunId,
    },
    /// What is moved. Told when it is taken up, when preflight has looked, and when an operator says `--now`.
    RolloutMoves {
        app: AppName,
        rollout: RolloutId,
        target: TargetName,
        /// Of the release.
        tag: String,
        /// Empty before preflight.
        replicas: Vec<Move>,
    },
    StepStarted {
        rollout: RolloutId,
        /// In the words of docs/rollouts.md.
        step: String,
        /// `None`: of all replicas.
        #[serde(default)]
        replica: Option<Replica>,
        #[serde(default)]
        phase: Option<Phase>,
    },
    /// What readiness still waits for: what the check said last, when that has changed.
    NotReady {
        rollout: RolloutId,
        replica: Replica,
        answer: String,
    },
    /// It proved itself.
    Ready {
        rollout: RolloutId,
        replica: Replica,
        took_ms: u64,
    },
    StepEnded {
        rollout: RolloutId,
        step: String,
        replica: Option<Replica>,
        took_ms: u64,
        /// `None`: it went well.
        failure: Option<Failure>,
    },
    /// The goal is the way back from here on.
    RolloutReturns {
        rollout: RolloutId,
        failure: Failure,
    },
    /// A line that a command target's program wrote, or what a new image lacks that the old one had.
    RolloutLine {
        rollout: RolloutId,
        line: String,
    },
    RolloutWaits {
        rollout: RolloutId,
        reason: WaitReason,
    },
    RolloutEnded {
        app: AppName,
        target: TargetName,
        rollout: RolloutId,
        conclusion: Box<RolloutConclusion>,
    },
    Promoted {
        app: AppName,
        channel: String,
        tag: String,
    },
    /// The channel does not have it. `again`: when it is tried again by itself.
    PromotionFailed {
        app: AppName,
        channel: String,
        tag: String,
        failure: Failure,
        again: Option<Timestamp>,
    },
    /// Nothing more happens of itself to an app whose run was asked for.
    Settled {
        app: AppName,
        /// What is not where it should be.
        #[serde(default)]
        left: Vec<Left>,
    },
}

/// A release that did not come where it should be, with nothing wrong with the release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "left")]
pub enum Left {
    Refused {
        target: TargetName,
        tag: String,
        failure: Failure,
    },
    /// `again`: when it is tried again by itself.
    Unpromoted {
        channel: ChannelName,
        tag: String,
        failure: Failure,
        again: Option<Timestamp>,
    },
}

impl Left {
    /// Of the app as it is configured.
    #[must_use]
    pub fn of(app: &App, standing: &Standing) -> Vec<Self> {
        if app.mode == Mode::Observe {
            return Vec::new();
        }
        let configured = |target: &TargetName| app.rollout.iter().any(|policy| policy.name == *target);
        let refused = standing.refusals().filter(|refusal| configured(refusal.target));
        let refused = refused.map(|refusal| Left::Refused {
            target: refusal.target.clone(),
            tag: refusal.release.tag.clone(),
            failure: refusal.failure.clone(),
        });
        let unpromoted = standing.unpromoted(app).map(|(channel, failing)| Left::Unpromoted {
            channel: channel.clone(),
            tag: standing
                .release(failing.release)
                .map_or_else(String::new, |release| release.tag.clone()),
            failure: failing.failure.clone(),
            again: failing.due(),
        });
        refused.chain(unpromoted).collect()
    }
}

/// One container or service of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    pub name: String,
    /// From 0.
    pub index: usize,
    pub of: usize,
}

impl Replica {
    /// A unit of the rollout; `None` before they were chosen.
    #[must_use]
    pub fn of(state: &RolloutState, index: usize) -> Option<Self> {
        Some(Self {
            name: state.unit_name(index)?.to_owned(),
            index,
            of: state.breadth(),
        })
    }
}

/// Where progress is told. Slow watchers miss lines; nobody waits for them.
#[derive(Debug, Clone)]
pub struct Watchers {
    sender: broadcast::Sender<Progress>,
}

/// Lines a watcher may lag behind before it misses some.
const BACKLOG: usize = 4096;

impl Default for Watchers {
    fn default() -> Self {
        Self {
            sender: broadcast::channel(BACKLOG).0,
        }
    }
}

impl Watchers {
    pub fn tell(&self, progress: Progress) {
        // No receiver is the normal case.
        let _ = self.sender.send(progress);
    }
    #[must_use]
    pub fn watch(&self) -> broadcast::Receiver<Progress> {
        self.sender.subscribe()
    }
}
