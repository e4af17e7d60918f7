//! What an app's releases require: promotions and rollouts.

use super::{Event, Scope, Supervisor};
use crate::clients::clock;
use crate::runtime::bot::InForce;
use crate::runtime::perform::publish;
use crate::runtime::progress::Progress;
use crate::store::error::StoreError;
use crate::store::journal::Batch;
use lowtide_core::decide::app_state::{self, Next, Occasion, Promotion};
use lowtide_core::decide::consequences;
use lowtide_core::decide::schedule::Calendar;
use lowtide_core::fleet::app::{App, Fleet};
use lowtide_core::fleet::app_state::AppEvent;
use lowtide_core::fleet::rollout::RolloutEvent;
use lowtide_core::kinds::list::TargetPolicy;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::image::Reference;
use lowtide_model::name::{AppName, RolloutId};
use lowtide_model::release::Release;
use lowtide_model::rollout::Purpose;
use std::sync::Arc;
use tracing::warn;

impl Supervisor {
    /// Starts the next promotion or rollout that the app's releases call for.
    pub(super) async fn advance(&mut self, app: &App) -> Result<(), StoreError> {
        if self.promoting.contains(&app.name) {
            return Ok(());
        }
        match app_state::next(app, &self.bot.app_state(&app.name), clock::now()) {
            Next::Idle => Ok(()),
            // A pause blocks forward promotions and rollouts only; rollbacks continue.
            Next::Promote(_) | Next::OpenRollout { .. } if self.bot.paused() => Ok(()),
            Next::Promote(promotion) | Next::TakeBack(promotion) => self.promote(app, promotion).await,
            // A command does not replace lowtide's own container: it runs in another process. A `serve` does.
            Next::OpenRollout { target, .. } | Next::GoBack { target, .. }
                if target.is_own_container() && self.scope == Scope::Requested =>
            {
                Ok(())
            }
            Next::OpenRollout { target, release } => {
                let (target, purpose) = app_state::undertaken(&self.bot.app_state(&app.name), *target, &release);
                self.open_rollout(app, target, *release, purpose).await
            }
            Next::GoBack { target, release } => self.open_rollout(app, *target, *release, Purpose::Revert).await,
        }
    }

    pub(super) async fn open_rollout(
        &mut self,
        app: &App,
        target: TargetPolicy,
        mut release: Release,
        purpose: Purpose,
    ) -> Result<(), StoreError> {
        let id = RolloutId(ulid::Ulid::generate());
        let channels = app.publish.as_ref().map(|p| p.channels.as_slice()).unwrap_or_default();
        let channel = channels
            .iter()
            .find(|channel| Some(&channel.name) == target.settings.channel.as_ref());
        // Only our own releases get the channel's reference; an image from before our first release keeps the one it
        // was found under.
        if self
            .bot
            .app_state(&app.name)
            .releases
            .iter()
            .any(|known| known.run == release.run)
        {
            release.reference = app_state::channel_reference(channel, &release);
        }
        let run = release.run;
        let event = RolloutEvent::Opened {
            app: app.name.clone(),
            target: Box::new(target.clone()),
            timezone: app.timezone.clone(),
            release: Box::new(release),
            window_ignored: self.bot.expedited(&app.name),
            purpose,
        };
        let opened = AppEvent::RolloutOpened {
            target: target.settings.name.clone(),
            release: run,
            rollout: id,
        };
        let batch = Batch::new().rollout(&app.name, id, 0, &event);
        self.bot.commit(batch, &app.name, &[opened], &[]).await?;
        self.bot.watchers.publish(Progress::RolloutOpened {
            app: app.name.clone(),
            target: target.settings.name,
            rollout: id,
            run,
        });
        self.start_rollout(id, app.name.clone());
        Ok(())
    }

