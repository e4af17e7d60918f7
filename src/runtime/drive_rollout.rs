//! Drives one rollout: observe → one step → journal → do → observe again.

use super::bot::Bot;
use super::drive_run::{DriveError, Interrupt};
use super::fleet_status::millis;
use super::kinds::{effects, self_update};
use super::progress::{Progress, Replica};
use super::rollout_slots::RolloutSlot;
use super::work_lock::WorkGuard;
use crate::clients::clock;
use crate::store::journal::Batch;
use jiff::{SignedDuration, Timestamp};
use lowtide_core::decide::consequences;
use lowtide_core::decide::rollout::{self, Next, RolloutState};
use lowtide_core::fleet::rollout::RolloutEvent;
use lowtide_core::kinds::kind::Role;
use lowtide_core::kinds::list::{KindName, Step, StepOutcome};
use lowtide_core::report::words;
use lowtide_model::failure::{Failure, WaitReason};
use lowtide_model::journal::Recorded;
use lowtide_model::name::RolloutId;
use lowtide_model::policy::Unhealthy;
use lowtide_model::preview::{Chosen, Phase};
use lowtide_model::rollout::{Goal, RolloutConclusion};
use std::sync::Arc;

use tracing::{Instrument, info, info_span, warn};

/// Interval between observations while the target cannot be observed.
const BLIND_POLL: SignedDuration = SignedDuration::from_secs(2);
/// Interval between checks of a wait without an end of its own (paused, halted); a wakeup ends the wait earlier.
const IDLE_POLL: SignedDuration = SignedDuration::from_secs(60);
/// How often the rollout of lowtide's own container checks whether other work is in progress.
const QUEUE_POLL: SignedDuration = SignedDuration::from_secs(5);

/// Drives the rollout to its conclusion; `None` when the process shut down before.
///
/// # Errors
/// When the journal cannot be used: nothing is touched without it.
pub async fn drive(
    bot: Arc<Bot>,
    id: RolloutId,
    interrupt: Interrupt,
) -> Result<Option<RolloutConclusion>, DriveError> {
    let events = bot.store.rollout_events(id).await?;
    let state = rollout::fold(id, &events)?;
    let span = info_span!("rollout", app = %state.app, target = %state.target.name, rollout = %id);
    let mut driver = Driver {
        bot,
        state,
        seen: events.len() as u64,
        interrupt,
    };
    driver.drive().instrument(span).await
}

struct Driver {
    bot: Arc<Bot>,
    state: RolloutState,
    seen: u64,
    interrupt: Interrupt,
}

