//! The local tag a compose service is made from. Compose makes a container anew when its image label is not the id of what the
//! service's tag means on this engine (docker/compose `convergence.go`), so the tag goes where the containers went.

use super::body::LABEL_TAG;
use super::json::{self, object, text};
use crate::clients::engine::connect::Engine;
use crate::clients::engine::error::EngineError;
use crate::clients::engine::raw::encode;
use lowtide_model::image::ImageId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// A tag, and what it meant before anything was touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalTag {
    /// `repository:tag`, as the container was created with it.
    pub reference: String,
    /// `None`: no image had it.
    pub image: Option<ImageId>,
}

/// The tag of a compose service's container, with what it means now; `None` where compose does not look at one.
///
/// # Errors
/// As the engine fails.
pub(super) async fn of(engine: &Engine, container: &Value) -> Result<Option<LocalTag>, EngineError> {
    let Some(reference) = tag_of(container) else {
        return Ok(None);
    };
    let image = meaning(engine, reference).await?;
    Ok(Some(LocalTag {
        reference: reference.to_owned(),
        image,
    }))
}

/// Lets the tag mean its image, or nothing: then it is taken off; the image stays as long as it has another name or a
/// container.
///
/// # Errors
/// `NotFound` when there is no such image on the host, or as the engine refuses.
pub async fn point(engine: &Engine, to: &LocalTag) -> Result<(), EngineError> {
    if let Some(image) = &to.image {
        let (repository, tag) = split(&to.reference);
        return give(engine, image, repository, tag).await;
    }
    let path = format!("/images/{}?noprune=1", encode(&to.reference));
    match engine.raw_delete(&path).await {
        Ok(()) | Err(EngineError::NotFound { .. }) => Ok(()),
        Err(e) => Err(e),
    }
}

/// One more name for an image of the host. An image that had it loses it.
///
/// # Errors
/// As [`point`].
pub(super) async fn give(engine: &Engine, image: &ImageId, repository: &str, tag: &str) -> Result<(), EngineError> {
    let to = format!("repo={}&tag={}", encode(repository), encode(tag));
    let path = format!("/images/{}/tag?{to}", encode(image.as_str()));
    engine.raw_post_only(&path, None, PATIENCE).await
}

async fn meaning(engine: &Engine, reference: &str) -> Result<Option<ImageId>, EngineError> {
    match engine.raw_get(&format!("/images/{}/json", encode(reference))).await {
        Ok(found) => json::image_id(&found, "/Id").map(Some),
        Err(EngineError::NotFound { .. }) => Ok(None),
        Err(e) => Err(e),
    }
}

/// The tag of the compose service. A container from an earlier rollout was created from the release's reference, so the
/// label with the service's own reference comes first. `None` for a digest or an id, which no tag change affects.
fn tag_of(container: &Value) -> Option<&str> {
    let labels = object(container, "/Config/Labels");
    let is_composes = labels.is_some_and(|l| l.contains_key("com.docker.compose.image"));
    let recorded = labels.and_then(|l| l.get(LABEL_TAG)).and_then(Value::as_str);
    let reference = recorded.unwrap_or_else(|| text(container, "/Config/Image"));
    let id = text(container, "/Image").trim_start_matches("sha256:");
    let is_id = reference.starts_with("sha256:") || (reference.len() >= 12 && id.starts_with(reference));
    (is_composes && !reference.is_empty() && !is_id && !reference.contains('@')).then_some(reference)
}

/// Repository and tag; the engine reads `latest` where there is none.
fn split(reference: &str) -> (&str, &str) {
    match reference.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        Some(_) | None => (reference, "latest"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_reference_is_split_at_its_tag() {
        for (reference, parts) in [
            ("app", ("app", "latest")),
            ("app:1", ("app", "1")),
            ("localhost:5000/app", ("localhost:5000/app", "latest")),
            ("localhost:5000/a/b:1", ("localhost:5000/a/b", "1")),
        ] {
            assert_eq!(split(reference), parts);
        }
    }

    #[test]
    fn only_the_tag_of_a_compose_service_is_moved() {
        let id = "0123456789abcdef".repeat(4);
        let container = |image: &str, label: &str| json!({"Image": format!("sha256:{id}"), "Config": {"Image": image, "Labels": {label: "x"}}});
        let compose = "com.docker.compose.image";
        for (image, label, tag) in [
            ("app:1", compose, Some("app:1")),
            ("app", compose, Some("app")),
            ("app:1", "other", None),
            ("app:1@sha256:00", compose, None),
            ("0123456789ab", compose, None),
            (&format!("sha256:{id}"), compose, None),
            ("", compose, None),
        ] {
            assert_eq!(tag_of(&container(image, label)), tag, "{image}");
        }
        let mut ours = container("registry.example.org/app:20260301-1", compose);
        ours["Config"]["Labels"][LABEL_TAG] = json!("app:1");
        assert_eq!(tag_of(&ours), Some("app:1"));
    }
}
