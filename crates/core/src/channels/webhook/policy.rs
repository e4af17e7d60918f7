//! What the configuration says of the webhook.

use lowtide_model::secret::SecretRef;
use serde::{Deserialize, Serialize};

/// Where messages are posted, and what signs them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookPolicy {
    pub url: String,
    pub secret: SecretRef,
}
