//! The list of channels. A new channel is one line in this file, one in `mod.rs`, one in `runtime/channels/mod.rs`, and its
//! two folders.

use super::channel::{Addressed, Channel, Configured, Contacts};
use super::github::policy::GithubPolicy;
use super::mail::policy::MailPolicy;
use super::webhook::policy::WebhookPolicy;
use crate::yaml::check::Check;
use crate::yaml::raw::raw;
use jiff::Timestamp;
use lowtide_model::message::{Keys, Message, MessageBody};
use lowtide_model::secret::SecretRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A message on its way through one channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// Unique in the outbox over all channels. What is made from it (a Message-ID, a marker) lets the other side recognise a
    /// repeated delivery.
    pub keys: Keys,
    pub address: Address,
    pub at: Timestamp,
    pub body: MessageBody,
}

/// A channel that is in the list.
pub trait Listed: Channel {
    /// `None`: the address is one of another channel.
    fn address(of: &Address) -> Option<&Self::Address>;

    fn listed(address: Self::Address) -> Address;
}

/// Generates what holds all channels, and `each_channel!`, which runs the same code for each that is configured.
macro_rules! channels {
    ($($(#[$doc:meta])* $name:ident($key:ident): $policy:ty,)*) => {
        raw! {
            /// How people and other systems are notified.
            Notify { $($(#[$doc])* $key: Option<<$policy as Channel>::Keys>,)* }
        }

        /// The channels that are configured.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct Channels { $($(#[$doc])* pub $key: Option<$policy>,)* }

        /// Where one notice goes.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Address { $($name(<$policy as Channel>::Address),)* }

        $(
            impl Listed for $policy {
                fn address(of: &Address) -> Option<&Self::Address> {
                    if let Address::$name(address) = of { Some(address) } else { None }
                }
                fn listed(address: Self::Address) -> Address {
                    Address::$name(address)
                }
            }
        )*

        /// The keys of all channels.
        pub const KEYS: &[&str] = &[$(<$policy as Channel>::KEY,)*];

        impl Address {
            /// Key of its channel.
            #[must_use]
            pub fn channel(&self) -> &'static str {
                match self { $(Address::$name(_) => <$policy as Channel>::KEY,)* }
            }
        }

        impl Channels {
            pub(crate) fn read(check: &mut Check<'_>, keys: &Notify) -> Self {
                Self { $($key: keys.$key.as_ref().and_then(|keys| <$policy as Configured>::read(check, keys)),)* }
            }
        }

        channels!(@each ($) $($key)*);
    };
    (@each ($d:tt) $($key:ident)*) => {
        /// `each_channel!(channels, channel => …)` evaluates the same expression for each channel that is configured.
        #[macro_export]
        macro_rules! each_channel {
            ($d channels:expr, $d channel:ident => $d body:expr) => {
                $(if let Some($d channel) = &$d channels.$key { $d body })*
            };
        }
        pub use each_channel;
    };
}

channels! {
    /// Mail to maintainers and operators.
    Mail(email): MailPolicy,
    /// Statuses, issues and comments in the apps' repositories.
    Github(github): GithubPolicy,
    /// Every message, as signed JSON.
    Webhook(webhook): WebhookPolicy,
}

/// Channels that other tools or later versions have, and what they would be. They are refused with these words.
pub(crate) const NOT_YET: &[(&str, &str)] = &[
    ("webhooks", "several webhooks"),
    ("slack", "Slack messages"),
    ("matrix", "Matrix messages"),
];

impl Channels {
    /// What each configured channel sends of a message.
    #[must_use]
    pub fn route(&self, message: &Message, contacts: Contacts<'_>) -> Vec<Notice> {
        let mut notices = Vec::new();
        each_channel!(self, channel => notices.extend(routed(channel, message, contacts)));
        notices
    }

    /// Secrets that the channels refer to, each with its place in the configuration.
    #[must_use]
    pub fn secrets(&self) -> Vec<(String, &SecretRef)> {
        let mut secrets = Vec::new();
        each_channel!(self, channel => secrets.extend(placed(channel)));
        secrets
    }
}

fn routed<C: Listed>(channel: &C, message: &Message, contacts: Contacts<'_>) -> impl Iterator<Item = Notice> {
    let notice = |Addressed { keys, address }| Notice {
        keys,
        address: C::listed(address),
        at: message.at,
        body: message.body.clone(),
    };
    channel.route(message, contacts).into_iter().map(notice)
}

fn placed<C: Channel>(channel: &C) -> impl Iterator<Item = (String, &SecretRef)> {
    let place = |(key, secret)| (format!("notify.{}.{key}", C::KEY), secret);
    channel.secrets().into_iter().map(place)
}
