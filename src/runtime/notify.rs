//! Delivers the outbox: at least once, one message per cause.

use super::bot::Bot;
use super::{daily_report, notify_github};
use crate::clients::clock;
use crate::clients::smtp::{ANSWER, Smtp};
use crate::decide::retry;
use crate::model::notice::Audience;
use crate::model::policy::EmailPolicy;
use crate::report::mail::{MailContext, render};
use crate::store::error::StoreError;
use crate::store::outbox::{Delivery, Pending};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// New notices ring; this is for those whose back-off has passed.
const POLL: Duration = Duration::from_secs(15);
/// Notices delivered in one pass; the next pass follows at once while there are more.
pub(super) const BATCH: usize = 50;

/// Delivers until shutdown.
///
/// # Errors
/// When the outbox cannot be read or written.
pub async fn run(bot: Arc<Bot>, shutdown: CancellationToken) -> Result<(), StoreError> {
    loop {
        daily_report::enqueue_due(&bot).await?;
        deliver_once(&bot).await?;
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = bot.outbox_look.notified() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

/// Delivers what is due, as it comes, for a command that holds the state: what happened to one app does not wait for the end
/// of another. The daily report is the bot's.
///
/// # Errors
/// When the outbox cannot be read or written.
pub async fn deliver_until(bot: Arc<Bot>, shutdown: CancellationToken) -> Result<(), StoreError> {
    loop {
        deliver_once(&bot).await?;
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = bot.outbox_look.notified() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

/// One pass over what is due. Returns how many were delivered.
///
/// # Errors
/// When the outbox cannot be read or written.
pub async fn deliver_once(bot: &Bot) -> Result<usize, StoreError> {
    // Side by side: a slow mail server does not keep GitHub waiting, nor the other way round.
    let (mails, posts) = tokio::try_join!(deliver_mail(bot), notify_github::deliver_due(bot))?;
    Ok(mails + posts)
}

async fn deliver_mail(bot: &Bot) -> Result<usize, StoreError> {
    let fleet = bot.in_force();
    // Without a mail server notices wait; they are not lost when one is configured later.
    let Some(policy) = &fleet.fleet.email else { return Ok(0) };
    let mut delivered = 0;
    let mail = |audience: &Audience| matches!(audience, Audience::Mail { .. });
    for pending in bot.store.due_notices(clock::now(), BATCH, mail).await? {
        let Audience::Mail { to } = &pending.notice.audience else {
            continue;
        };
        let delivery = deliver(bot, policy, &pending, to).await;
        let dedup = pending.notice.dedup.clone();
        // A kill here delivers it again, under the same Message-ID.
        bot.store
            .record_delivery(dedup.clone(), delivery.clone(), clock::now())
            .await?;
        bot.counters.delivery(&pending.notice.audience, &delivery);
        // Said when it is so: whoever follows the log finds it in the journal.
        match delivery {
            Delivery::Delivered => {
                delivered += 1;
                info!(dedup, "mail delivered");
            }
            Delivery::Later { at, error } => warn!(dedup, %at, error, "mail not delivered yet"),
            Delivery::Dead { error } => warn!(dedup, error, "mail cannot be delivered"),
        }
    }
    Ok(delivered)
}

async fn deliver(bot: &Bot, policy: &EmailPolicy, pending: &Pending, to: &[String]) -> Delivery {
    let domain = policy
        .from
        .rsplit('@')
        .next()
        .unwrap_or("localhost")
        .trim_end_matches('>')
        .to_owned();
    let context = MailContext {
        instance: bot.instance.clone(),
        domain,
        timezone: policy.timezone.clone(),
    };
    let mail = render(&pending.notice, &context);
    let later = |error: String| {
        let at = clock::now() + retry::outbox_after(pending.attempts + 1);
        Delivery::Later { at, error }
    };
    let smtp = match Smtp::new(policy, ANSWER) {
        Ok(smtp) => smtp,
        Err(error) => return later(error.to_string()),
    };
    match smtp.send(&mail, to).await {
        Ok(sent) => match sent.refused.first() {
            None => Delivery::Delivered,
            Some(refusal) if refusal.permanent => Delivery::Dead {
                error: refusal.message.clone(),
            },
            Some(refusal) => later(refusal.message.clone()),
        },
        Err(error) if error.retryable() || error.operator() => later(error.to_string()),
        Err(error) => Delivery::Dead {
            error: error.to_string(),
        },
    }
}
