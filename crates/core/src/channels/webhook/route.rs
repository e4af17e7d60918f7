//! The webhook gets every message.

use super::keys::Webhook;
use super::policy::WebhookPolicy;
use crate::channels::channel::{Addressed, Channel, Contacts};
use lowtide_model::message::{Addressees, Keys, Message};
use lowtide_model::secret::SecretRef;
use serde::{Deserialize, Serialize};

/// The URL is that of the configuration in force, so that a receiver that moves gets what waited for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receiver {
    /// Who is concerned, for the receiver to choose by.
    pub addressees: Addressees,
}

impl Channel for WebhookPolicy {
    const KEY: &'static str = "webhook";
    type Keys = Webhook;
    type Address = Receiver;

    fn route(&self, message: &Message, _contacts: Contacts<'_>) -> Vec<Addressed<Receiver>> {
        let key = |key: &str| format!("webhook/{key}");
        vec![Addressed {
            keys: Keys {
                dedup: key(&message.keys.dedup),
                thread: key(&message.keys.thread),
            },
            address: Receiver {
                addressees: message.addressees,
            },
        }]
    }

    fn secrets(&self) -> Vec<(&'static str, &SecretRef)> {
        vec![("secret", &self.secret)]
    }
}