    /// Retries refused rollouts and failed promotions: of every app at startup, because the cause may be gone since the
    /// last stop, and later of each app whose configuration, registries or hosts changed, because the change may be the
    /// fix.
    pub(super) async fn retry_after_changes(&mut self, fleet: &Arc<InForce>) -> Result<(), StoreError> {
        let known = self.known.replace(Arc::clone(fleet));
        if known.as_ref().is_some_and(|known| Arc::ptr_eq(known, fleet)) {
            return Ok(());
        }
        self.calendar = Calendar::default();
        self.bases_changes = None;
        for app in fleet.fleet.apps.values() {
            let occasion = match &known {
                None => Occasion::Started,
                Some(known) if is_same(&known.fleet, &fleet.fleet, app) => continue,
                Some(_) => Occasion::Configured,
            };
            let again = self.bot.app_state(&app.name).again(occasion, clock::now());
            if let Some(again) = again {
                self.bot.commit(Batch::new(), &app.name, &[again], &[]).await?;
            }
        }
        Ok(())
    }

    /// Copies the release's digest to the channel; builds nothing. `PromoteStarted` is journalled first, so a promotion
    /// that was killed is repeated, which is harmless.
    async fn promote(&mut self, app: &App, promotion: Box<Promotion>) -> Result<(), StoreError> {
        let channel = &promotion.channel;
        let started = AppEvent::PromoteStarted {
            channel: channel.name.clone(),
            release: promotion.release.run,
            reference: Reference::tagged(&channel.image, &channel.tag),
            digest: promotion.digest.clone(),
        };
        self.bot.commit(Batch::new(), &app.name, &[started], &[]).await?;
        self.promoting.insert(app.name.clone());
        let (bot, end, name) = (Arc::clone(&self.bot), self.end.clone(), app.name.clone());
        tokio::spawn(async move {
            let work_guard = bot.work_lock.share().await;
            let copied = promotion.clone();
            let done = tokio::spawn(async move { publish::promote(&bot.in_force(), &copied).await }).await;
            drop(work_guard);
            let broken = |error| {
                Err(Failure::new(
                    FailureKind::Invariant,
                    format!("the promotion broke: {error}"),
                ))
            };
            // The supervisor is gone only when the process ends.
            let _ = end
                .send(Event::PromotionEnded(name, promotion, done.unwrap_or_else(broken)))
                .await;
        });
        Ok(())
    }

    pub(super) async fn promotion_ended(
        &mut self,
        name: &AppName,
        promotion: &Promotion,
        done: Result<(), Failure>,
    ) -> Result<(), StoreError> {
        self.promoting.remove(name);
        let fleet = self.bot.in_force();
        // The app is no longer configured: drop the result.
        let Some(app) = fleet.fleet.apps.get(name) else {
            return Ok(());
        };
        let now = clock::now();
        let app_state = self.bot.app_state(name);
        let (channel, tag) = (&promotion.channel.name, promotion.release.tag.clone());
        let state = app_state.channels.get(channel).cloned().unwrap_or_default();
        let consequences = match &done {
            Ok(()) => consequences::promoted(app, promotion, &state, now),
            Err(failure) => consequences::promotion_failed(app, promotion, &state, failure, now),
        };
        self.bot
            .commit(Batch::new(), name, &consequences.facts, &consequences.messages)
            .await?;
        let (app, channel) = (name.clone(), channel.to_string());
        self.bot.watchers.publish(match done {
            Ok(()) => Progress::Promoted { app, channel, tag },
            Err(failure) => {
                let app_state = self.bot.app_state(name);
                let failing = app_state
                    .channels
                    .get(&promotion.channel.name)
                    .and_then(|state| state.failing.as_ref());
                let again = failing.and_then(|failing| failing.due());
                warn!(%app, channel, tag, kind = ?failure.kind, detail = %failure.detail, ?again, "promotion failed");
                Progress::PromotionFailed {
                    app,
                    channel,
                    tag,
                    failure,
                    again,
                }
            }
        });
        Ok(())
    }
}

/// Is everything unchanged that the app's rollouts and promotions depend on?
fn is_same(then: &Fleet, now: &Fleet, app: &App) -> bool {
    then.apps.get(&app.name).is_some_and(|then| **then == *app)
        && then.registries == now.registries
        && then.hosts == now.hosts
}
