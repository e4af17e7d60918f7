//! lowtide's own container, as written. The doc comments are the descriptions of the JSON Schema that editors show.

use crate::yaml::raw::{Text, raw};
use schemars::JsonSchema;
use serde::Deserialize;

raw! {
    /// The container lowtide itself runs in.
    OwnTarget {
        /// The engine that runs it.
        host: Option<Text>,
    }
}
