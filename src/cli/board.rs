//! The rollouts that are watched, folded from their progress: a row per replica.

use crate::runtime::progress::{Progress, Replica};
use jiff::{SignedDuration, Timestamp};
use lowtide_core::report::live::{self as words, Doing, Row};
use lowtide_core::report::words::waiting;
use lowtide_model::failure::WaitReason;
use lowtide_model::name::RolloutId;
use lowtide_model::preview::{Move, Phase};

#[derive(Debug, Default)]
pub(super) struct Board {
    /// IANA zone of the times in it.
    zone: String,
    rollouts: Vec<Watched>,
}

/// The text that reports a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Update {
    /// Printed only where there are no live rows, which show it already.
    Change(String),
    /// Printed in any case.
    News(String),
}

#[derive(Debug)]
struct Watched {
    id: RolloutId,
    target: String,
    replicas: Vec<Row>,
    /// The step that concerns all replicas.
    common: Option<Row>,
    /// Of the last step that was begun.
    phase: Phase,
    /// The last readiness failure that was reported, without digits: one that differs only in a running counter is
    /// not reported again.
    reason: Option<String>,
}

impl Board {
    pub(super) fn new(zone: &str) -> Self {
        Self {
            zone: zone.to_owned(),
            rollouts: Vec::new(),
        }
    }

    pub(super) fn rows(&self) -> Vec<Row> {
        let rows = |watched: &Watched| -> Vec<Row> {
            let common = watched.common.iter().cloned();
            common.chain(watched.replicas.iter().cloned()).collect()
        };
        self.rollouts.iter().flat_map(rows).collect()
    }

    /// What has changed; `None`: nothing that is worth a line.
    pub(super) fn fold(&mut self, progress: &Progress, now: Timestamp) -> Option<Update> {
        match progress {
            Progress::RolloutOpened { rollout, target, .. } => {
                self.of(*rollout).target = target.to_string();
                None
            }
            Progress::RolloutMoves {
                rollout,
                target,
                tag,
                replicas,
                ..
            } => self.of(*rollout).moves(target.as_str(), tag, replicas),
            Progress::StepStarted {
                rollout,
                step,
                replica,
                phase,
            } => Some(self.of(*rollout).begin(step, replica.as_ref(), *phase, now)),
            Progress::NotReady {
                rollout,
                replica,
                answer,
            } => self.of(*rollout).not_ready(replica, answer),
            Progress::Ready { replica, took_ms, .. } => {
                let took = SignedDuration::from_millis(i64::try_from(*took_ms).unwrap_or(i64::MAX));
                Some(Update::Change(words::ready(&replica.name, took)))
            }
            Progress::StepEnded {
                rollout,
                step,
                replica,
                failure,
                ..
            } => {
                let watched = self.of(*rollout);
                let why = failure.as_ref().map(words::because);
                let name = watched.end(replica.as_ref(), why);
                failure
                    .as_ref()
                    .map(|failure| Update::News(words::failed(&name, step, failure)))
            }
            Progress::RolloutWaits { rollout, reason } => {
                let zone = self.zone.clone();
                Some(self.of(*rollout).wait(reason, &zone))
            }
            Progress::RolloutReturns { rollout, failure } => {
                let target = self.of(*rollout).target.clone();
                Some(Update::News(words::returns(&target, failure)))
            }
            Progress::RolloutEnded { rollout, .. } => {
                self.rollouts.retain(|watched| watched.id != *rollout);
                None
            }
            Progress::RunOpened { .. }
            | Progress::StageStarted { .. }
            | Progress::Line { .. }
            | Progress::StageEnded { .. }
            | Progress::RunWaits { .. }
            | Progress::RunEnded { .. }
            | Progress::RolloutLine { .. }
            | Progress::Promoted { .. }
            | Progress::PromotionFailed { .. }
            | Progress::RequestCompleted { .. } => None,
        }
    }

    fn of(&mut self, id: RolloutId) -> &mut Watched {
        let place = self.rollouts.iter().position(|watched| watched.id == id);
        let place = place.unwrap_or_else(|| {
            self.rollouts.push(Watched {
                id,
                target: format!("rollout {}", id.short()),
                replicas: Vec::new(),
                common: None,
                phase: Phase::Waiting,
                reason: None,
            });
            self.rollouts.len() - 1
        });
        &mut self.rollouts[place]
    }
}

impl Watched {
    fn moves(&mut self, target: &str, tag: &str, moves: &[Move]) -> Option<Update> {
        target.clone_into(&mut self.target);
        self.common = None;
        let row = |it: &Move| Row {
            name: it.name.clone(),
            order: it.order,
            doing: Doing::Phase(it.phase),
        };
        self.replicas = moves.iter().map(row).collect();
        let lines: Vec<String> = moves.iter().map(|it| words::moved(it, tag)).collect();
        (!lines.is_empty()).then(|| Update::Change(lines.join("\n")))
    }

