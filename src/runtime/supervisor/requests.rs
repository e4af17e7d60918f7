//! What operators request of the supervisor.

use super::{OperatorRequest, Request, RequestResult, Scope, Supervisor};
use crate::clients::clock;
use crate::runtime::operator;
use crate::runtime::progress::Left;
use crate::store::error::StoreError;
use crate::store::journal::Batch;
use lowtide_core::decide::app_state::Occasion;
use lowtide_core::decide::withdraw::withdraw;
use lowtide_core::fleet::app_state::{AppEvent, FleetEvent};
use lowtide_core::fleet::rollout::RolloutEvent;
use lowtide_core::kinds::list::TargetPolicy;
use lowtide_core::report::words::no_such_app;
use lowtide_core::report::{halt as words, outstanding};
use lowtide_model::halt::Draft;
use lowtide_model::journal::Stream;
use lowtide_model::name::{AppName, RolloutId, RunId, TargetName};
use lowtide_model::policy::Unhealthy;
use lowtide_model::rollout::Purpose;
use lowtide_model::run::Trigger;
use std::sync::Arc;
use tokio::sync::oneshot;
use tracing::{error, info, warn};

impl Supervisor {
    pub(super) async fn respond(&mut self, request: Request) -> Result<(), StoreError> {
        // Refuse requests while lowtide replaces itself: a rollback may restore the database copy and lose their
        // events. A pause is a file and survives.
        if self.bot.work_lock.is_alone() && !matches!(request.command, OperatorRequest::Pause { .. }) {
            let later = "lowtide is replacing itself: ask again in a few minutes";
            // Whoever asked may have gone.
            let _ = request.response.send(Err(later.to_owned()));
            return Ok(());
        }
        if let OperatorRequest::Resume {
            app,
            by,
            why,
            form: Some(form),
            release_quarantine,
        } = request.command
        {
            self.judge_form(app, (by, why), *form, release_quarantine, request.response);
            return Ok(());
        }
        let response = self.handle(request.command).await?;
        // Whoever asked may have gone.
        let _ = request.response.send(response);
        Ok(())
    }

    async fn handle(&mut self, command: OperatorRequest) -> Result<RequestResult, StoreError> {
        match command {
            OperatorRequest::Run {
                apps,
                now,
                rebuild,
                unhealthy,
                by,
            } => {
                let haste = now.then_some(unhealthy);
                self.run_apps(apps, haste, rebuild, &by).await
            }
            OperatorRequest::Halt { app, by, why } => operator::stop(&self.bot, &app, by, why).await,
            OperatorRequest::Resume {
                app,
                by,
                why,
                form,
                release_quarantine,
            } => {
                let resume = operator::Resume {
                    by: &by,
                    why: &why,
                    draft: form.as_deref(),
                    release: release_quarantine.as_deref(),
                };
                operator::resume(&self.bot, &app, resume).await
            }
            OperatorRequest::Revert { app, target, by, why } => self.revert(&app, target, by, why).await,
            // A pause file that cannot be written is reported to the operator; it does not end the process.
            OperatorRequest::Pause { on, by } => Ok(self.pause(on, by).await),
            OperatorRequest::Cancel { run, by } => self.cancel(run, by).await,
        }
    }

    async fn pause(&self, on: bool, by: String) -> RequestResult {
        if let Err(error) = self.bot.pause(on) {
            return Err(format!("nothing was changed: {error}"));
        }
        let event = if on {
            FleetEvent::Paused { by }
        } else {
            FleetEvent::Unpaused { by }
        };
        // The pause takes effect even if it cannot be recorded: nothing can be written while another lowtide takes over the state.
        if let Err(error) = self.bot.store.record_fleet(event, clock::now()).await {
            warn!(%error, "the audit log does not have this pause");
        }
        Ok(if on {
            "rollouts and promotions are paused".to_owned()
        } else {
            "rollouts and promotions continue".to_owned()
        })
    }

