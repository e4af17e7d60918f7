//! The image that a target ran before our first release, retained for a rollback.

use lowtide_core::decide::rollout::RolloutState;
use lowtide_model::image::{ImageId, Reference};
use lowtide_model::name::RunId;
use lowtide_model::release::{Images, Release};

/// Repository of the tags that retain such an image on its host: once compose's own tag has moved on, the image has no
/// other name, and an ordinary `docker image prune` would remove it.
pub const ADOPTED_REPOSITORY: &str = "lowtide/adopted";

/// The image as a release that no run made.
pub(super) fn release(state: &RolloutState, image: ImageId, tag: String, reference: Reference) -> Option<Release> {
    Some(Release {
        // No run made this image. Timestamp 0 sorts before every run, so whatever goes by the order of runs takes it
        // for the earliest release.
        run: RunId(ulid::Ulid::from_parts(0, state.id.0.random())),
        images: Images::one(image.clone(), image.to_string().parse().ok()?),
        commit: None,
        upstream: None,
        tag,
        digest: None,
        reference,
        change: None,
        sidecars: std::collections::BTreeMap::new(),
        at: state.opened,
    })
}
