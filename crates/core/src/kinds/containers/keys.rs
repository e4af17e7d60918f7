//! Containers of a plain engine, as written. The doc comments are the descriptions of the JSON Schema that editors show.

use crate::yaml::raw::{Command, Text, raw};
use schemars::JsonSchema;
use serde::Deserialize;

raw! {
    Hook {
        exec: Option<Command>,
        timeout: Option<Text>,
    }
    ContainerTarget {
        host: Option<Text>,
        name: Option<Text>,
    }
    LabelTarget {
        host: Option<Text>,
        key: Option<Text>,
        value: Option<Text>,
    }
    ComposeTarget {
        host: Option<Text>,
        project: Option<Text>,
        services: Option<Vec<Text>>,
    }
    /// A reverse proxy in a container on the same host, and commands inside it. Each finds the name (`LOWTIDE_CONTAINER`) and the
    /// address (`LOWTIDE_ADDRESS`) of the container in question in its environment.
    Router {
        container: Option<Text>,
        /// After a new container is ready.
        join: Option<Command>,
        /// Before an old one is stopped.
        leave: Option<Command>,
        /// Stop-first: hold requests during the gap.
        pause: Option<Command>,
        /// Let them go.
        resume: Option<Command>,
        /// How long an old container may finish what it was asked before it is stopped.
        drain: Option<Text>,
        /// Of each command.
        timeout: Option<Text>,
    }
}

/// `full`: devices, runtime, security options and ulimits that a container was given, and the sources of its bind mounts, are
/// tried with a throw-away container before anything is touched. `create`: they are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preflight {
    Full,
    Create,
}
