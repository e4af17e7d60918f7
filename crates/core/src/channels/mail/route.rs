//! Who gets a mail.

use super::keys::Email;
use super::policy::{MailPolicy, RolledOut};
use crate::channels::channel::{Addressed, Channel, Contacts};
use lowtide_model::message::{Addressees, Keys, Message, MessageBody};
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
        if self.rolled_out == RolledOut::Report && matches!(message.body, MessageBody::RolledOut { .. }) {
            return Vec::new();
        }
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
    fn what_went_well_is_a_mail_only_where_it_is_asked_for() {
        let mut policy: MailPolicy = serde_json::from_str(
            r#"{"smtp":{"host":"mail.example.org","port":465,"security":"tls","username":null,"password":null,"ca":null},
            "from":"lowtide@example.org","operators":["ops@x"],"daily_report":"08:00:00"}"#,
        )
        .unwrap();
        let keys = Keys {
            dedup: "rollout/1".to_owned(),
            thread: "rollout/1".to_owned(),
        };
        let message = |body| Message {
            keys: keys.clone(),
            addressees: Addressees::Maintainers,
            at: jiff::Timestamp::UNIX_EPOCH,
            body,
        };
        let (app, rollout) = ("web".parse().unwrap(), "01JDCS4Z00ABCDEFGHJKMNPQRS");
        let rolled_out = message(MessageBody::RolledOut {
            app,
            target: "front".parse().unwrap(),
            rollout: rollout.parse().unwrap(),
            tag: "1".to_owned(),
            digest: "sha256:1".to_owned(),
            commit: None,
            change: None,
            units: 1,
        });
        let recovered = message(MessageBody::RunRecovered {
            app: "web".parse().unwrap(),
            run: rollout.parse().unwrap(),
        });
        let dev = addresses(&["dev@x"]);
        let contacts = Contacts {
            maintainers: &dev,
            github_repo: None,
        };
        let mails = |policy: &MailPolicy, message: &Message| policy.route(message, contacts).len();
        assert_eq!((mails(&policy, &rolled_out), mails(&policy, &recovered)), (0, 1));
        policy.rolled_out = RolledOut::AtOnce;
        assert_eq!((mails(&policy, &rolled_out), mails(&policy, &recovered)), (1, 1));
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
