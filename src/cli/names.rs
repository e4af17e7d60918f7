//! Whose progress a line is about, where that of several apps is shown.

use crate::runtime::progress::Progress;
use lowtide_model::name::{AppName, RolloutId, RunId};
use std::collections::BTreeMap;

/// Runs and rollouts printed so far: most progress names only one of those.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The one app that was requested; its lines need no name.
    only: Option<AppName>,
    width: usize,
    runs: BTreeMap<RunId, AppName>,
    rollouts: BTreeMap<RolloutId, AppName>,
}

impl Names {
    pub(super) fn new(followed: &[AppName]) -> Self {
        Self {
            only: followed.first().filter(|_| followed.len() == 1).cloned(),
            width: followed
                .iter()
                .map(|app| app.as_str().chars().count())
                .max()
                .unwrap_or(0),
            ..Self::default()
        }
    }

    /// What a line about this begins with: `web | `, or nothing.
    pub(super) fn prefix(&mut self, progress: &Progress) -> String {
        let name = match progress {
            Progress::RunOpened { app, run } | Progress::RunEnded { app, run, .. } => {
                self.runs.insert(*run, app.clone());
                Ok(app.clone())
            }
            Progress::RolloutOpened { app, rollout, .. }
            | Progress::RolloutMoves { app, rollout, .. }
            | Progress::RolloutEnded { app, rollout, .. } => {
                self.rollouts.insert(*rollout, app.clone());
                Ok(app.clone())
            }
            Progress::Promoted { app, .. }
            | Progress::PromotionFailed { app, .. }
            | Progress::RequestCompleted { app, .. } => Ok(app.clone()),
            Progress::StageStarted { run, .. }
            | Progress::Line { run, .. }
            | Progress::StageEnded { run, .. }
            | Progress::RunWaits { run, .. } => self.runs.get(run).cloned().ok_or_else(|| run.short()),
            Progress::StepStarted { rollout, .. }
            | Progress::NotReady { rollout, .. }
            | Progress::Ready { rollout, .. }
            | Progress::StepEnded { rollout, .. }
            | Progress::RolloutReturns { rollout, .. }
            | Progress::RolloutLine { rollout, .. }
            | Progress::RolloutWaits { rollout, .. } => {
                self.rollouts.get(rollout).cloned().ok_or_else(|| rollout.short())
            }
        };
        match name {
            Ok(app) if self.only.as_ref() == Some(&app) => String::new(),
            Ok(app) => format!("{:width$} | ", app.as_str(), width = self.width),
            // It was opened before this client began to watch: show the id, which `show` accepts.
            Err(id) => format!("{id:width$} | ", width = self.width),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowtide_model::run::Stage;

    fn app(name: &str) -> AppName {
        name.parse().unwrap()
    }

    #[test]
    fn lines_of_several_apps_begin_with_the_name() {
        let (a, b, stranger) = (RunId(ulid::Ulid(1)), RunId(ulid::Ulid(2)), RunId(ulid::Ulid(3)));
        let opened = |name: &str, run| Progress::RunOpened { app: app(name), run };
        let stage = |run| Progress::StageStarted {
            run,
            stage: Stage::Build,
            attempt: 1,
        };
        let mut two = Names::new(&[app("web"), app("archives")]);
        assert_eq!(two.prefix(&opened("web", a)), "web      | ");
        assert_eq!(two.prefix(&opened("archives", b)), "archives | ");
        assert_eq!(two.prefix(&stage(b)), "archives | ");
        assert_eq!(two.prefix(&stage(a)), "web      | ");
        assert_eq!(two.prefix(&stage(stranger)), format!("{:8} | ", stranger.short()));
        let rollout = RolloutId(ulid::Ulid(9));
        let moves = Progress::RolloutOpened {
            app: app("web"),
            target: "front".parse().unwrap(),
            rollout,
            run: a,
        };
        two.prefix(&moves);
        let line = Progress::RolloutLine {
            rollout,
            line: "x".to_owned(),
        };
        assert_eq!(two.prefix(&line), "web      | ");
        // One app needs no name; what the bot does beside it does.
        let mut one = Names::new(&[app("web")]);
        assert_eq!(one.prefix(&opened("web", a)), "");
        assert_eq!(one.prefix(&stage(a)), "");
        assert_eq!(one.prefix(&opened("archives", b)), "archives | ");
        assert_eq!(one.prefix(&stage(b)), "archives | ");
    }
}
