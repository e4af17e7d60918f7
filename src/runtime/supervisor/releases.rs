//! What an app's releases ask for: promotions and rollouts.

use super::{Event, Scope, Supervisor};
use crate::clients::clock;
use crate::clients::registry::copy::TagRule;
use crate::decide::standing;
use crate::model::fleet::{App, Channel, Select, TargetPolicy};
use crate::model::image::{ManifestDigest, Reference, ServedDigest};
use crate::model::name::{AppName, RolloutId};
use crate::model::rollout::{Purpose, RolloutEvent};
use crate::model::standing::{AppEvent, Release};
use crate::runtime::bot::Bot;
use crate::runtime::progress::Progress;
use crate::store::error::StoreError;
use crate::store::journal::Batch;
use std::sync::Arc;
use std::time::Duration;
use tracing::error;

/// A promotion that failed is tried again after this.
const PROMOTE_RETRY: Duration = Duration::from_secs(60);

impl Supervisor {
    /// Promotions and rollouts that an app's releases ask for.
    pub(super) async fn advance(&mut self, app: &App) -> Result<(), StoreError> {
        if self.bot.paused()
            || self
                .promoting
                .get(&app.name)
                .is_some_and(|until| until.is_none_or(|t| t > clock::now()))
        {
            return Ok(());
        }
        match standing::next(app, &self.bot.standing(&app.name)) {
            standing::Next::Idle => Ok(()),
            standing::Next::Promote {
                channel,
                release,
                digest,
            } => self.promote(app, channel, *release, digest).await,
            // A command's own process is not the one that runs in the container.
            standing::Next::OpenRollout { target, .. } | standing::Next::GoBack { target, .. }
                if target.select == Select::Itself && self.scope == Scope::Asked =>
            {
                Ok(())
            }
            standing::Next::OpenRollout { target, release } => {
                let (target, purpose) = standing::undertaken(&self.bot.standing(&app.name), *target);
                self.open_rollout(app, target, *release, purpose).await
            }
            standing::Next::GoBack { target, release } => {
                self.open_rollout(app, *target, *release, Purpose::Revert).await
            }
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
            .find(|channel| Some(&channel.name) == target.channel.as_ref());
        release.reference = standing::channel_reference(channel, &release);
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
            target: target.name.clone(),
            release: run,
            rollout: id,
        };
        let batch = Batch::new().rollout(&app.name, id, 0, &event);
        self.bot.commit(batch, &app.name, &[opened], Vec::new()).await?;
        self.bot.watchers.tell(Progress::RolloutOpened {
            app: app.name.clone(),
            target: target.name,
            rollout: id,
            run,
        });
        self.start_rollout(id, app.name.clone());
        Ok(())
    }

    /// The digest goes to the channel; nothing is built. Journalled before, so that a kill repeats it: repeating is harmless.
    async fn promote(
        &mut self,
        app: &App,
        channel: Channel,
        release: Release,
        digest: ManifestDigest,
    ) -> Result<(), StoreError> {
        let started = AppEvent::PromoteStarted {
            channel: channel.name.clone(),
            release: release.run,
            reference: Reference::tagged(&channel.image, &channel.tag),
            digest: digest.clone(),
        };
        self.bot.commit(Batch::new(), &app.name, &[started], Vec::new()).await?;
        self.promoting.insert(app.name.clone(), None);
        let (bot, end, name) = (Arc::clone(&self.bot), self.end.clone(), app.name.clone());
        tokio::spawn(async move {
            let turn = bot.turns.share().await;
            let done = promote(&bot, &name, &channel, &release, &digest).await;
            drop(turn);
            let _ = end.send(Event::PromotionEnded(name, done)).await;
        });
        Ok(())
    }

    pub(super) fn promotion_ended(&mut self, app: AppName, done: Result<(), String>) {
        match done {
            Ok(()) => {
                self.promoting.remove(&app);
            }
            Err(why) => {
                error!(%app, why, "promotion failed; it is tried again");
                let again = clock::now() + PROMOTE_RETRY;
                self.promoting.insert(app, Some(again));
            }
        }
    }
}

async fn promote(
    bot: &Bot,
    app: &AppName,
    channel: &Channel,
    release: &Release,
    digest: &ManifestDigest,
) -> Result<(), String> {
    let fleet = bot.in_force();
    let served: ServedDigest = digest.to_string().try_into().map_err(|e| format!("{e}"))?;
    let from = &release.reference.repository;
    let registry = &fleet.registry;
    // The immutable tag travels along: the channel's repository then says which release it holds.
    let copied = registry
        .copy(from, &served, &channel.image, &release.tag, TagRule::Immutable)
        .await;
    copied.map_err(|e| e.to_string())?;
    let moved = registry
        .copy(from, &served, &channel.image, &channel.tag, TagRule::Moving)
        .await;
    moved.map_err(|e| e.to_string())?;
    let promoted = AppEvent::Promoted {
        channel: channel.name.clone(),
        release: release.run,
    };
    bot.commit(Batch::new(), app, &[promoted], Vec::new())
        .await
        .map_err(|e| e.to_string())?;
    bot.watchers.tell(Progress::Promoted {
        app: app.clone(),
        channel: channel.name.to_string(),
        tag: release.tag.clone(),
    });
    Ok(())
}