    fn begin(&mut self, step: &str, replica: Option<&Replica>, phase: Option<Phase>, now: Timestamp) -> Update {
        let doing = Doing::Step {
            step: step.to_owned(),
            since: now,
            reason: None,
        };
        self.phase = phase.unwrap_or(Phase::Moving);
        self.reason = None;
        let Some(replica) = replica else {
            self.common = Some(Row {
                name: self.target.clone(),
                order: None,
                doing,
            });
            return Update::Change(words::step(&self.target, step));
        };
        self.common = None;
        self.learn(replica);
        // Replicas are moved in the order of their index: those before this one are done.
        let before = self.replicas.iter_mut().take(replica.index);
        for row in before.filter(|row| is_moving(&row.doing)) {
            row.doing = Doing::Phase(Phase::Moved);
        }
        for row in self.replicas.iter_mut().filter(|row| is_baking(&row.doing)) {
            row.doing = Doing::Phase(self.phase);
        }
        if let Some(row) = self.replicas.get_mut(replica.index) {
            row.doing = doing;
        }
        Update::Change(words::step(&replica.name, step))
    }

    /// Adds rows for replicas that were announced before this client began to watch.
    fn learn(&mut self, replica: &Replica) {
        while self.replicas.len() < replica.of {
            self.replicas.push(Row {
                name: format!("{} of {}", self.replicas.len() + 1, replica.of),
                order: None,
                doing: Doing::Phase(Phase::Waiting),
            });
        }
        if let Some(row) = self.replicas.get_mut(replica.index) {
            row.name.clone_from(&replica.name);
        }
    }

    fn not_ready(&mut self, replica: &Replica, said: &str) -> Option<Update> {
        if let Some(Row {
            doing: Doing::Step { reason, .. },
            ..
        }) = self.replicas.get_mut(replica.index)
        {
            *reason = Some(said.to_owned());
        }
        let shape: String = said.chars().filter(|c| !c.is_ascii_digit()).collect();
        let known = self.reason.replace(shape.clone()) == Some(shape);
        (!known).then(|| Update::Change(words::not_ready(&replica.name, said)))
    }

    /// The name of what the step was about.
    fn end(&mut self, replica: Option<&Replica>, failed: Option<String>) -> String {
        let doing = failed.map_or(Doing::Phase(self.phase), |why| Doing::Failed { why });
        match replica {
            Some(replica) => {
                if let Some(row) = self.replicas.get_mut(replica.index) {
                    row.doing = doing;
                }
                replica.name.clone()
            }
            None => {
                self.common = None;
                self.target.clone()
            }
        }
    }

    fn wait(&mut self, reason: &WaitReason, zone: &str) -> Update {
        let line = format!("  {}: {}", self.target, waiting(reason, zone));
        match reason {
            WaitReason::Baking { until } => {
                for row in &mut self.replicas {
                    row.doing = Doing::Baking { until: *until };
                }
                Update::Change(line)
            }
            WaitReason::Converging {
                service,
                done,
                total,
                deadline,
            } => {
                if let Some(row) = self.replicas.iter_mut().find(|row| row.name == *service) {
                    row.doing = Doing::Tasks {
                        done: *done,
                        total: *total,
                        deadline: *deadline,
                    };
                }
                Update::Change(format!("  {}", waiting(reason, zone)))
            }
            WaitReason::Window { .. }
            | WaitReason::LastInQueue
            | WaitReason::NoWindow
            | WaitReason::WindowNeverOpens
            | WaitReason::WindowTooShort { .. }
            | WaitReason::Frozen { .. }
            | WaitReason::Suspended { .. }
            | WaitReason::HookBusy { .. }
            | WaitReason::OtherRuns { .. }
            | WaitReason::Retry { .. }
            | WaitReason::Paused
            | WaitReason::Halted => Update::News(line),
        }
    }
}

fn is_moving(doing: &Doing) -> bool {
    match doing {
        Doing::Phase(phase) => *phase == Phase::Moving,
        Doing::Tasks { .. } => true,
        Doing::Step { .. } | Doing::Baking { .. } | Doing::Failed { .. } => false,
    }
}

fn is_baking(doing: &Doing) -> bool {
    match doing {
        Doing::Baking { .. } => true,
        Doing::Phase(_) | Doing::Step { .. } | Doing::Tasks { .. } | Doing::Failed { .. } => false,
    }
}

#[cfg(test)]
mod tests;
