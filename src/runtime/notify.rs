//! Delivers the outbox: at least once, one message per cause.

use super::bot::Bot;
use super::channels::courier;
use super::daily_report;
use crate::store::error::StoreError;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// New notices ring; this is for those whose back-off has passed.
const POLL: Duration = Duration::from_secs(15);

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

/// One pass over what is due in all channels. Returns how many notices were delivered.
///
/// # Errors
/// When the outbox cannot be read or written.
pub async fn deliver_once(bot: &Bot) -> Result<usize, StoreError> {
    courier::deliver_once(bot).await
}
