//! Keeping an image on the host that no container holds: the one a `--rm` container ran, until there is no way back to it.

use super::json::text;
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

/// Points a tag at an image that is on the host.
///
/// # Errors
/// As the engine refuses; nothing is done when the tag points there.
pub async fn point(engine: &Engine, tag: &str, image: &ImageId) -> Result<(), EngineError> {
    let now = match engine.raw_get(&format!("/images/{}/json", encode(tag))).await {
        Ok(found) => text(&found, "/Id") == image.as_str(),
        Err(EngineError::NotFound { .. }) => false,
        Err(e) => return Err(e),
    };
    if now {
        return Ok(());
    }
    let (repository, tag) = split(tag);
    let to = format!("repo={}&tag={}", encode(repository), encode(tag));
    let path = format!("/images/{}/tag?{to}", encode(image.as_str()));
    engine.raw_post(&path, None, PATIENCE).await.map(drop)
}

fn tag(rollout: RolloutId, unit: usize) -> String {
    format!("{}-{unit}", rollout.short())
}

/// Repository and tag; a colon before a slash belongs to the registry's port.
fn split(reference: &str) -> (&str, &str) {
    match reference.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        Some(_) | None => (reference, "latest"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_no_tag() {
        for (reference, parts) in [
            ("web", ("web", "latest")),
            ("web:1", ("web", "1")),
            ("registry:5000/web", ("registry:5000/web", "latest")),
            ("registry:5000/web:1", ("registry:5000/web", "1")),
        ] {
            assert_eq!(split(reference), parts);
        }
    }
}
