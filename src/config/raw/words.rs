//! Settings that are one of a few words.

use schemars::JsonSchema;
use serde::Deserialize;

/// `observe`: build and test, and report what would have been done. `active`: push, promote and roll out as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    Observe,
    Active,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleWord {
    Never,
}

/// `finish`: the other units too. `suspend`: they wait for the next opening, once. `revert`: what was done is rolled back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OverrunWord {
    Finish,
    Suspend,
    Revert,
}

/// `notify`: its people are notified. `start`: and the best opening of the next days is taken even if it is too short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EscalateWord {
    Notify,
    Start,
}

/// `reason`: a sentence. `countermeasure`: a form with the root cause, and a commit or a setting that is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RequireWord {
    Reason,
    Countermeasure,
}

/// `auto`: start-first behind a router where nothing bars it, else stop-first. `stop-first`: the old container stops before the
/// new one starts. `start-first`: both run until the new one serves; refused where something bars it. For Swarm services `auto`
/// is start-first unless a task holds something alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    Auto,
    StopFirst,
    StartFirst,
}

/// `refuse`: a rollout does not begin over a container that is not healthy. `replace`: it does; going back, the old one has to
/// run again, not to be healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unhealthy {
    Refuse,
    Replace,
}

/// `full`: devices, runtime, security options and ulimits that a container was given, and the sources of its bind mounts, are
/// tried with a throw-away container before anything is touched. `create`: they are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preflight {
    Full,
    Create,
}

/// `egress`: a network of the test's own that reaches out. `none`: one that does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    Egress,
    None,
}
