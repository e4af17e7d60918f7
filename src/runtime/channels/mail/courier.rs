//! Delivers one mail per notice.

use super::render::render;
use crate::clients::clock;
use crate::clients::smtp::{Mail, RESPONSE_TIMEOUT, Smtp, SmtpError};
use crate::runtime::channels::courier::{Courier, Delivering, Undelivered};
use crate::runtime::connectivity::{Reached, said};
use crate::store::error::StoreError;
use lowtide_core::channels::mail::policy::MailPolicy;
use lowtide_core::channels::mail::route::Recipient;
use lowtide_core::fleet::app::Fleet;
use std::fmt::Write as _;

impl Courier for MailPolicy {
    type Client = Smtp;
    const IN_ORDER: bool = false;

    fn connect(&self) -> Result<Smtp, Undelivered> {
        // Once the configuration is mended, they are delivered.
        Smtp::new(&self.smtp, &self.from, RESPONSE_TIMEOUT).map_err(|error| Undelivered::Later {
            error: error.to_string(),
            everywhere: true,
        })
    }

    async fn deliver(
        &self,
        smtp: &Smtp,
        of: &Delivering<'_, Recipient>,
    ) -> Result<Result<(), Undelivered>, StoreError> {
        let notice = &of.pending.notice;
        let mail = Mail {
            unsubscribe: self.unsubscribe(&notice.body).map(percent_encoded),
            ..render(notice, of.sender, self.domain())
        };
        Ok(send(smtp, &mail, &of.address.to).await)
    }

    async fn check(&self, _fleet: &Fleet, mail_to: Option<&str>) -> Vec<Reached> {
        vec![Reached {
            what: "mail".to_owned(),
            result: mail_server(self, mail_to).await,
        }]
    }
}

/// As an address stands in a `mailto:` (RFC 6068, 2).
fn percent_encoded(address: &str) -> String {
    address.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~@+".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

async fn send(smtp: &Smtp, mail: &Mail, to: &str) -> Result<(), Undelivered> {
    let later = |error: String| Undelivered::Later {
        error,
        everywhere: false,
    };
    match smtp.send(mail, &[to.to_owned()]).await {
        Ok(sent) => match sent.refused.first() {
            None => Ok(()),
            Some(refusal) if refusal.permanent => Err(Undelivered::Never {
                error: refusal.message.clone(),
            }),
            Some(refusal) => Err(later(refusal.message.clone())),
        },
        Err(error @ SmtpError::Unreachable { .. }) => Err(Undelivered::Later {
            error: error.to_string(),
            everywhere: true,
        }),
        Err(error) if error.retryable() || error.operator() => Err(later(error.to_string())),
        Err(error) => Err(Undelivered::Never {
            error: error.to_string(),
        }),
    }
}

async fn mail_server(policy: &MailPolicy, to: Option<&str>) -> Result<String, String> {
    let smtp = said(Smtp::new(&policy.smtp, &policy.from, RESPONSE_TIMEOUT))?;
    let Some(to) = to else {
        let accepts = |()| "the server accepts mail from us".to_owned();
        return said(smtp.check().await.map(accepts));
    };
    let sent = said(smtp.send(&test_mail(policy.domain()), &[to.to_owned()]).await)?;
    match sent.refused.first() {
        None => Ok(format!("a test mail is on its way to {to}")),
        Some(refusal) => Err(refusal.message.clone()),
    }
}

fn test_mail(domain: &str) -> Mail {
    let now = clock::now();
    Mail {
        message_id: format!("<check-{}@{domain}>", now.as_millisecond()),
        in_reply_to: None,
        references: Vec::new(),
        list_id: format!("lowtide <check.{domain}>"),
        unsubscribe: None,
        date: now,
        subject: "[lowtide] test mail".to_owned(),
        text: "lowtide check --connect --mail sent this. Mail works.\n".to_owned(),
        html: "<p>lowtide check --connect --mail sent this. Mail works.</p>".to_owned(),
    }
}
