//! The image that a target ran before our first release, kept for a rollback.

use crate::clients::engine::connect::Engine;
use crate::clients::target::docker::create;
use crate::clients::target::docker::tag::{self, LocalTag};
use crate::decide::rollout::containers::Containers;
use crate::decide::rollout::services::Services;
use crate::decide::rollout::{KindState, RolloutState};
use crate::model::app_state::Release;
use crate::model::image::{ImageId, Reference};
use crate::model::name::RunId;
use crate::model::rollout::{Part, Unit};
use crate::runtime::bot::Bot;
use tracing::warn;

/// Repository of the tags that retain such an image on its host: once compose's own tag has moved on, the image has no
/// other name, and an ordinary `docker image prune` would remove it.
pub const KEPT: &str = "lowtide/adopted";

/// The image; `None` where there is not exactly one: units that ran different images cannot be rolled back to one, and
/// what a command replaced is not known.
#[must_use]
pub fn image(bot: &Bot, state: &RolloutState) -> Option<Release> {
    match &state.kind_state {
        KindState::Containers(containers) => of_containers(bot, state, containers),
        KindState::Services(services) => of_services(state, services),
        KindState::Command(_) => None,
    }
}

/// Retains the image that a target runs, unless one of our releases put it there. A failure does not affect the
/// rollout: only a later `revert` may find the image missing, and reports that.
pub(super) async fn keep(bot: &Bot, engine: &Engine, state: &RolloutState, units: &Containers) {
    let app_state = bot.app_state(&state.app);
    let known = app_state
        .targets
        .get(&state.target.name)
        .and_then(|known| known.current);
    if let (None, Some(image)) = (known, shared(units).map(|unit| &unit.old_image)) {
        let kept = LocalTag {
            reference: format!("{KEPT}:{}", image.short()),
            image: Some(image.clone()),
        };
        if let Err(error) = tag::point(engine, &kept).await {
            warn!(%image, %error, "the image that runs now cannot be kept to go back to");
        }
    }
}

fn of_containers(bot: &Bot, state: &RolloutState, units: &Containers) -> Option<Release> {
    let unit = shared(units)?;
    let snapshot = bot.sealed.read(&unit.snapshot).ok()?;
    // The owner's name for the image, or its id if it had none.
    let name = create::reference(&snapshot).ok()?;
    let name = name
        .strip_prefix("sha256:")
        .map_or(name.clone(), |_| unit.old_image.short().to_owned());
    let reference = format!("{KEPT}:{}", unit.old_image.short()).parse().ok()?;
    release(state, unit.old_image.clone(), name, reference)
}

/// A service's specification names the image by digest, so a pull brings back the same one.
fn of_services(state: &RolloutState, services: &Services) -> Option<Release> {
    let units = services.units.as_deref()?;
    let first = &units.first()?.old_image;
    if units.iter().any(|unit| unit.old_image != *first) {
        return None;
    }
    let Reference {
        repository,
        tag,
        digest,
    } = first.parse().ok()?;
    let digest = digest?;
    let image: ImageId = digest.to_string().parse().ok()?;
    let tag = tag.unwrap_or_else(|| image.short().to_owned());
    let reference = Reference::tagged(&repository, &tag);
    let mut release = release(state, image, reference.to_string(), reference)?;
    release.digest = digest.to_string().try_into().ok();
    release.digest.is_some().then_some(release)
}

/// One of the units, if all of them run one image.
fn shared(units: &Containers) -> Option<&Unit> {
    let mut moved = units.units.iter().flatten().filter(|unit| unit.part == Part::Release);
    let first = moved.next()?;
    moved.all(|unit| unit.old_image == first.old_image).then_some(first)
}

fn release(state: &RolloutState, image: ImageId, tag: String, reference: Reference) -> Option<Release> {
    Some(Release {
        // No run made this image. Timestamp 0 sorts before every run, so whatever goes by the order of runs takes it
        // for the earliest release.
        run: RunId(ulid::Ulid::from_parts(0, state.id.0.random())),
        content: image.to_string().parse().ok()?,
        image,
        commit: String::new(),
        tag,
        digest: None,
        reference,
        change: None,
        at: state.opened,
    })
}
