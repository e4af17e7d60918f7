//! The keys of `notify.github`.

use crate::yaml::raw::{Secret, Text, raw};
use schemars::JsonSchema;
use serde::Deserialize;

raw! {
    Github {
        token: Option<Secret>,
        /// Base of the API; another one than `https://api.github.com` for Enterprise.
        api: Option<Text>,
    }
}
