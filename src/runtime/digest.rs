//! Gathers the daily digest from the journal and puts it into the outbox.

use super::bot::Bot;
use crate::clients::clock;
use crate::decide::{digest, notify};
use crate::model::journal::Stream;
use crate::model::notice::{Audience, Notice, NoticeBody};
use crate::model::rollout::RolloutEvent;
use crate::model::run::RunEvent;
use crate::store::error::StoreError;
use jiff::tz::TimeZone;

/// Streams of one day that a digest looks at: ten times the largest fleet.
const STREAMS: u32 = 10_000;

/// Enqueues a digest per recipient when its time has come and there is something to tell, or a sign of life is due.
///
/// # Errors
/// When the store cannot be used.
pub async fn enqueue_due(bot: &Bot) -> Result<(), StoreError> {
    let fleet = bot.in_force();
    let Some(policy) = &fleet.fleet.email else {
        return Ok(());
    };
    let now = clock::now();
    let looked = match bot.store.mark("digest").await? {
        Some(at) => at,
        None => return bot.store.set_mark("digest", now).await,
    };
    let Some(slot) = notify::digest_due(looked, now, policy.digest, &policy.timezone) else {
        return Ok(());
    };
    let mut facts = Vec::new();
    for row in bot.store.recent_streams(None, STREAMS).await? {
        if row.closed.is_some_and(|closed| closed < looked) {
            continue;
        }
        match row.stream {
            Stream::Run(id) => {
                let last = bot.store.run_events(id).await?.pop();
                if let Some((at, RunEvent::Concluded { conclusion })) = last.map(|r| (r.at, r.event)) {
                    facts.push(digest::Fact::Run {
                        app: row.app,
                        at,
                        conclusion,
                    });
                }
            }
            Stream::Rollout(id) => {
                let events = bot.store.rollout_events(id).await?;
                let opened = events.first().map(|r| r.event.clone());
                let Some(RolloutEvent::Opened { target, release, .. }) = opened else {
                    continue;
                };
                let conclusion = events.last().and_then(|r| match &r.event {
                    RolloutEvent::Concluded { conclusion } => Some(conclusion.clone()),
                    _ => None,
                });
                facts.push(digest::Fact::Rollout {
                    app: row.app,
                    target: target.name,
                    tag: release.tag,
                    conclusion,
                });
            }
            Stream::App(_) => {}
        }
    }
    let standings = fleet
        .fleet
        .apps
        .keys()
        .map(|app| (app.clone(), bot.standing(app)))
        .collect();
    let blind = bot.store.undelivered().await?;
    let body = digest::body(&facts, &standings, blind, (looked, slot), &policy.timezone);
    let told = bot.store.mark("digest-told").await?.unwrap_or(looked);
    let due = notify::has_news(&body) || notify::sign_of_life_due(told, now, policy.digest, &policy.timezone);
    if due {
        let day = slot
            .to_zoned(TimeZone::get(&policy.timezone).unwrap_or(TimeZone::UTC))
            .date();
        for address in &policy.operators {
            let keys = notify::digest_keys(address, day);
            let notice = Notice {
                dedup: keys.dedup,
                thread: keys.thread,
                audience: Audience::Mail {
                    to: vec![address.clone()],
                },
                at: slot,
                body: NoticeBody::Digest(Box::new(body.clone())),
            };
            bot.store.enqueue(notice, now).await?;
        }
        bot.store.set_mark("digest-told", slot).await?;
    }
    // Last: a kill before this makes the same digest again, which the outbox knows by its key.
    bot.store.set_mark("digest", slot).await
}
