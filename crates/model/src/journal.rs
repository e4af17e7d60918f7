//! The journal's own nouns: streams, and events as they were recorded.

use crate::name::{AppName, RolloutId, RunId};
use jiff::Timestamp;
use std::fmt;
use std::str::FromStr;

/// One sequence of events.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    Run(RunId),
    Rollout(RolloutId),
    App(AppName),
}

/// An event with its place and time.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded<E> {
    /// From 1, without gaps, except for facts about apps that a checkpoint replaced.
    pub seq: u64,
    pub at: Timestamp,
    pub event: E,
}

/// An event that cannot follow the ones before it. The stream is held; the process lives.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {event} cannot follow: {why}")]
pub struct IllegalEvent {
    pub event: &'static str,
    pub why: &'static str,
}

/// A stream name the database should not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no stream")]
pub struct UnknownStream(pub String);

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stream::Run(id) => write!(f, "run/{id}"),
            Stream::Rollout(id) => write!(f, "rollout/{id}"),
            Stream::App(name) => write!(f, "app/{name}"),
        }
    }
}

impl FromStr for Stream {
    type Err = UnknownStream;
    fn from_str(text: &str) -> Result<Self, UnknownStream> {
        let unknown = || UnknownStream(text.to_owned());
        let (kind, name) = text.split_once('/').ok_or_else(unknown)?;
        match kind {
            "run" => name.parse().map(Stream::Run).map_err(|_| unknown()),
            "rollout" => name.parse().map(Stream::Rollout).map_err(|_| unknown()),
            "app" => name.parse().map(Stream::App).map_err(|_| unknown()),
            _ => Err(unknown()),
        }
    }
}