impl Driver {
    async fn drive(&mut self) -> Result<Option<RolloutConclusion>, DriveError> {
        if !self.take_up().await? {
            return Ok(None);
        }
        self.publish_moves().await?;
        let mut last_wait = None;
        let mut slot = None;
        let mut work_guard = None;
        loop {
            if self.interrupt.shutdown.is_cancelled() {
                return Ok(None);
            }
            self.record_expedite().await?;
            // Observing changes nothing and may take long, so a shutdown may interrupt it.
            let decided = tokio::select! {
                decided = effects::decide(&self.bot, &self.state, &self.interrupt.shutdown) => decided,
                () = self.interrupt.shutdown.cancelled() => return Ok(None),
            };
            let next = match decided {
                Ok(next) => next,
                Err(failure) => {
                    warn!(detail = %failure.detail, "the target cannot be looked at");
                    self.sleep_until(clock::now() + BLIND_POLL).await;
                    continue;
                }
            };
            match next {
                Next::Over => return Ok(self.state.conclusion.clone()),
                Next::Finish(conclusion) => return self.conclude(conclusion).await.map(Some),
                Next::StartBake { until } => self.append(RolloutEvent::BakeStarted { until }).await?,
                Next::Enter { occurrence } => self.append(RolloutEvent::Entered { occurrence }).await?,
                Next::Suspend { closing } => {
                    info!(?closing, "suspended");
                    // Free the slot: other rollouts must not wait for the next opening of this one.
                    slot = None;
                    self.append(RolloutEvent::Suspended { closing }).await?;
                }
                Next::Escalate { since, reason } => self.escalate(since, reason).await?,
                Next::DecideRevert(failure) => self.roll_back(failure).await?,
                Next::Wait { until, reason } => {
                    // A rollout that waits for an operator or the clock holds no turn and no slot.
                    if is_idle(&reason) {
                        (work_guard, slot) = (None, None);
                    }
                    // Baking moves nothing, so it needs no slot; nor do the steps after it, because the rollout has
                    // touched its target.
                    if let WaitReason::Baking { .. } = reason {
                        slot = None;
                    }
                    self.publish_wait(&reason, &mut last_wait);
                    self.wait(until, &reason).await;
                }
                Next::Do { attempt, step } => {
                    match self.may_work(&mut work_guard, &mut slot).await {
                        Leave::Given => {}
                        Leave::Taken => continue,
                        Leave::Later => {
                            let reason = WaitReason::LastInQueue;
                            self.publish_wait(&reason, &mut last_wait);
                            self.wait(Some(clock::now() + QUEUE_POLL), &reason).await;
                            continue;
                        }
                    }
                    self.bot.rollout_waits(self.state.id, false);
                    if !self.take(attempt, step).await? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Closes the step that an earlier process left unfinished. `false`: the process shuts down.
    async fn take_up(&mut self) -> Result<bool, DriveError> {
        let Some(step) = self.state.under_way() else {
            return Ok(true);
        };
        warn!(%step, "found an unfinished step; looking at what is there");
        while !self.interrupt.shutdown.is_cancelled() {
            match effects::take_up(&self.bot, &self.state, &self.interrupt.shutdown).await {
                Ok(ended) => {
                    let ended = ended.map(|outcome| RolloutEvent::StepEnded { outcome });
                    self.append(ended.unwrap_or(RolloutEvent::StepAbandoned)).await?;
                    return Ok(true);
                }
                Err(failure) => warn!(detail = %failure.detail, "the target cannot be looked at"),
            }
            self.sleep_until(clock::now() + BLIND_POLL).await;
        }
        Ok(false)
    }

    async fn record_expedite(&mut self) -> Result<(), DriveError> {
        let Some(unhealthy) = self.bot.haste(&self.state.app) else {
            return Ok(());
        };
        let known = match unhealthy {
            Unhealthy::Refuse => true,
            Unhealthy::Replace => self.state.target.unhealthy == Unhealthy::Replace,
        };
        if self.state.window_ignored && known {
            return Ok(());
        }
        self.append(RolloutEvent::Expedited {
            by: "an operator".to_owned(),
            unhealthy,
        })
        .await?;
        // The operator who said `--now` follows from here on and has not seen which replicas move.
        self.publish_moves().await
    }

    fn is_self_update(&self) -> bool {
        self.state.kind.kind() == KindName::SelfUpdate
    }

    /// Takes a turn, and a slot unless the rollout has touched its target already.
    async fn may_work(&self, work_guard: &mut Option<WorkGuard>, slot: &mut Option<RolloutSlot>) -> Leave {
        if self.is_self_update() {
            if work_guard.is_some() {
                return Leave::Given;
            }
            // The exclusive turn keeps other rollouts out, so no slot is needed.
            *work_guard = self.bot.work_lock.alone(self.state.id);
            return if work_guard.is_some() {
                Leave::Taken
            } else {
                Leave::Later
            };
        }
        let ends = self.interrupt.shutdown.cancelled();
        if work_guard.is_none() {
            tokio::select! {
                shared = self.bot.work_lock.share() => *work_guard = Some(shared),
                () = ends => {}
            }
            return Leave::Taken;
        }
        // A rollout that has touched its target continues at once: a service may be down. Only starting needs a slot.
        if slot.is_none() && !self.state.touched {
            tokio::select! {
                free = self.bot.rollout_slot(&self.state.target.host) => *slot = Some(free),
                () = ends => {}
            }
            return Leave::Taken;
        }
        Leave::Given
    }

    fn publish_wait(&self, reason: &WaitReason, last: &mut Option<WaitReason>) {
        self.bot.rollout_waits(self.state.id, is_idle(reason));
        if last.as_ref() != Some(reason) {
            if is_idle(reason) {
                let waits = words::waiting(reason, &self.state.timezone);
                info!(waits, "the rollout waits");
            }
            self.bot.watchers.publish(Progress::RolloutWaits {
                rollout: self.state.id,
                reason: reason.clone(),
            });
            *last = Some(reason.clone());
        }
    }

    /// One step, journalled before and after; false when the process ends in the middle of a wait.
    async fn take(&mut self, attempt: u32, step: Step) -> Result<bool, DriveError> {
        self.append(RolloutEvent::StepStarted {
            attempt,
            step: step.clone(),
        })
        .await?;
        let begun = clock::now();
        self.report_begun(&step, begun);
        info!(%step, attempt, "step");
        // Steps are short and bounded: a shutdown lets them finish, except for waits, pre-pulls and commands.
        let outcome = effects::perform(&self.bot, &self.state, &self.interrupt.shutdown).await;
        let Some(outcome) = outcome else { return Ok(false) };
        if let Some(failure) = outcome.failure() {
            warn!(%step, kind = ?failure.kind, detail = %failure.detail, "step failed");
        }
        self.append(RolloutEvent::StepEnded {
            outcome: outcome.clone(),
        })
        .await?;
        self.report_ended(&step, &outcome, begun);
        if step.about().role == Role::Preflight {
            self.publish_moves().await?;
        }
        Ok(true)
    }

    async fn roll_back(&mut self, failure: Failure) -> Result<(), DriveError> {
        warn!(kind = ?failure.kind, detail = %failure.detail, "rolling back");
        self.bot.watchers.publish(Progress::RolloutReturns {
            rollout: self.state.id,
            failure: failure.clone(),
        });
        self.append(RolloutEvent::RevertDecided { failure }).await
    }

    /// Reports to watchers which replicas move; the list is empty until preflight has found them.
    async fn publish_moves(&self) -> Result<(), DriveError> {
        let (state, bot) = (&self.state, &self.bot);
        let events = bot.store.rollout_events(state.id).await?;
        let releases = &bot.app_state(&state.app).releases;
        let preview = rollout::preview(state, &events, &bot.outside(state), releases, clock::now());
        bot.watchers.publish(Progress::RolloutMoves {
            app: state.app.clone(),
            rollout: state.id,
            target: state.target.name.clone(),
            tag: state.release.tag.clone(),
            replicas: match preview.chosen {
                Chosen::Preflighted => preview.moves,
                Chosen::Assumed => Vec::new(),
            },
        });
        Ok(())
    }

    fn report_begun(&self, step: &Step, now: Timestamp) {
        let state = &self.state;
        let phase = match state.goal {
            Goal::Back => Phase::Returning,
            Goal::Forward if state.bake.is_some_and(|until| until <= now) => Phase::Finishing,
            Goal::Forward => Phase::Moving,
        };
        self.bot.watchers.publish(Progress::StepStarted {
            rollout: state.id,
            step: step.to_string(),
            replica: step.about().unit.and_then(|unit| Replica::of(state, unit)),
            phase: Some(phase),
        });
    }

    fn report_ended(&self, step: &Step, outcome: &StepOutcome, begun: Timestamp) {
        let (state, watchers) = (&self.state, &self.bot.watchers);
        let replica = step.about().unit.and_then(|unit| Replica::of(state, unit));
        let took_ms = millis(begun, clock::now());
        let failure = outcome.failure().cloned();
        if let (Role::Readiness(_), None, Some(replica)) = (step.about().role, &failure, replica.clone()) {
            watchers.publish(Progress::Ready {
                rollout: state.id,
                replica,
                took_ms,
            });
        }
        watchers.publish(Progress::StepEnded {
            rollout: state.id,
            step: step.to_string(),
            replica,
            took_ms,
            failure,
        });
    }

    async fn wait(&self, until: Option<Timestamp>, reason: &WaitReason) {
        let until = until.unwrap_or_else(|| clock::now() + IDLE_POLL);
        if let WaitReason::Baking { .. } | WaitReason::Converging { .. } = reason {
            return self.sleep_until(until).await;
        }
        // A pause, a halt, a resume or a new configuration ends the wait early.
        let changed = self.bot.wakeups.of(&self.state.app);
        tokio::select! {
            () = self.sleep_until(until) => {}
            () = changed.notified() => {}
        }
    }

    async fn sleep_until(&self, until: Timestamp) {
        let pause = until.duration_since(clock::now()).try_into().unwrap_or_default();
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.interrupt.shutdown.cancelled() => {}
        }
    }

    async fn append(&mut self, event: RolloutEvent) -> Result<(), DriveError> {
        let now = clock::now();
        let batch = Batch::new().rollout(&self.state.app, self.state.id, self.seen, &event);
        self.bot.store.commit(batch, now).await?;
        self.fold(event, now)
    }

    /// Counts and folds an event that was just committed.
    fn fold(&mut self, event: RolloutEvent, at: Timestamp) -> Result<(), DriveError> {
        self.bot.counters.rollout(&self.state, &event, at);
        self.seen += 1;
        Ok(self.state.apply(&Recorded {
            seq: self.seen,
            at,
            event,
        })?)
    }

    /// Notifies people that the release has waited too long, once.
    async fn escalate(&mut self, since: Timestamp, reason: WaitReason) -> Result<(), DriveError> {
        let now = clock::now();
        let app = self.state.app.clone();
        let message = consequences::rollout_waits(&self.state, (since, reason), now);
        let event = RolloutEvent::LateNoticeSent { since };
        let batch = Batch::new().rollout(&app, self.state.id, self.seen, &event);
        self.bot.commit(batch, &app, &[], &[message]).await?;
        self.fold(event, now)
    }

    /// Commits the conclusion, its consequences for the app (halt, quarantine) and the notices in one transaction.
    async fn conclude(&mut self, conclusion: RolloutConclusion) -> Result<RolloutConclusion, DriveError> {
        let now = clock::now();
        let app = self.state.app.clone();
        let fleet = self.bot.in_force();
        let configured = fleet.fleet.apps.get(&app).map(AsRef::as_ref);
        let app_state = self.bot.app_state(&app);
        let adopted = effects::adopted(&self.bot, &self.state);
        let end = consequences::RolloutEnd {
            app_state: &app_state,
            app: configured,
            adopted: adopted.as_ref(),
        };
        let consequences = consequences::rollout_ended(&self.state, &conclusion, &end, now);
        let event = RolloutEvent::Concluded {
            conclusion: conclusion.clone(),
        };
        let batch = Batch::new().rollout(&app, self.state.id, self.seen, &event);
        self.bot
            .commit(batch, &app, &consequences.facts, &consequences.messages)
            .await?;
        self.fold(event, now)?;
        info!(?conclusion, "rollout ended");
        self.bot.watchers.publish(Progress::RolloutEnded {
            app,
            target: self.state.target.name.clone(),
            rollout: self.state.id,
            conclusion: Box::new(conclusion.clone()),
        });
        if self.is_self_update() {
            self_update::perform::tidy(&self.bot).await?;
        }
        Ok(conclusion)
    }
}

/// May a step be taken?
enum Leave {
    Given,
    /// The driver waited for a turn or a slot, so the decision may be outdated: observe and decide again.
    Taken,
    /// Other work is in progress, and lowtide's own replacement has to wait for it.
    Later,
}

/// Does this wait last until an operator, the clock or other work ends it? Then a client that follows need not stay.
fn is_idle(reason: &WaitReason) -> bool {
    match reason {
        WaitReason::Window { .. }
        | WaitReason::NoWindow
        | WaitReason::WindowNeverOpens
        | WaitReason::WindowTooShort { .. }
        | WaitReason::Frozen { .. }
        | WaitReason::Suspended { .. }
        | WaitReason::HookBusy { .. }
        | WaitReason::OtherRuns { .. }
        | WaitReason::Paused
        | WaitReason::Halted
        | WaitReason::LastInQueue => true,
        WaitReason::Baking { .. } | WaitReason::Converging { .. } | WaitReason::Retry { .. } => false,
    }
}
