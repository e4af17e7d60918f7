//! Delivers the outbox: at least once, one message per cause.

use super::bot::Bot;
use super::channels::courier;
use super::daily_report;
use crate::store::error::StoreError;
use std::ops::ControlFlow;
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
        deliver_all(&bot, &shutdown).await?;
        if rest(&bot, &shutdown).await.is_break() {
            return Ok(());
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
        deliver_all(&bot, &shutdown).await?;
        if rest(&bot, &shutdown).await.is_break() {
            return Ok(());
        }
    }
}

/// A pass that delivers something is followed by another: a backlog does not wait for the next look.
async fn deliver_all(bot: &Bot, shutdown: &CancellationToken) -> Result<(), StoreError> {
    while !shutdown.is_cancelled() && deliver_once(bot).await? > 0 {}
    Ok(())
}

/// Waits for the next look.
async fn rest(bot: &Bot, shutdown: &CancellationToken) -> ControlFlow<()> {
    tokio::select! {
        () = shutdown.cancelled() => ControlFlow::Break(()),
        () = bot.outbox_look.notified() => ControlFlow::Continue(()),
        () = tokio::time::sleep(POLL) => ControlFlow::Continue(()),
    }
}

/// One pass over what is due in all channels. Returns how many notices were delivered.
///
/// # Errors
/// When the outbox cannot be read or written.
pub async fn deliver_once(bot: &Bot) -> Result<usize, StoreError> {
    courier::deliver_once(bot).await
}
