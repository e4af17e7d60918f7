//! What the configuration says of mail.

use jiff::civil::Time;
use lowtide_model::policy::SmtpServer;
use serde::{Deserialize, Serialize};

/// How mail is sent, and to which operators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailPolicy {
    pub smtp: SmtpServer,
    pub from: String,
    /// Are notified of infra and operator faults, and receive everything in the daily report.
    pub operators: Vec<String>,
    /// Time of the daily report, in the fleet's zone.
    pub daily_report: Time,
}

impl MailPolicy {
    /// Domain of the sender's address.
    #[must_use]
    pub fn domain(&self) -> &str {
        let domain = self.from.rsplit('@').next().unwrap_or("localhost");
        domain.trim_end_matches('>')
    }
}
