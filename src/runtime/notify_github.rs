//! Delivers the outbox's GitHub notices: in order within a thread, and not while GitHub asks us to wait.

use super::bot::Bot;
use super::github::deliver;
use super::notify::BATCH;
use crate::clients::clock;
use crate::clients::github::connect::{ANSWER, Github};
use crate::clients::github::error::GithubError;
use crate::decide::retry;
use crate::model::notice::{Audience, GithubPost};
use crate::report::mail::MailContext;
use crate::store::error::StoreError;
use crate::store::outbox::{Delivery, Pending};
use jiff::Timestamp;
use tracing::{info, warn};

/// Until when GitHub asked us to send nothing; kept over restarts.
const SILENT: &str = "github-silent";

/// One pass over what is due. Returns how many were delivered.
///
/// # Errors
/// When the outbox cannot be read or written.
pub(super) async fn deliver_due(bot: &Bot) -> Result<usize, StoreError> {
    let fleet = bot.in_force();
    // Without a GitHub configuration notices stay pending, as mails do without a mail server.
    let Some(policy) = &fleet.fleet.github else {
        return Ok(0);
    };
    let now = clock::now();
    if bot.store.mark(SILENT).await?.is_some_and(|until| until > now) {
        return Ok(0);
    }
    let posts = |audience: &Audience| matches!(audience, Audience::Github { .. });
    let due = bot.store.due_notices(now, BATCH, posts).await?;
    if due.is_empty() {
        return Ok(0);
    }
    let timezone = fleet.fleet.email.as_ref().map(|email| email.timezone.clone());
    let context = MailContext {
        instance: bot.instance.clone(),
        domain: String::new(),
        timezone: timezone.unwrap_or_else(|| "UTC".to_owned()),
    };
    let github = Github::new(policy, ANSWER);
    let mut delivered = 0;
    for pending in due {
        let Audience::Github { repo, post } = &pending.notice.audience else {
            continue;
        };
        let (thread, dedup) = (pending.notice.thread.clone(), pending.notice.dedup.clone());
        // Keep the order of the thread: a late failure must not cover a newer success, nor an issue be opened after it
        // was to be closed.
        if bot.store.is_behind(thread, dedup.clone()).await? {
            continue;
        }
        let outcome = match &github {
            Ok(github) => post_one(bot, github, &pending, repo, post, &context).await?,
            Err(error) => Err(delayed(error, &pending)),
        };
        let (delivery, over) = match outcome {
            Ok(()) => (Delivery::Delivered, false),
            Err(Failed { delivery, silent, over }) => {
                if let Some(until) = silent {
                    bot.store.set_mark(SILENT, until).await?;
                }
                (delivery, over)
            }
        };
        match &delivery {
            Delivery::Delivered => {
                delivered += 1;
                info!(dedup, "told GitHub");
            }
            Delivery::Later { at, error } => warn!(dedup, %at, error, "GitHub not told yet"),
            Delivery::Dead { error } => warn!(dedup, error, "GitHub cannot be told"),
        }
        // A kill before this delivers it again; what is there already is found by its marker.
        bot.store.record_delivery(dedup, delivery.clone(), clock::now()).await?;
        bot.counters.delivery(&pending.notice.audience, &delivery);
        if over {
            break;
        }
    }
    Ok(delivered)
}

struct Failed {
    delivery: Delivery,
    silent: Option<Timestamp>,
    /// The rest of this pass would fail the same way.
    over: bool,
}

async fn post_one(
    bot: &Bot,
    github: &Github,
    pending: &Pending,
    repo: &str,
    post: &GithubPost,
    context: &MailContext,
) -> Result<Result<(), Failed>, StoreError> {
    // One open incident per thread: its number saves a search, and finds an issue that lost its label.
    let remember = matches!(post, GithubPost::Issue { .. } | GithubPost::IssueClosed { .. });
    let place = format!("{repo}/{}", pending.notice.thread);
    let known = if remember {
        bot.store.number(&place).await?
    } else {
        None
    };
    match deliver(github, &pending.notice, repo, post, known, context).await {
        Ok(number) => {
            if remember && number != known {
                bot.store.set_number(&place, number).await?;
            }
            Ok(Ok(()))
        }
        Err(error) => Ok(Err(delayed(&error, pending))),
    }
}

fn delayed(error: &GithubError, pending: &Pending) -> Failed {
    let now = clock::now();
    let backoff = now + retry::outbox_after(pending.attempts + 1);
    let text = words(error);
    // If GitHub names no time, it asks to wait at least a minute, and longer each time.
    let silent = if let GithubError::Limited { until, .. } = error {
        Some(until.unwrap_or(backoff))
    } else {
        None
    };
    let delivery = if error.retryable() || error.operator() {
        Delivery::Later {
            at: silent.unwrap_or(backoff),
            error: text,
        }
    } else {
        Delivery::Dead { error: text }
    };
    Failed {
        delivery,
        silent,
        over: error.everywhere(),
    }
}

/// An error and what it comes from.
fn words(error: &GithubError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
