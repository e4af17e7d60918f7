//! Services of Docker Swarm, as written. The doc comments are the descriptions of the JSON Schema that editors show.

use crate::yaml::raw::{Text, raw};
use schemars::JsonSchema;
use serde::Deserialize;

raw! {
    /// A service of Docker Swarm.
    ServiceTarget {
        /// One of the swarm's managers.
        host: Option<Text>,
        name: Option<Text>,
    }
    /// Services of a stack (`docker stack deploy`), moved in this order and rolled back as one.
    StackTarget {
        /// One of the swarm's managers.
        host: Option<Text>,
        name: Option<Text>,
        /// Without the stack's name; those that run the app's image, if not given.
        services: Option<Vec<Text>>,
    }
}
