//! Drives one run: fold → next → journal → perform → journal.

use super::bot::Bot;
use super::perform::run::{Performed, perform};
use super::progress::Progress;
use super::run_slots::RunSlot;
use super::sweep;
use crate::clients::clock;
use crate::store::error::StoreError;
use crate::store::journal::Batch;
use jiff::Timestamp;
use lowtide_core::decide::run::{self, Next, Progress as EffectProgress, RunState};
use lowtide_core::decide::{consequences, recover};
use lowtide_core::fleet::run::RunEvent;
use lowtide_model::failure::WaitReason;
use lowtide_model::journal::{IllegalEvent, Recorded};
use lowtide_model::name::RunId;
use lowtide_model::run::{Conclusion, Effect, Outcome};
use lowtide_model::stages::resolve::Base;
use std::sync::{Arc, OnceLock};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info, info_span, warn};

/// Why a driver stopped without concluding.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    #[error("the journal cannot be used")]
    Store(#[from] StoreError),
    /// The run (or rollout) is held: its journal makes no sense to this version.
    #[error("held: {0}")]
    Illegal(#[from] IllegalEvent),
}

/// How the outside interrupts a driver.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    /// Someone cancelled it: it ends as cancelled.
    pub cancel: CancellationToken,
    /// Who did.
    pub cancelled_by: Arc<OnceLock<String>>,
    /// The process ends: it parks where it is, to be taken up at the next start.
    pub shutdown: CancellationToken,
}

/// Drives the run to its conclusion; `None` when the process shut down before.
///
/// # Errors
/// When the journal cannot be used: nothing is performed without it.
pub async fn drive(bot: Arc<Bot>, id: RunId, interrupt: Interrupt) -> Result<Option<Conclusion>, DriveError> {
    let events = bot.store.run_events(id).await?;
    let state = run::fold(id, &events)?;
    let span = info_span!("run", app = %state.app.name, run = %id);
    let _turn = tokio::select! {
        work_guard = bot.work_lock.share() => work_guard,
        () = interrupt.shutdown.cancelled() => return Ok(None),
    };
    let mut driver = Driver {
        bot,
        state,
        seen: events.len() as u64,
        interrupt,
    };
    driver.drive().instrument(span).await
}

/// May the run go on?
enum Leave {
    Work(RunSlot),
    /// Someone cancelled it while it waited.
    Cancelled,
}

struct Driver {
    bot: Arc<Bot>,
    state: RunState,
    /// Events in the stream.
    seen: u64,
    interrupt: Interrupt,
}

impl Driver {
    async fn drive(&mut self) -> Result<Option<Conclusion>, DriveError> {
        self.recover().await?;
        let mut slot = None;
        loop {
            if self.interrupt.cancel.is_cancelled() && self.state.cancel.is_none() {
                let by = self.interrupt.cancelled_by.get();
                let by = by.map_or_else(|| "an operator".to_owned(), String::clone);
                self.append(RunEvent::CancelRequested { by }).await?;
            }
            match run::next(&self.state, clock::now()) {
                Next::Over => return Ok(self.state.conclusion.clone()),
                Next::Finish(conclusion) => return self.conclude(conclusion).await.map(Some),
                Next::WaitUntil { at, reason } => {
                    // Free the slot: a run that waits for a registry to come back must not hold up other runs.
                    drop(slot.take());
                    self.bot.watchers.publish(Progress::RunWaits {
                        run: self.state.id,
                        reason,
                    });
                    if !self.wait(at).await {
                        return Ok(None);
                    }
                }
                Next::Perform { .. } if slot.is_none() => match self.slot().await {
                    Some(Leave::Work(taken)) => slot = Some(taken),
                    // The loop looks again.
                    Some(Leave::Cancelled) => {}
                    None => return Ok(None),
                },
                Next::Perform { attempt, effect } => {
                    let stage = effect.stage();
                    self.begin(attempt, &effect).await?;
                    self.publish(Progress::StageStarted {
                        run: self.state.id,
                        stage,
                        attempt,
                    });
                    let span = info_span!("stage", %stage, attempt);
                    let performed = perform(&self.bot, &self.state, &effect, attempt, &self.interrupt)
                        .instrument(span)
                        .await;
                    match performed {
                        Performed::Ended(outcome) => self.end(stage, *outcome).await?,
                        // The loop journals the cancel next, and the run concludes by it.
                        Performed::Cancelled => self.append(RunEvent::EffectAbandoned { back_to: stage }).await?,
                        // The effect stays open in the journal; the next start abandons it and goes on.
                        Performed::Parked => return Ok(None),
                    }
                }
            }
        }
    }

    async fn end(&mut self, stage: lowtide_model::run::Stage, outcome: Outcome) -> Result<(), DriveError> {
        let ok = !matches!(outcome, Outcome::Failed(_));
        if let Outcome::Failed(failure) = &outcome {
            warn!(%stage, kind = ?failure.kind, detail = %failure.detail, "stage failed");
        } else {
            info!(%stage, "stage done");
        }
        self.append(RunEvent::EffectEnded { outcome }).await?;
        self.publish(Progress::StageEnded {
            run: self.state.id,
            stage,
            ok,
        });
        Ok(())
    }

