//! How services of a swarm are rolled, as configured.

use lowtide_model::policy::Order;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicesPolicy {
    pub select: ServiceSelect,
    #[serde(default)]
    pub order: Order,
}

/// Which services of the swarm are meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceSelect {
    Service {
        name: String,
    },
    /// Services of a stack (`docker stack deploy`), moved in this order and rolled back as one.
    Stack {
        stack: String,
        /// Without the stack's name. Empty: those that run the app's image.
        services: Vec<String>,
    },
}
