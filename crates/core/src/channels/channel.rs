//! What the router and the configuration require of a channel.

use crate::yaml::check::Check;
use lowtide_model::message::{Keys, Message};
use lowtide_model::secret::SecretRef;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A configured channel. Decisions make messages that name no channel; a channel says what it sends of each.
pub trait Channel: Sized {
    /// Its key under `notify`.
    const KEY: &'static str;
    /// What stands under that key.
    type Keys;
    /// Where one notice goes, in the channel's own terms. It is decided with the message and written into the outbox.
    type Address: Serialize + DeserializeOwned;

    /// The notices of a message; none, if it does not concern this channel.
    fn route(&self, message: &Message, contacts: Contacts<'_>) -> Vec<Addressed<Self::Address>>;

    /// Secrets that it refers to, each with its place inside the channel's keys.
    fn secrets(&self) -> Vec<(&'static str, &SecretRef)>;
}

/// A channel whose keys can be read.
pub(crate) trait Configured: Channel {
    /// `None`: a problem was reported.
    fn read(check: &mut Check<'_>, keys: &Self::Keys) -> Option<Self>;
}

/// One notice before the outbox has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addressed<A> {
    pub keys: Keys,
    pub address: A,
}

/// Whom an app's configuration names. Empty for a message about the whole fleet, and for an app that is no longer
/// configured.
#[derive(Debug, Clone, Copy, Default)]
pub struct Contacts<'a> {
    /// Mail addresses.
    pub maintainers: &'a [String],
    /// `owner/name`.
    pub github_repo: Option<&'a str>,
}