    async fn cancel(&self, run: RunId, by: String) -> Result<RequestResult, StoreError> {
        let Some((app, interrupt)) = self.runs.get(&run) else {
            return Ok(Err(format!("run {run} is not under way")));
        };
        let cancelled = AppEvent::Cancelled { run, by: by.clone() };
        self.bot.commit(Batch::new(), app, &[cancelled], &[]).await?;
        info!(%run, by, "cancelled");
        // If several people cancel a run, the first one is named.
        let _ = interrupt.cancelled_by.set(by);
        interrupt.cancel.cancel();
        Ok(Ok(format!("run {run} is being cancelled")))
    }

    /// Judges the form in its own task: it may name a commit, and a slow git remote must not hold up other requests.
    fn judge_form(
        &self,
        app: AppName,
        (by, why): (String, String),
        form: Draft,
        release: Option<String>,
        response: oneshot::Sender<RequestResult>,
    ) {
        let bot = Arc::clone(&self.bot);
        tokio::spawn(async move {
            let resume = operator::Resume {
                by: &by,
                why: &why,
                draft: Some(&form),
                release: release.as_deref(),
            };
            let judged = operator::resume(&bot, &app, resume).await;
            let result = judged.unwrap_or_else(|error| {
                error!(%app, %error, "the app could not be resumed");
                Err(format!("{app} stays halted: {error}"))
            });
            // Whoever asked may have gone.
            let _ = response.send(result);
        });
    }

    async fn run_apps(
        &mut self,
        apps: Vec<AppName>,
        haste: Option<Unhealthy>,
        rebuild: bool,
        by: &str,
    ) -> Result<RequestResult, StoreError> {
        let fleet = self.bot.in_force();
        let unknown: Vec<String> = apps
            .iter()
            .filter(|app| !fleet.fleet.apps.contains_key(*app))
            .map(|app| no_such_app(app.as_str(), fleet.fleet.apps.keys()))
            .collect();
        if !unknown.is_empty() {
            return Ok(Err(unknown.join("\n")));
        }
        for name in &apps {
            self.followed.insert(name.clone());
            let (runs, rollouts) = self.left_open(name).await?;
            for run in runs {
                self.start_run(run, name.clone());
            }
            let busy = self.runs.values().any(|(running, _)| running == name);
            // Journalled, so that after a kill the rollout still ignores its window.
            let expedited = haste.map(|unhealthy| AppEvent::Expedited {
                by: by.to_owned(),
                unhealthy,
            });
            let mut facts: Vec<AppEvent> = expedited.into_iter().collect();
            match fleet.fleet.apps.get(name).filter(|_| !busy) {
                Some(app) => {
                    let trigger = Trigger::Manual {
                        by: by.to_owned(),
                        rebuild,
                    };
                    self.open_run(app, trigger, facts).await?;
                }
                None => {
                    // The run under way may have started on schedule, and then its end does not retry everything: retry
                    // refused rollouts and failed promotions now.
                    facts.extend(self.bot.app_state(name).again(Occasion::Requested, clock::now()));
                    self.bot.commit(Batch::new(), name, &facts, &[]).await?;
                }
            }
            // Start rollouts only after `Expedited` is committed: otherwise they would report that they wait for their
            // window.
            for rollout in rollouts {
                self.start_rollout(rollout, name.clone());
            }
        }
        Ok(Ok(self.what_runs(&apps)))
    }

    /// The response to a run request: which apps run, what is retried as well, and which halt holds it up.
    fn what_runs(&self, apps: &[AppName]) -> String {
        let names: Vec<&str> = apps.iter().map(AppName::as_str).collect();
        let mut lines = vec![format!("running {}", names.join(", "))];
        for app in apps.iter().filter_map(|name| self.bot.app(name)) {
            let app_state = self.bot.app_state(&app.name);
            let left = Left::of(&app, &app_state);
            lines.extend(left.iter().map(|left| match left {
                Left::Refused { target, tag, failure } => outstanding::tries_rollout(&app.name, target, tag, failure),
                Left::Unpromoted {
                    channel, tag, failure, ..
                } => outstanding::tries_promotion(&app.name, channel, tag, failure),
                Left::Drifted { target, tag, drift } => outstanding::restores(&app.name, target, tag, drift),
            }));
            if let (Some((_, reason)), false) = (&app_state.halted, left.is_empty()) {
                lines.push(outstanding::is_halted(&app.name, reason));
            }
        }
        lines.join("\n")
    }

