//! Gathers the daily report from the journal and puts it into the outbox.

use super::bot::Bot;
use super::fleet_status;
use crate::clients::clock;
use crate::store::error::StoreError;
use crate::store::journal::StreamRow;
use crate::store::overview::RunEnd;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use lowtide_core::decide::{daily_report, notify};
use lowtide_core::fleet::rollout::RolloutEvent;
use lowtide_model::journal::Stream;
use lowtide_model::message::{Addressees, Message, MessageBody};
use std::sync::Arc;

/// Enqueues a daily report per recipient when its time has come and there is something to report, or a heartbeat is
/// due.
///
/// # Errors
/// When the store cannot be used.
pub async fn enqueue_due(bot: &Bot) -> Result<(), StoreError> {
    let fleet = bot.in_force();
    let Some(policy) = &fleet.fleet.channels.email else {
        return Ok(());
    };
    let now = clock::now();
    let looked = match bot.store.mark("daily-report").await? {
        Some(at) => at,
        None => return bot.store.set_mark("daily-report", now).await,
    };
    let timezone = &fleet.fleet.timezone;
    let Some(slot) = notify::daily_report_due(looked, now, policy.daily_report, timezone) else {
        return Ok(());
    };
    let facts = gather(bot, looked).await?;
    let app_states = fleet
        .fleet
        .apps
        .values()
        .map(|app| (app.name.clone(), (bot.app_state(&app.name), Arc::clone(app))))
        .collect();
    let blind = bot.store.undelivered().await?;
    let runs = fleet_status::of_bot(bot).await?.apps;
    let frame = daily_report::Frame {
        from: looked,
        to: slot,
        timezone,
        next_run: runs.iter().filter_map(|app| app.next_run).min(),
    };
    let body = daily_report::body(&facts, &app_states, blind, frame);
    let last_sent = bot.store.mark("daily-report-sent").await?.unwrap_or(looked);
    let due = notify::has_news(&body) || notify::heartbeat_due(last_sent, now, policy.daily_report, timezone);
    if due {
        let day = slot.to_zoned(TimeZone::get(timezone).unwrap_or(TimeZone::UTC)).date();
        let message = Message {
            keys: notify::daily_report_keys(day),
            addressees: Addressees::Operators,
            at: slot,
            body: MessageBody::DailyReport(Box::new(body)),
        };
        bot.notify(&message).await?;
        bot.store.set_mark("daily-report-sent", slot).await?;
    }
    // Last: a kill before this makes the same report again, which the outbox knows by its key.
    bot.store.set_mark("daily-report", slot).await
}

/// What ended since `since`, and what is open, newest first.
async fn gather(bot: &Bot, since: Timestamp) -> Result<Vec<daily_report::Fact>, StoreError> {
    let recent = bot.store.ended_since(since).await?;
    let run = |end: RunEnd| {
        Some(daily_report::Fact::Run {
            conclusion: Box::new(end.conclusion()?.clone()),
            app: end.row.app,
        })
    };
    let runs = recent.runs.into_iter().filter_map(run);
    let rollouts = recent.rollouts.into_iter().filter_map(rollout_fact);
    Ok(runs.chain(rollouts).collect())
}

fn rollout_fact((row, first, last): (StreamRow, RolloutEvent, RolloutEvent)) -> Option<daily_report::Fact> {
    let (
        Stream::Rollout(rollout),
        RolloutEvent::Opened {
            target,
            release,
            purpose,
            ..
        },
    ) = (row.stream, first)
    else {
        return None;
    };
    let conclusion = if let RolloutEvent::Concluded { conclusion } = last {
        Some(conclusion)
    } else {
        None
    };
    Some(daily_report::Fact::Rollout {
        app: row.app,
        rollout,
        purpose,
        target: target.settings.name,
        tag: release.tag,
        conclusion,
    })
}
