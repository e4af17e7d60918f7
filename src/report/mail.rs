//! A notice becomes a mail: subject, text, HTML.

use super::page::Page;
use super::{clean, daily_report, html, notice_page, text};
use crate::model::notice::{Mail, Notice, NoticeBody};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// Characters of a subject after its prefix; phones show about half of it.
const SUBJECT: usize = 110;

/// Whose mail this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailContext {
    /// Name of this lowtide, stable over restarts: two of them may share a domain.
    pub instance: String,
    /// Domain of the sender's address; Message-IDs are made in it.
    pub domain: String,
    /// IANA zone the times of an incident are shown in. A daily report has its own.
    pub timezone: String,
}

/// The mail of a notice. Equal notices give equal mails, Message-ID included: a repeated delivery is the same message.
#[must_use]
pub fn render(notice: &Notice, context: &MailContext) -> Mail {
    let opener = (notice.thread != notice.dedup).then(|| message_id(&notice.thread, context));
    let Rendered { subject, page, lead } = rendered(notice, context);
    Mail {
        message_id: message_id(&notice.dedup, context),
        in_reply_to: opener.clone(),
        references: opener.into_iter().collect(),
        list_id: format!("lowtide <{}.lowtide.{}>", label(&context.instance), domain(context)),
        date: notice.at,
        subject: format!("[lowtide] {}", clean::one_line(&subject, SUBJECT)),
        text: text::render(&page, lead),
        html: html::render(&page),
    }
}

/// A page with its subject.
pub(super) struct Rendered {
    pub(super) subject: String,
    pub(super) page: Page,
    /// The text's first line is the pill alone.
    pub(super) lead: bool,
}

pub(super) fn rendered(notice: &Notice, context: &MailContext) -> Rendered {
    match &notice.body {
        NoticeBody::DailyReport(body) => daily_report::page(body, context),
        NoticeBody::RunFailed { .. }
        | NoticeBody::RunRecovered { .. }
        | NoticeBody::RunPassed { .. }
        | NoticeBody::UnfixableUpdates { .. }
        | NoticeBody::RolledOut { .. }
        | NoticeBody::RolloutRefused { .. }
        | NoticeBody::WentBack(_)
        | NoticeBody::PromotionFailed(_)
        | NoticeBody::Promoted { .. }
        | NoticeBody::RolloutWaits(_)
        | NoticeBody::RolloutUntimely(_)
        | NoticeBody::Halted { .. }
        | NoticeBody::Resumed { .. }
        | NoticeBody::ConfigRefused { .. } => notice_page::page(notice, context),
    }
}

/// Half of a SHA-256 is unique enough, and keeps References on one line.
fn message_id(key: &str, context: &MailContext) -> String {
    let hash = Sha256::new()
        .chain_update(context.instance.as_bytes())
        .chain_update([0])
        .chain_update(key.as_bytes())
        .finalize();
    let mut id = String::from("<lowtide.");
    for byte in hash.iter().take(16) {
        let _ = write!(id, "{byte:02x}");
    }
    let _ = write!(id, "@{}>", domain(context));
    id
}

/// Only what may stand in a Message-ID's right side (RFC 5322 §3.6.4).
fn domain(context: &MailContext) -> String {
    let clean: String = context
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
