//! A notice becomes a mail: subject, text, HTML.

use lowtide_core::channels::list::Notice;
use crate::clients::smtp::Mail;
use lowtide_core::report::message_page::{self, Sender};
use lowtide_core::report::page::Rendered;
use lowtide_core::report::{clean, html, text};
use crate::runtime::channels::courier::stable_id;

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
mod tests;
