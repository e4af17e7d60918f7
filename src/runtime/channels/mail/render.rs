//! A notice becomes a mail: subject, text, HTML.

use crate::clients::smtp::Mail;
use crate::runtime::channels::courier::stable_id;
use lowtide_core::channels::list::Notice;
use lowtide_core::report::message_page::{self, Sender};
use lowtide_core::report::page::Rendered;
use lowtide_core::report::{clean, html, text};

/// Characters of a subject after its prefix; phones show about half of it.
const SUBJECT: usize = 110;

/// The mail of a notice. Equal notices give equal mails, Message-ID included: a repeated delivery is the same message.
/// `domain`: of the sender's address; Message-IDs are made in it. Two senders may share it.
#[must_use]
pub fn render(notice: &Notice, sender: &Sender, domain: &str) -> Mail {
    let id = MessageId { sender, domain };
    let keys = &notice.keys;
    let opener = (keys.thread != keys.dedup).then(|| id.of(&keys.thread));
    let Rendered { subject, page, lead } = message_page::page(&notice.body, notice.at, sender);
    Mail {
        message_id: id.of(&keys.dedup),
        in_reply_to: opener.clone(),
        references: opener.into_iter().collect(),
        list_id: format!("lowtide <{}.lowtide.{}>", label(&sender.instance), id.domain()),
        unsubscribe: None,
        date: notice.at,
        subject: format!("[lowtide] {}", clean::one_line(&subject, SUBJECT)),
        text: text::render(&page, lead),
        html: html::render(&page),
    }
}

struct MessageId<'a> {
    sender: &'a Sender,
    domain: &'a str,
}

impl MessageId<'_> {
    fn of(&self, key: &str) -> String {
        format!("<lowtide.{}@{}>", stable_id(&self.sender.instance, key), self.domain())
    }

    /// Only what may stand in a Message-ID's right side (RFC 5322 §3.6.4).
    fn domain(&self) -> String {
        let clean: String = self
            .domain
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || *c == '.' || *c == '-')
            .take(253)
            .collect();
        if clean.is_empty() {
            "lowtide.invalid".to_owned()
        } else {
            clean
        }
    }
}

/// One label of a List-Id (RFC 2919).
fn label(instance: &str) -> String {
    let label: String = instance
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .take(63)
        .collect();
    if label.is_empty() { "main".to_owned() } else { label }
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;
    use lowtide_core::channels::list::Address;
    use lowtide_core::channels::mail::route::Recipient;
    use lowtide_model::message::{Keys, MessageBody};
    use proptest::prelude::*;

    const DOMAIN: &str = "example.org";

    fn sender(instance: &str) -> Sender {
        Sender {
            instance: instance.into(),
            timezone: "America/Moncton".into(),
            public_url: None,
        }
    }

    fn refused(revision: &str) -> Notice {
        Notice {
            keys: Keys {
                dedup: "d".into(),
                thread: "d".into(),
            },
            address: Address::Mail(Recipient { to: String::new() }),
            at: "2026-11-23T05:12:00Z".parse().unwrap(),
            body: MessageBody::ConfigRefused {
                revision: revision.to_owned(),
                problems: "no app".to_owned(),
                commit: None,
            },
        }
    }

    #[test]
    fn the_same_notice_is_the_same_message() {
        let first = render(&refused("3f2a9c1"), &sender("harbour"), DOMAIN);
        assert_eq!(first, render(&refused("3f2a9c1"), &sender("harbour"), DOMAIN));
        assert_eq!(first.in_reply_to, None);
        assert_snapshot!(first.message_id, @"<lowtide.122ed54517c81792ab2618d06aeae2f9@example.org>");
        assert_snapshot!(first.list_id, @"lowtide <harbour.lowtide.example.org>");
        let mut later = refused("3f2a9c1");
        later.keys.dedup = "d/recovered".into();
        let later = render(&later, &sender("harbour"), DOMAIN);
        assert_ne!(later.message_id, first.message_id);
        assert_eq!(later.in_reply_to.as_ref(), Some(&first.message_id));
        assert_eq!(later.references, std::slice::from_ref(&first.message_id));
        let elsewhere = render(&refused("3f2a9c1"), &sender("other"), DOMAIN);
        assert_ne!(elsewhere.message_id, first.message_id);
    }

    fn hostile() -> impl Strategy<Value = String> {
        let parts = prop_oneof![
            Just("\r\nBcc: x@example.org\r\n\r\n".to_owned()),
            Just("\u{1b}[2J\u{7}\u{202e}\0".to_owned()),
            "(?s).{0,40}",
        ];
        prop::collection::vec(parts, 0..6).prop_map(|p| p.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_text_gets_into_a_header(evil in hostile()) {
            let mut notice = refused(&evil);
            notice.keys = Keys { dedup: evil.clone(), thread: format!("{evil}.") };
            let mail = render(&notice, &sender(&evil), &evil);
            let headers = [&mail.subject, &mail.message_id, &mail.list_id];
            for header in headers.into_iter().chain(&mail.in_reply_to).chain(&mail.references) {
                prop_assert!(!header.chars().any(char::is_control), "{header:?}");
                prop_assert!(header.chars().count() <= 400);
            }
        }
    }
}
