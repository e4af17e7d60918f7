//! What operators ask of the supervisor.

use super::{Answer, Ask, Request, Scope, Supervisor};
use crate::model::fleet::TargetPolicy;
use crate::model::journal::Stream;
use crate::model::name::AppName;
use crate::model::rollout::Purpose;
use crate::model::run::Trigger;
use crate::model::standing::{AppEvent, Release};
use crate::runtime::operator;
use crate::store::error::StoreError;
use crate::store::journal::Batch;
use tracing::info;

impl Supervisor {
    pub(super) async fn answer(&mut self, request: Request) -> Result<(), StoreError> {
        let answer = self.obey(request.asked).await?;
        // Whoever asked may have gone.
        let _ = request.answer.send(answer);
        Ok(())
    }

    async fn obey(&mut self, asked: Ask) -> Result<Answer, StoreError> {
        match asked {
            Ask::Run { apps, now, rebuild, by } => self.run_apps(apps, now, rebuild, &by).await,
            Ask::Halt { app, by, why } => operator::halt(&self.bot, &app, by, why).await,
            Ask::Resume { app, by, why } => operator::resume(&self.bot, &app, &by, &why).await,
            Ask::Revert { app, by, why } => self.revert(&app, by, why).await,
            Ask::Pause { on } => {
                self.bot.pause(on)?;
                Ok(Ok(if on {
                    "rollouts and promotions are paused"
                } else {
                    "rollouts and promotions go on"
                }
                .to_owned()))
            }
            Ask::Cancel { run, by } => Ok(match self.runs.get(&run) {
                Some((_, interrupt)) => {
                    info!(%run, by, "cancelled");
                    interrupt.cancel.cancel();
                    Ok(format!("run {run} is being cancelled"))
                }
                None => Err(format!("run {run} is not under way")),
            }),
        }
    }

    async fn run_apps(&mut self, apps: Vec<AppName>, now: bool, rebuild: bool, by: &str) -> Result<Answer, StoreError> {
        let fleet = self.bot.in_force();
        let unknown: Vec<String> = apps
            .iter()
            .filter(|app| !fleet.fleet.apps.contains_key(*app))
            .map(ToString::to_string)
            .collect();
        if !unknown.is_empty() {
            return Ok(Err(format!("no such app: {}", unknown.join(", "))));
        }
        for name in &apps {
            self.followed.insert(name.clone());
            if self.scope == Scope::Asked {
                self.take_up_app(name).await?;
            }
            let busy = self.runs.values().any(|(running, _)| running == name);
            // Journalled, so that a kill does not leave a rollout waiting for a window nobody wanted.
            let expedited = now.then(|| AppEvent::Expedited { by: by.to_owned() });
            let facts: Vec<AppEvent> = expedited.into_iter().collect();
            match fleet.fleet.apps.get(name).filter(|_| !busy) {
                Some(app) => {
                    let trigger = Trigger::Manual {
                        by: by.to_owned(),
                        rebuild,
                    };
                    self.open_run(app, trigger, facts).await?;
                }
                None => self.bot.commit(Batch::new(), name, &facts, Vec::new()).await?,
            }
        }
        Ok(Ok(format!(
            "running {}",
            apps.iter().map(AppName::as_str).collect::<Vec<_>>().join(", ")
        )))
    }

    /// Without a bot, what an earlier command left open of this app is taken up with it.
    async fn take_up_app(&mut self, app: &AppName) -> Result<(), StoreError> {
        for row in self
            .bot
            .store
            .open_streams()
            .await?
            .into_iter()
            .filter(|row| row.app == *app)
        {
            match row.stream {
                Stream::Rollout(id) if !self.rollouts.contains_key(&id) => self.start_rollout(id, row.app),
                Stream::Run(id) if !self.runs.contains_key(&id) => self.start_run(id, row.app),
                Stream::Rollout(_) | Stream::Run(_) | Stream::App(_) => {}
            }
        }
        Ok(())
    }

    /// Back to the release before, on every target that has one; the app is halted and its current release quarantined.
    async fn revert(&mut self, name: &AppName, by: String, why: String) -> Result<Answer, StoreError> {
        let Some(app) = self.bot.app(name) else {
            return Ok(Err(format!("no such app: {name}")));
        };
        let standing = self.bot.standing(name);
        let back: Vec<(TargetPolicy, Release)> = app
            .rollout
            .iter()
            .filter_map(|target| {
                let state = standing.targets.get(&target.name)?;
                Some((target.clone(), standing.release(state.before?)?.clone()))
            })
            .collect();
        if back.is_empty() {
            return Ok(Err(format!("{name} has no earlier release on any target")));
        }
        let told = operator::revert(&self.bot, name, &standing, by, why).await?;
        self.followed.insert(name.clone());
        for (target, release) in back {
            self.open_rollout(&app, target, release, Purpose::Revert).await?;
        }
        Ok(Ok(told))
    }
}