    /// The runs and rollouts of this app that an earlier command left open. With a bot there are none: it took them up when it started.
    async fn left_open(&self, app: &AppName) -> Result<(Vec<RunId>, Vec<RolloutId>), StoreError> {
        let (mut runs, mut rollouts) = (Vec::new(), Vec::new());
        if self.scope == Scope::All {
            return Ok((runs, rollouts));
        }
        let open = self.bot.store.open_streams().await?;
        for row in open.into_iter().filter(|row| row.app == *app) {
            match row.stream {
                Stream::Rollout(id) if !self.rollouts.contains_key(&id) && !self.is_self_update_of(id).await? => {
                    rollouts.push(id);
                }
                Stream::Run(id) if !self.runs.contains_key(&id) => runs.push(id),
                Stream::Rollout(_) | Stream::Run(_) | Stream::App(_) => {}
            }
        }
        Ok((runs, rollouts))
    }

    /// Is this a rollout of lowtide's own container? A command cannot drive it, because it runs in another process.
    async fn is_self_update_of(&self, rollout: RolloutId) -> Result<bool, StoreError> {
        let events = self.bot.store.rollout_events(rollout).await?;
        let opened = events.first().map(|first| &first.event);
        Ok(matches!(opened, Some(RolloutEvent::Opened { target, .. }) if target.is_own_container()))
    }

    /// Rolls a release back on every target that has it, or on the named one; quarantines the release and halts the
    /// app.
    async fn revert(
        &mut self,
        name: &AppName,
        only: Option<TargetName>,
        by: String,
        why: String,
    ) -> Result<RequestResult, StoreError> {
        let Some(app) = self.bot.app(name) else {
            let fleet = self.bot.in_force();
            return Ok(Err(no_such_app(name.as_str(), fleet.fleet.apps.keys())));
        };
        let meant = |target: &&TargetPolicy| only.as_ref().is_none_or(|only| target.settings.name == *only);
        let targets: Vec<&TargetPolicy> = app.rollout.iter().filter(meant).collect();
        if let (Some(only), []) = (&only, targets.as_slice()) {
            return Ok(Err(format!("{name} has no target {only}")));
        }
        if self.scope == Scope::Requested && targets.iter().any(|target| target.is_own_container()) {
            return Ok(Err(format!(
                "{name} is lowtide itself: only a lowtide that serves takes it back"
            )));
        }
        let app_state = self.bot.app_state(name);
        let names: Vec<TargetName> = targets.iter().map(|target| target.settings.name.clone()).collect();
        let Some(withdrawal) = withdraw(&app_state, &names) else {
            let place = only.map_or_else(|| "any target".to_owned(), |only| only.to_string());
            return Ok(Err(format!("{name} has no earlier release on {place}")));
        };
        operator::revert(&self.bot, name, withdrawal.release, by, why).await?;
        self.followed.insert(name.clone());
        // Continue open rollouts only after the quarantine is committed: otherwise they would take their next step
        // forward.
        let (runs, rollouts) = self.left_open(name).await?;
        for run in runs {
            self.start_run(run, name.clone());
        }
        for rollout in rollouts {
            self.start_rollout(rollout, name.clone());
        }
        for (target, release) in &withdrawal.back {
            if let Some(policy) = targets.iter().find(|policy| policy.settings.name == *target) {
                self.open_rollout(&app, (*policy).clone(), (*release).clone(), Purpose::Revert)
                    .await?;
            }
        }
        Ok(Ok(words::goes_back(name, &withdrawal)))
    }
}
