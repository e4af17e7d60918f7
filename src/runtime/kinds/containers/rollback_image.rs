//! A tag that retains an unused image on the host: the image of a `--rm` container, for as long as a rollback may need
//! it.

use super::tag;
use crate::clients::engine::connect::Engine;
use crate::clients::engine::error::EngineError;
use crate::clients::engine::raw::encode;
use lowtide_model::image::ImageId;
use lowtide_model::name::RolloutId;

/// Repository of tags that only keep an image; the tag names rollout and unit.
const REPOSITORY: &str = "lowtide/keep";

/// # Errors
/// `NotFound` when the image is gone already.
pub async fn retain(engine: &Engine, image: &ImageId, rollout: RolloutId, unit: usize) -> Result<(), EngineError> {
    tag::give(engine, image, REPOSITORY, &name(rollout, unit)).await
}

/// The tag goes; the image goes with it when nothing else holds it.
///
/// # Errors
/// As the engine fails. A tag that is gone is let go.
pub async fn let_go(engine: &Engine, rollout: RolloutId, unit: usize) -> Result<(), EngineError> {
    let reference = format!("{REPOSITORY}:{}", name(rollout, unit));
    match engine.raw_delete(&format!("/images/{}", encode(&reference))).await {
        Ok(()) | Err(EngineError::NotFound { .. }) => Ok(()),
        Err(e) => Err(e),
    }
}

fn name(rollout: RolloutId, unit: usize) -> String {
    format!("{}-{unit}", rollout.short())
}
