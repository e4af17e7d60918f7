//! Who gets a mail.

use super::keys::Email;
use super::policy::MailPolicy;
use crate::channels::channel::{Addressed, Channel, Contacts};
use lowtide_model::message::{Addressees, Keys, Message};
use lowtide_model::secret::SecretRef;
use serde::{Deserialize, Serialize};

/// One recipient. Each notice is delivered, retried and threaded on its own: a bad address neither blocks the other
/// recipients nor causes duplicates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    pub to: String,
}

impl Channel for MailPolicy {
    const KEY: &'static str = "email";
    type Keys = Email;
    type Address = Recipient;

    fn route(&self, message: &Message, contacts: Contacts<'_>) -> Vec<Addressed<Recipient>> {
        let recipients = recipients(message.addressees, contacts.maintainers, &self.operators);
        let addressed = |to: String| Addressed {
            keys: Keys {
                dedup: format!("{}#{to}", message.keys.dedup),
                thread: format!("{}#{to}", message.keys.thread),
            },
            address: Recipient { to },
        };
        recipients.into_iter().map(addressed).collect()
    }

    fn secrets(&self) -> Vec<(&'static str, &SecretRef)> {
        let password = self.smtp.password.as_ref();
        password.map(|password| ("password", password)).into_iter().collect()
    }
}

/// If the group that is concerned has no address, the other one is notified, so that nothing goes unreported while any
/// address is known.
fn recipients(addressees: Addressees, maintainers: &[String], operators: &[String]) -> Vec<String> {
    let (first, second): (Vec<&String>, &[String]) = match addressees {
        Addressees::Maintainers => (maintainers.iter().collect(), operators),
        Addressees::Operators => (operators.iter().collect(), maintainers),
        Addressees::Both => (maintainers.iter().chain(operators).collect(), &[]),
        Addressees::Nobody => return Vec::new(),
    };
    let mut recipients: Vec<String> = Vec::new();
    for address in if first.is_empty() {
        second.iter().collect()
    } else {
        first
    } {
        if !recipients.iter().any(|known| known.eq_ignore_ascii_case(address)) {
            recipients.push(address.clone());
        }
    }
    recipients
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(all: &[&str]) -> Vec<String> {
        all.iter().map(|address| (*address).to_owned()).collect()
    }

    #[test]
    fn who_gets_a_mail() {
        let (dev, ops) = (
            addresses(&["dev@x", "Dev@X", "lead@x"]),
            addresses(&["ops@x", "lead@x"]),
        );
        let to = |addressees| recipients(addressees, &dev, &ops).join(" ");
        assert_eq!(to(Addressees::Maintainers), "dev@x lead@x");
        assert_eq!(to(Addressees::Operators), "ops@x lead@x");
        assert_eq!(to(Addressees::Both), "dev@x lead@x ops@x");
        assert_eq!(to(Addressees::Nobody), "");
    }

    #[test]
    fn a_group_without_an_address_is_stood_in_for() {
        let (none, one) = (addresses(&[]), addresses(&["a@x"]));
        for addressees in [Addressees::Maintainers, Addressees::Operators, Addressees::Both] {
            assert_eq!(recipients(addressees, &none, &one), one, "{addressees:?}");
            assert_eq!(recipients(addressees, &one, &none), one, "{addressees:?}");
        }
        assert_eq!(recipients(Addressees::Nobody, &one, &one), none);
    }
}
