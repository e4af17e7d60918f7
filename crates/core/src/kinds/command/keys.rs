//! A command, as written. The doc comments are the descriptions of the JSON Schema that editors show.

use crate::yaml::raw::{Command, EnvMap, Text, raw};
use schemars::JsonSchema;
use serde::Deserialize;

raw! {
    /// Programs that are run where lowtide itself runs, never by a shell. Exit code 0: done. 75: try later. Else: failed.
    CommandTarget {
        /// Brings the release to the target. It may be run again after a kill.
        run: Option<Command>,
        /// The way back; `run` with the release before in its environment, if not given.
        back: Option<Command>,
        /// Of each.
        timeout: Option<Text>,
        /// Beside what every command receives.
        env: EnvMap,
    }
}
