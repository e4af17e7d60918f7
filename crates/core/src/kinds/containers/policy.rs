//! How containers of a plain engine are rolled, as configured.

use jiff::SignedDuration;
use lowtide_model::policy::{Hook, Order};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainersPolicy {
    pub select: ContainerSelect,
    pub before: Vec<Hook>,
    pub after: Vec<Hook>,
    /// Grace for a stop; `None`: the container's own.
    pub stop_timeout: Option<SignedDuration>,
    #[serde(default)]
    pub order: Order,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub router: Option<Router>,
    #[serde(default)]
    pub preflight: PreflightPolicy,
}

/// Which containers of the host are meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainerSelect {
    Name {
        name: String,
    },
    Label {
        key: String,
        value: String,
    },
    Compose {
        project: String,
        services: Vec<String>,
    },
    /// The container lowtide runs in.
    Own,
}

impl ContainersPolicy {
    /// Those that are selected, moved as the defaults say.
    #[must_use]
    pub fn of(select: ContainerSelect) -> Self {
        Self {
            select,
            before: Vec::new(),
            after: Vec::new(),
            stop_timeout: None,
            order: Order::default(),
            router: None,
            preflight: PreflightPolicy::default(),
        }
    }
}

/// How thoroughly preflight tests the host before anything is touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PreflightPolicy {
    /// A container of ours that does nothing is started once with the devices, runtime, security options and ulimits.
    #[default]
    Full,
    /// No trial: requirements that only a trial reveals show up when the new container is created or started.
    Create,
}

/// A reverse proxy in a container on the same host, and the commands inside it that notify it of a change. The
/// environment of each command has `LOWTIDE_CONTAINER` (name) and `LOWTIDE_ADDRESS` (an address the router can reach)
/// of the container in question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Router {
    /// Its container's name.
    pub container: String,
    /// After a new container is ready.
    pub join: Vec<String>,
    /// Before an old one is stopped.
    pub leave: Vec<String>,
    /// Stop-first: hold requests during the gap.
    pub pause: Vec<String>,
    pub resume: Vec<String>,
    /// Between `leave` and the stop, for requests under way.
    pub drain: SignedDuration,
    /// Of each command.
    pub timeout: SignedDuration,
}
