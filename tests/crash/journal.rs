//! What the journal says, read beside the one who writes it.

use crate::world::World;
use jiff::Timestamp;
use lowtide::decide::{app_state, rollout, run};
use lowtide::fleet::app_state::AppEvent;
use lowtide::fleet::rollout::RolloutEvent;
use lowtide::fleet::run::RunEvent;
use lowtide::model::journal::Stream;
use lowtide::store::database::Store;

/// Everything there is, folded.
pub(crate) struct Journal {
    pub(crate) runs: Vec<run::RunState>,
    pub(crate) rollouts: Vec<rollout::RolloutState>,
    pub(crate) app: Vec<AppEvent>,
    pub(crate) app_state: app_state::AppState,
    pub(crate) mails_waiting: u64,
    /// How many events there are.
    pub(crate) events: usize,
    /// Where each open stream stands, for people.
    pub(crate) open: Vec<String>,
}

/// # Errors
/// What does not fold, or cannot be read.
pub(crate) async fn read(world: &World) -> Result<Option<Journal>, String> {
    let path = world.path().join("state/lowtide.db");
    if !path.exists() {
        return Ok(None);
    }
    let store = Store::open(&path, false).map_err(|e| format!("{e:?}"))?;
    let app = world.id.parse().map_err(|e| format!("{e}"))?;
    let mut journal = Journal {
        runs: Vec::new(),
        rollouts: Vec::new(),
        app: Vec::new(),
        app_state: app_state::AppState::default(),
        mails_waiting: 0,
        events: 0,
        open: Vec::new(),
    };
    let events = store.app_events(&app).await.map_err(|e| e.to_string())?;
    journal.events += events.len();
    journal.app_state = app_state::fold(events.clone());
    journal.app = events.into_iter().map(|e| e.event).collect();
    let recent = store.ended_since(jiff::Timestamp::UNIX_EPOCH).await;
    let recent = recent.map_err(|e| e.to_string())?;
    let runs = recent.runs.into_iter().map(|end| end.row);
    for row in runs.chain(recent.rollouts.into_iter().map(|(row, _, _)| row)) {
        let last = match row.stream {
            Stream::Run(id) => {
                let events = store.run_events(id).await.map_err(|e| e.to_string())?;
                journal.events += events.len();
                journal.runs.push(run::fold(id, &events).map_err(|e| e.to_string())?);
                events.last().map(|e| run_word(&e.event))
            }
            Stream::Rollout(id) => {
                let events = store.rollout_events(id).await.map_err(|e| e.to_string())?;
                journal.events += events.len();
                journal
                    .rollouts
                    .push(rollout::fold(id, &events).map_err(|e| e.to_string())?);
                events.last().map(|e| rollout_word(&e.event))
            }
            Stream::App(_) => None,
        };
        if row.closed.is_none() {
            journal.open.extend(last);
        }
    }
    journal.mails_waiting = store.pending_notices().await.map_err(|e| e.to_string())?;
    Ok(Some(journal))
}

impl Journal {
    /// Nothing more will happen by itself.
    pub(crate) fn is_settled(&self) -> bool {
        let idle = |run: &run::RunState| {
            matches!(
                app_state::next(&run.app, &self.app_state, Timestamp::now()),
                app_state::Next::Idle
            )
        };
        self.open.is_empty() && self.mails_waiting == 0 && self.runs.first().is_some_and(idle)
    }

    /// Where things stand, for the matrix.
    pub(crate) fn place(&self) -> String {
        if !self.open.is_empty() {
            return self.open.join(", ");
        }
        if self.mails_waiting > 0 {
            return "a mail waits".to_owned();
        }
        match (self.runs.is_empty(), self.rollouts.is_empty()) {
            (true, _) => "nothing yet".to_owned(),
            (false, true) => "released, rollout not opened".to_owned(),
            (false, false) => "over".to_owned(),
        }
    }
}

fn run_word(event: &RunEvent) -> String {
    match event {
        RunEvent::Opened { .. } => "run opened".to_owned(),
        RunEvent::EffectStarted { effect, .. } => format!("{} begun", effect.stage()),
        RunEvent::EffectEnded { outcome } => match outcome {
            lowtide::model::run::Outcome::Failed(failure) => format!("stage failed: {:?}", failure.kind),
            lowtide::model::run::Outcome::Resolved(_) => "resolve ended".to_owned(),
            lowtide::model::run::Outcome::Pulled(_) => "pull ended".to_owned(),
            lowtide::model::run::Outcome::Built(_) => "build ended".to_owned(),
            lowtide::model::run::Outcome::Inspected(_) => "inspect ended".to_owned(),
            lowtide::model::run::Outcome::Bootstrapped(_) => "bootstrap ended".to_owned(),
            lowtide::model::run::Outcome::Tested(_) => "test ended".to_owned(),
            lowtide::model::run::Outcome::Published(_) => "publish ended".to_owned(),
        },
        RunEvent::EffectAbandoned { back_to } => format!("back to {back_to}"),
        RunEvent::CancelRequested { .. } => "cancel requested".to_owned(),
        RunEvent::Concluded { .. } => "run concluded".to_owned(),
    }
}

fn rollout_word(event: &RolloutEvent) -> String {
    match event {
        RolloutEvent::Opened { .. } => "rollout opened".to_owned(),
        RolloutEvent::Expedited { .. } => "expedited".to_owned(),
        RolloutEvent::Entered { .. } => "opening entered".to_owned(),
        RolloutEvent::Suspended { .. } => "suspended".to_owned(),
        RolloutEvent::LateNoticeSent { .. } => "late notice sent".to_owned(),
        RolloutEvent::StepStarted { step, .. } => format!("{step} begun"),
        RolloutEvent::StepEnded { .. } => "step ended".to_owned(),
        RolloutEvent::StepAbandoned => "step abandoned".to_owned(),
        RolloutEvent::BakeStarted { .. } => "baking".to_owned(),
        RolloutEvent::RevertDecided { .. } => "going back".to_owned(),
        RolloutEvent::Concluded { .. } => "rollout concluded".to_owned(),
    }
}
