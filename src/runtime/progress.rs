//! What is going on, for whoever watches. Nothing depends on anybody watching: the journal is the truth.

use crate::model::failure::WaitReason;
use crate::model::name::{AppName, RolloutId, RunId, TargetName};
use crate::model::rollout::RolloutConclusion;
use crate::model::run::{Conclusion, Stage};
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
    StepStarted {
        rollout: RolloutId,
        step: String,
    },
    /// A line that a command target's program wrote.
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
    /// Nothing more happens of itself to an app whose run was asked for.
    Settled {
        app: AppName,
    },
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
