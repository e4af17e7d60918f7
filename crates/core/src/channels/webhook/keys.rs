//! The keys of `notify.webhook`.

use crate::yaml::raw::{Secret, Text, raw};
use schemars::JsonSchema;
use serde::Deserialize;

raw! {
    Webhook {
        /// Where every message is posted as JSON: https, or http on loopback.
        url: Option<Text>,
        /// Signs each request: `whsec_` and 24 to 64 bytes in Base64.
        secret: Option<Secret>,
    }
}
