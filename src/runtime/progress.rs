//! What is going on, for whoever watches. Nothing depends on anyone watching: the journal is the truth.

use jiff::Timestamp;
use lowtide_core::decide::app_state::AppState;
use lowtide_core::decide::rollout::RolloutState;
use lowtide_core::fleet::app::App;
use lowtide_model::drift::Drift;
use lowtide_model::failure::{Failure, WaitReason};
use lowtide_model::name::{AppName, ChannelName, RolloutId, RunId, TargetName};
use lowtide_model::policy::Mode;
use lowtide_model::preview::{Move, Phase};
use lowtide_model::rollout::RolloutConclusion;
use lowtide_model::run::{Conclusion, Stage};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::Notify;

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
    /// Which replicas move. Sent when a driver takes up the rollout, after preflight, and when an operator says
    /// `--now`.
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
    /// The replica is ready.
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
    /// From here on the rollout rolls back.
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
    /// Nothing more will happen by itself to an app that a client follows.
    RequestCompleted {
        app: AppName,
        /// What is not where it should be.
        #[serde(default)]
        left: Vec<Left>,
    },
}

/// A release that did not arrive at a target or a channel, though nothing is wrong with the release.
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
    /// Someone else changed what runs there.
    Drifted {
        target: TargetName,
        tag: String,
        drift: Drift,
    },
}

impl Left {
    /// Of the app as it is configured.
    #[must_use]
    pub fn of(app: &App, app_state: &AppState) -> Vec<Self> {
        if app.mode == Mode::Observe {
            return Vec::new();
        }
        let configured = |target: &TargetName| app.rollout.iter().any(|policy| policy.settings.name == *target);
        let refused = app_state.refusals().filter(|refusal| configured(refusal.target));
        let refused = refused.map(|refusal| Left::Refused {
            target: refusal.target.clone(),
            tag: refusal.release.tag.clone(),
            failure: refusal.failure.clone(),
        });
        let unpromoted = app_state.unpromoted(app).map(|(channel, failing)| Left::Unpromoted {
            channel: channel.clone(),
            tag: app_state
                .release(failing.release)
                .map_or_else(String::new, |release| release.tag.clone()),
            failure: failing.failure.clone(),
            again: failing.due(),
        });
        let drifted = app_state.drifted().filter(|drifted| configured(drifted.target));
        let drifted = drifted.map(|drifted| Left::Drifted {
            target: drifted.target.clone(),
            tag: drifted.release.tag.clone(),
            drift: drifted.drift.clone(),
        });
        refused.chain(unpromoted).chain(drifted).collect()
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
            of: state.unit_count(),
        })
    }
}

/// Distributes progress to watchers. A slow watcher blocks nobody: it loses lines, but never the end of an app it
/// follows.
#[derive(Debug, Clone, Default)]
pub struct Watchers {
    all: Arc<Mutex<Vec<Weak<Queue>>>>,
}

/// What a watcher may lag behind before it misses some of it.
const BACKLOG: usize = 4096;

#[derive(Debug)]
struct Queue {
    apps: Vec<AppName>,
    seen: Mutex<VecDeque<Progress>>,
    more: Notify,
}

/// One who watches, from its making on.
#[derive(Debug)]
pub struct Watcher {
    queue: Arc<Queue>,
}

impl Watchers {
    pub fn publish(&self, progress: Progress) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        // No watcher is the normal case.
        all.retain(|queue| match queue.upgrade() {
            Some(queue) => {
                queue.put(progress.clone());
                true
            }
            None => false,
        });
    }

    /// Everything from here on; how `apps` end is never missed.
    #[must_use]
    pub fn watch(&self, apps: &[AppName]) -> Watcher {
        let queue = Arc::new(Queue {
            apps: apps.to_vec(),
            seen: Mutex::default(),
            more: Notify::new(),
        });
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Arc::downgrade(&queue));
        Watcher { queue }
    }
}

impl Queue {
    fn put(&self, progress: Progress) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.push_back(progress);
        if seen.len() > BACKLOG {
            let line = seen.iter().position(is_line);
            // A full queue without a single line belongs to a watcher that reads nothing at all.
            if let Some(least) = line.or_else(|| seen.iter().position(|one| !self.needs(one))) {
                seen.remove(least);
            }
        }
        drop(seen);
        self.more.notify_one();
    }

    /// How one of its apps ended.
    fn needs(&self, progress: &Progress) -> bool {
        ended(progress).is_some_and(|app| self.apps.contains(app))
    }
}

impl Watcher {
    /// Waits for the next one.
    pub async fn next(&mut self) -> Progress {
        loop {
            let first = {
                let mut seen = self.queue.seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.pop_front()
            };
            if let Some(first) = first {
                return first;
            }
            // `notify_one` stores a permit, so an entry that was added since the look is not missed.
            self.queue.more.notified().await;
        }
    }
}

fn is_line(progress: &Progress) -> bool {
    matches!(progress, Progress::Line { .. } | Progress::RolloutLine { .. })
}

fn ended(progress: &Progress) -> Option<&AppName> {
    match progress {
        Progress::RunEnded { app, .. }
        | Progress::RolloutEnded { app, .. }
        | Progress::RequestCompleted { app, .. } => Some(app),
        Progress::RunOpened { .. }
        | Progress::StageStarted { .. }
        | Progress::Line { .. }
        | Progress::StageEnded { .. }
        | Progress::RunWaits { .. }
        | Progress::RolloutOpened { .. }
        | Progress::RolloutMoves { .. }
        | Progress::StepStarted { .. }
        | Progress::NotReady { .. }
        | Progress::Ready { .. }
        | Progress::StepEnded { .. }
        | Progress::RolloutReturns { .. }
        | Progress::RolloutLine { .. }
        | Progress::RolloutWaits { .. }
        | Progress::Promoted { .. }
        | Progress::PromotionFailed { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(name: &str) -> AppName {
        name.parse().unwrap()
    }

    fn line(n: usize) -> Progress {
        Progress::Line {
            run: RunId(ulid::Ulid(7)),
            line: n.to_string(),
        }
    }

    fn completed(name: &str) -> Progress {
        Progress::RequestCompleted {
            app: app(name),
            left: Vec::new(),
        }
    }

    #[tokio::test]
    async fn a_flood_of_lines_hides_no_end() {
        let watchers = Watchers::default();
        let mut watcher = watchers.watch(&[app("a"), app("b")]);
        watchers.publish(completed("a"));
        for n in 0..3 * BACKLOG {
            watchers.publish(line(n));
        }
        watchers.publish(completed("b"));
        assert_eq!(watcher.next().await, completed("a"));
        for n in 2 * BACKLOG + 2..3 * BACKLOG {
            assert_eq!(watcher.next().await, line(n), "the last lines, in their order");
        }
        assert_eq!(watcher.next().await, completed("b"));
    }

    #[tokio::test]
    async fn who_does_not_read_at_all_retains_no_more_than_its_own_ends() {
        let watchers = Watchers::default();
        let watcher = watchers.watch(&[app("mine")]);
        watchers.publish(completed("mine"));
        for _ in 0..2 * BACKLOG {
            watchers.publish(completed("other"));
        }
        let seen = watcher.queue.seen.lock().unwrap();
        assert_eq!((seen.len(), seen.front()), (BACKLOG, Some(&completed("mine"))));
    }

    #[test]
    fn a_watcher_that_left_is_forgotten() {
        let watchers = Watchers::default();
        drop(watchers.watch(&[]));
        watchers.publish(line(1));
        assert_eq!(watchers.all.lock().unwrap().len(), 0);
    }
}
