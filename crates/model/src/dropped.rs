//! What a new image lacks.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Something that the old image had, that its container relies on, and that the new image lacks. Reported, not refused:
/// the tests inside the new image have passed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "dropped")]
pub enum Dropped {
    /// The data stays mounted there.
    Volume {
        path: String,
    },
    User {
        was: String,
        /// Empty: root.
        now: String,
    },
    Port {
        port: String,
    },
    Entrypoint {
        was: Vec<String>,
        now: Vec<String>,
    },
    Healthcheck,
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command = |words: &[String]| {
            if words.is_empty() {
                "none".to_owned()
            } else {
                words.join(" ")
            }
        };
        match self {
            Dropped::Volume { path } => {
                write!(f, "it declares the volume {path} no more; the data stays mounted there")
            }
            Dropped::User { was, now } => {
                let now = if now.is_empty() { "root" } else { now };
                write!(f, "it runs as {now}, not as {was}")
            }
            Dropped::Port { port } => write!(f, "it exposes port {port} no more"),
            Dropped::Entrypoint { was, now } => {
                write!(f, "its entrypoint is {}, not {}", command(now), command(was))
            }
            Dropped::Healthcheck => f.write_str("it has no health check any more"),
        }
    }
}
