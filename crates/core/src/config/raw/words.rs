//! Settings that are one of a few words.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `observe`: build and test, and report what would have been done. `active`: push, promote and roll out as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    Observe,
    Active,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleWord {
    Never,
}

/// `reason`: a sentence. `countermeasure`: a form with the root cause, and a commit or a setting that is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RequireWord {
    Reason,
    Countermeasure,
}

/// `egress`: a network of the test's own that reaches out. `none`: one that does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    Egress,
    None,
}
