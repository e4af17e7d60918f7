//! Problems around a bot that keeps running: they are reported, and stop nothing.

use crate::name::HostName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "trouble", rename_all = "snake_case")]
pub enum Trouble {
    /// The newest revision of the configuration has problems; the last valid one stays in effect.
    ConfigurationRefused(RefusedRevision),
    /// The configuration cannot be read where it lives; what is in force stays.
    ConfigurationUnread,
    Engine {
        host: HostName,
        why: NoEngine,
    },
}

/// A revision of the configuration that was not put in force.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RefusedRevision {
    pub revision: String,
    pub since: Timestamp,
}

/// Why an engine does nothing for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoEngine {
    /// Its socket is there, and we may not use it.
    Denied,
    NoAnswer,
}
