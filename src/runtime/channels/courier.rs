//! The contract between the outbox and a channel, and the pass over what is due.

use crate::clients::clock;
use crate::runtime::bot::{Bot, InForce};
use crate::runtime::connectivity::Reached;
use crate::store::error::StoreError;
use crate::store::outbox::{Delivery, Pending};
use futures_util::future::{BoxFuture, try_join_all};
use jiff::Timestamp;
use lowtide_core::channels::channel::Channel;
use lowtide_core::channels::list::{Address, Listed, each_channel};
use lowtide_core::decide::retry;
use lowtide_core::fleet::app::Fleet;
use lowtide_core::report::message_page::Sender;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::future::Future;
use tracing::{info, warn};

/// Notices of one channel delivered in one pass; the next pass follows at once while any is delivered.
const BATCH: usize = 50;

/// What delivers the notices of a channel.
pub(crate) trait Courier: Listed + Sync {
    /// A connection, or what makes one.
    type Client: Send + Sync;

    /// Does a notice wait until the older ones of its thread are delivered? Where a late failure would cover a newer
    /// success.
    const IN_ORDER: bool;

    /// # Errors
    /// What everything that is due fails of.
    fn connect(&self) -> Result<Self::Client, Undelivered>;

    /// A killed delivery is repeated: the other side, or what is looked up there first, has to recognise it by the notice's
    /// keys.
    ///
    /// # Errors
    /// As the store fails.
    fn deliver(
        &self,
        client: &Self::Client,
        of: &Delivering<'_, Self::Address>,
    ) -> impl Future<Output = Result<Result<(), Undelivered>, StoreError>> + Send;

    /// Is the other side there, and does it take what we send? `mail_to`: an address that gets a test mail.
    fn check(&self, fleet: &Fleet, mail_to: Option<&str>) -> impl Future<Output = Vec<Reached>> + Send;
}

/// One delivery.
pub(crate) struct Delivering<'a, A> {
    pub(crate) bot: &'a Bot,
    pub(crate) sender: &'a Sender,
    pub(crate) pending: &'a Pending,
    pub(crate) address: &'a A,
}

/// Why a notice was not delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Undelivered {
    /// Tried again after a pause that grows. `everywhere`: the rest of this pass would fail the same way.
    Later { error: String, everywhere: bool },
    /// The other side asks us to send nothing before `until`; `None`: it names no time.
    Silence { error: String, until: Option<Timestamp> },
    /// Never tried again.
    Never { error: String },
}

/// One pass over what is due in all channels. Returns how many notices were delivered.
///
/// # Errors
/// When the outbox cannot be read or written.
pub(crate) async fn deliver_once(bot: &Bot) -> Result<usize, StoreError> {
    let fleet = bot.in_force();
    let mut passes: Vec<BoxFuture<'_, Result<usize, StoreError>>> = Vec::new();
    // A channel that is not configured keeps its notices; they are not lost when it is configured later.
    each_channel!(fleet.fleet.channels, channel => passes.push(Box::pin(deliver_due(bot, &fleet, channel))));
    // Side by side: a slow mail server does not keep GitHub waiting, nor the other way round.
    Ok(try_join_all(passes).await?.into_iter().sum())
}

/// Checks each configured channel; see [`Courier::check`].
pub(crate) async fn check(fleet: &Fleet, mail_to: Option<&str>) -> Vec<Reached> {
    let mut reached = Vec::new();
    each_channel!(fleet.channels, channel => reached.extend(channel.check(fleet, mail_to).await));
    reached
}

async fn deliver_due<C: Courier>(bot: &Bot, fleet: &InForce, channel: &C) -> Result<usize, StoreError> {
    let now = clock::now();
    // Kept over restarts.
    let silence = format!("{}-silent", C::KEY);
    if bot.store.mark(&silence).await?.is_some_and(|until| until > now) {
        return Ok(0);
    }
    let wanted = |address: &Address| C::address(address).is_some();
    let due = bot.store.due_notices(now, BATCH, wanted).await?;
    if due.is_empty() {
        return Ok(0);
    }
    let sender = Sender {
        instance: bot.instance.clone(),
        timezone: fleet.fleet.timezone.clone(),
        public_url: fleet.fleet.web.public_url.clone(),
    };
    let client = channel.connect();
    let mut delivered = 0;
    for pending in &due {
        let Some(address) = C::address(&pending.notice.address) else {
            continue;
        };
        let keys = pending.notice.keys.clone();
        if C::IN_ORDER && bot.store.is_behind(keys.thread, keys.dedup.clone()).await? {
            continue;
        }
        let of = Delivering {
            bot,
            sender: &sender,
            pending,
            address,
        };
        let outcome = match &client {
            Ok(client) => channel.deliver(client, &of).await?,
            Err(undelivered) => Err(undelivered.clone()),
        };
        let (delivery, rest) = ended(outcome, pending.attempts);
        if let Rest::SilentUntil(until) = rest {
            bot.store.set_mark(&silence, until).await?;
        }
        // A kill before this delivers it again; the other side recognises it.
        bot.store
            .record_delivery(keys.dedup.clone(), delivery.clone(), clock::now())
            .await?;
        bot.counters.delivery(&pending.notice.address, &delivery);
        // Logged once it is recorded: whoever follows the log finds it in the outbox.
        log::<C>(&keys.dedup, &delivery);
        delivered += usize::from(delivery == Delivery::Delivered);
        match rest {
            Rest::Tried => {}
            Rest::SilentUntil(_) | Rest::Pointless => break,
        }
    }
    Ok(delivered)
}

/// Thirty-two hex digits that stand for a key of `instance`'s outbox: half of a SHA-256 is unique enough, and short enough for
/// a line of a mail's header.
pub(crate) fn stable_id(instance: &str, key: &str) -> String {
    let hash = Sha256::new()
        .chain_update(instance.as_bytes())
        .chain_update([0])
        .chain_update(key.as_bytes())
        .finalize();
    let mut id = String::with_capacity(32);
    for byte in hash.iter().take(16) {
        let _ = write!(id, "{byte:02x}");
    }
    id
}

/// What becomes of the rest of a pass.
enum Rest {
    Tried,
    SilentUntil(Timestamp),
    Pointless,
}

fn ended(outcome: Result<(), Undelivered>, attempts: u32) -> (Delivery, Rest) {
    let backoff = || clock::now() + retry::outbox_after(attempts + 1);
    match outcome {
        Ok(()) => (Delivery::Delivered, Rest::Tried),
        Err(Undelivered::Later { error, everywhere }) => {
            let rest = if everywhere { Rest::Pointless } else { Rest::Tried };
            (Delivery::Later { at: backoff(), error }, rest)
        }
        // If no time is named: at least a minute, and longer each time.
        Err(Undelivered::Silence { error, until }) => {
            let at = until.unwrap_or_else(backoff);
            (Delivery::Later { at, error }, Rest::SilentUntil(at))
        }
        Err(Undelivered::Never { error }) => (Delivery::Dead { error }, Rest::Tried),
    }
}

fn log<C: Channel>(dedup: &str, delivery: &Delivery) {
    let channel = C::KEY;
    match delivery {
        Delivery::Delivered => info!(channel, dedup, "notice delivered"),
        Delivery::Later { at, error } => warn!(channel, dedup, %at, error, "notice not delivered yet"),
        Delivery::Dead { error } => warn!(channel, dedup, error, "notice cannot be delivered"),
    }
}
