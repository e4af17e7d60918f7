//! The keys of a target: those that select something, each of one kind, and the settings that all or some kinds know.

use super::command::keys::CommandTarget;
use super::containers::keys::{ComposeTarget, ContainerTarget, Hook, LabelTarget, Preflight, Router};
use super::self_update::keys::OwnTarget;
use super::services::keys::{ServiceTarget, StackTarget};
use crate::yaml::raw::{Ready, Text, Window, raw};
use schemars::JsonSchema;
use serde::Deserialize;

raw! {
    /// What runs the releases: exactly one of `container`, `label`, `compose`, `service`, `stack`, `command` and `self`.
    Target {
        /// Made from what is selected, if not given; a command has to have one.
        name: Option<Text>,
        channel: Option<Text>,
        container: Option<ContainerTarget>,
        label: Option<LabelTarget>,
        compose: Option<ComposeTarget>,
        service: Option<ServiceTarget>,
        stack: Option<StackTarget>,
        #[serde(rename = "self")]
        own: Option<OwnTarget>,
        command: Option<CommandTarget>,
        window: Option<Window>,
        ready: Option<Ready>,
        /// Commands inside the old container, before anything is touched. Exit code 75: try later.
        before: Option<Vec<Hook>>,
        /// Commands inside the new container.
        after: Option<Vec<Hook>>,
        bake: Option<Text>,
        /// Grace for a stop; the container's own, if not given.
        stop_timeout: Option<Text>,
        /// Data may migrate: on failure stop and call, do not revert.
        irreversible: Option<bool>,
        /// What becomes of a container that is not healthy before anything was done to it.
        unhealthy: Option<Unhealthy>,
        order: Option<Order>,
        router: Option<Router>,
        preflight: Option<Preflight>,
    }
}

/// `auto`: start-first behind a router where nothing bars it, else stop-first. `stop-first`: the old container stops before the
/// new one starts. `start-first`: both run until the new one serves; refused where something bars it. For Swarm services `auto`
/// is start-first unless a task holds something alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    Auto,
    StopFirst,
    StartFirst,
}

/// `refuse`: a rollout does not begin over a container that is not healthy. `replace`: it does; going back, the old one has to
/// run again, not to be healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unhealthy {
    Refuse,
    Replace,
}
