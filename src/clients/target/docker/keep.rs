//! Keeping an image on the host that no container holds: the one a `--rm` container ran, until there is no way back to it.

use crate::clients::engine::connect::Engine;
use crate::clients::engine::error::EngineError;
use crate::clients::engine::raw::encode;
use crate::model::image::ImageId;
use crate::model::name::RolloutId;
use std::time::Duration;

/// Repository of tags that only keep an image; the tag names rollout and unit.
const KEEP: &str = "lowtide/keep";

const PATIENCE: Duration = Duration::from_secs(60);

/// # Errors
/// `NotFound` when the image is gone already.
pub async fn keep(engine: &Engine, image: &ImageId, rollout: RolloutId, unit: usize) -> Result<(), EngineError> {
    let path = format!(
        "/images/{}/tag?repo={}&tag={}",
        encode(image.as_str()),
        encode(KEEP),
        tag(rollout, unit)
    );
    engine.raw_post(&path, None, PATIENCE).await.map(drop)
}

/// The tag goes; the image goes with it when nothing else holds it.
///
/// # Errors
/// As the engine fails. A tag that is gone is let go.
pub async fn let_go(engine: &Engine, rollout: RolloutId, unit: usize) -> Result<(), EngineError> {
    let name = format!("{KEEP}:{}", tag(rollout, unit));
    match engine.raw_delete(&format!("/images/{}", encode(&name))).await {
        Ok(_) | Err(EngineError::NotFound { .. }) => Ok(()),
        Err(e) => Err(e),
    }
}

fn tag(rollout: RolloutId, unit: usize) -> String {
    format!("{}-{unit}", rollout.short())
}
