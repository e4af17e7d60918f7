//! What the configuration says of mail.

use jiff::civil::Time;
use lowtide_model::message::MessageBody;
use lowtide_model::policy::SmtpServer;
use schemars::JsonSchema;
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
    /// When maintainers hear of what went well.
    #[serde(default)]
    pub rolled_out: RolledOut,
}

/// How a rollout that arrived is reported: in the daily report alone, or also by a mail of its own to the maintainers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RolledOut {
    #[default]
    Report,
    AtOnce,
}

impl MailPolicy {
    /// Whom to ask for fewer mails of this kind; `None`: it is one that nobody may miss. Only an operator can change who gets what.
    #[must_use]
    pub fn unsubscribe(&self, body: &MessageBody) -> Option<&str> {
        match body {
            MessageBody::DailyReport(_)
            | MessageBody::RolledOut { .. }
            | MessageBody::RunRecovered { .. }
            | MessageBody::Promoted { .. } => self.operators.first().map(String::as_str),
            MessageBody::RunFailed { .. }
            | MessageBody::RunPassed { .. }
            | MessageBody::RunStarted { .. }
            | MessageBody::RunEnded(_)
            | MessageBody::UnfixableUpdates { .. }
            | MessageBody::RolloutRefused { .. }
            | MessageBody::WentBack(_)
            | MessageBody::PromotionFailed(_)
            | MessageBody::RolloutWaits(_)
            | MessageBody::RolloutUntimely(_)
            | MessageBody::Halted { .. }
            | MessageBody::Resumed { .. }
            | MessageBody::ConfigRefused { .. }
            | MessageBody::ConfigAccepted { .. } => None,
        }
    }

    /// Domain of the sender's address.
    #[must_use]
    pub fn domain(&self) -> &str {
        let domain = self.from.rsplit('@').next().unwrap_or("localhost");
        domain.trim_end_matches('>')
    }
}
