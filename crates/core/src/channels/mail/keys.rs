//! The keys of `notify.email`.

use super::policy::RolledOut;
use crate::yaml::raw::{Secret, Text, raw};
use schemars::JsonSchema;
use serde::Deserialize;

raw! {
    Email {
        /// `smtps://host` (TLS), `smtp://host` (STARTTLS), `smtp+plain://` (loopback only); a port may follow.
        smtp: Option<Text>,
        username: Option<Text>,
        password: Option<Secret>,
        /// Absolute path of a PEM file with certificates to trust besides the system's.
        ca: Option<Text>,
        from: Option<Text>,
        /// Notified of engine, registry and configuration problems; they also get the daily report.
        operators: Option<Vec<Text>>,
        /// Time of the daily report, `HH:MM`.
        daily_report: Option<Text>,
        /// `report` (default): a rollout that arrived is in the daily report alone. `at_once`: its maintainers get a mail.
        rolled_out: Option<RolledOut>,
    }
}