    /// An effect that began and has no end: lowtide was killed in the middle of it.
    async fn recover(&mut self) -> Result<(), DriveError> {
        let EffectProgress::Started { effect, .. } = &self.state.effect else {
            return Ok(());
        };
        let recover::Recovery::Repeat { back_to } = recover::run_effect(effect);
        warn!(stage = %effect.stage(), %back_to, "found an unfinished effect; sweeping and going on");
        sweep::run(&self.bot, &self.state).await;
        self.append(RunEvent::EffectAbandoned { back_to }).await
    }

    /// A place among the runs that work; `None` when the process shuts down meanwhile.
    async fn slot(&self) -> Option<Leave> {
        let most = || self.bot.in_force().fleet.limits.runs;
        if let Some(slot) = self.bot.run_slots.try_take(most()) {
            return Some(Leave::Work(slot));
        }
        self.bot.watchers.publish(Progress::RunWaits {
            run: self.state.id,
            reason: WaitReason::OtherRuns { limit: most() },
        });
        tokio::select! {
            slot = self.bot.run_slots.take(most) => Some(Leave::Work(slot)),
            () = self.interrupt.cancel.cancelled() => Some(Leave::Cancelled),
            () = self.interrupt.shutdown.cancelled() => None,
        }
    }

    /// False when the process shuts down meanwhile.
    async fn wait(&self, until: Timestamp) -> bool {
        let pause = until.duration_since(clock::now()).try_into().unwrap_or_default();
        tokio::select! {
            () = tokio::time::sleep(pause) => true,
            () = self.interrupt.cancel.cancelled() => true,
            () = self.interrupt.shutdown.cancelled() => false,
        }
    }

    /// Commits the beginning of an effect, and its record for whoever watches the commit.
    async fn begin(&mut self, attempt: u32, effect: &Effect) -> Result<(), DriveError> {
        let now = clock::now();
        let event = RunEvent::EffectStarted {
            attempt,
            effect: effect.clone(),
        };
        let Some(message) = consequences::effect_started(&self.state, effect, now) else {
            return self.append(event).await;
        };
        let app = self.state.app.name.clone();
        let batch = Batch::new().run(&app, self.state.id, self.seen, &event);
        self.bot.commit(batch, &app, &[], &[message]).await?;
        self.fold(event, now)
    }

    async fn append(&mut self, event: RunEvent) -> Result<(), DriveError> {
        let now = clock::now();
        let batch = Batch::new().run(&self.state.app.name, self.state.id, self.seen, &event);
        self.bot.store.commit(batch, now).await?;
        self.fold(event, now)
    }

    /// Counts and folds an event that was just committed.
    fn fold(&mut self, event: RunEvent, at: Timestamp) -> Result<(), DriveError> {
        self.bot.counters.run(&self.state, &event, at);
        self.seen += 1;
        Ok(self.state.apply(&Recorded {
            seq: self.seen,
            at,
            event,
        })?)
    }

    /// Commits the conclusion, its consequences for the app and the notices in one transaction.
    async fn conclude(&mut self, conclusion: Conclusion) -> Result<Conclusion, DriveError> {
        let now = clock::now();
        let app_state = self.bot.app_state(&self.state.app.name);
        let bases = self.last_bases(&conclusion).await?;
        let end = consequences::RunEnd {
            app_state: &app_state,
            last_bases: bases.as_deref(),
            timezone: &self.bot.in_force().fleet.timezone,
        };
        let consequences = consequences::run_ended(&self.state, &conclusion, &end, now);
        let event = RunEvent::Concluded {
            conclusion: conclusion.clone(),
        };
        let batch = Batch::new().run(&self.state.app.name, self.state.id, self.seen, &event);
        self.bot
            .commit(batch, &self.state.app.name, &consequences.facts, &consequences.messages)
            .await?;
        self.fold(event, now)?;
        info!(conclusion = conclusion.word(), "run ended");
        self.publish(Progress::RunEnded {
            app: self.state.app.name.clone(),
            run: self.state.id,
            conclusion: Box::new(conclusion.clone()),
        });
        Ok(conclusion)
    }

    /// Images that the last release was built from; `None`: not known, or nothing depends on it.
    async fn last_bases(&self, conclusion: &Conclusion) -> Result<Option<Vec<Base>>, DriveError> {
        let Some(last) = consequences::compared_with(&self.state, conclusion) else {
            return Ok(None);
        };
        // A run whose events are gone, or make no sense any more, has no bases that are known.
        let last = run::fold(last, &self.bot.store.run_events(last).await?).ok();
        let resolved = last.and_then(|last| last.resolved);
        Ok(resolved.and_then(|resolved| Some(resolved.repository()?.images().cloned().collect())))
    }

    fn publish(&self, progress: Progress) {
        self.bot.watchers.publish(progress);
    }
}
