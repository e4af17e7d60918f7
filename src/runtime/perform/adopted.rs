//! What its owner had put on a target before our first release: an image to go back to.

use crate::clients::engine::connect::Engine;
use crate::clients::target::docker::create;
use crate::clients::target::docker::tag::{self, LocalTag};
use crate::decide::rollout::containers::Containers;
use crate::decide::rollout::services::Services;
use crate::decide::rollout::{Moving, RolloutState};
use crate::model::image::{ImageId, Reference};
use crate::model::name::RunId;
use crate::model::rollout::{Part, Unit};
use crate::model::standing::Release;
use crate::runtime::bot::Bot;
use tracing::warn;

/// Repository of tags that keep such an image on its host: when compose's own tag has moved on, nothing else names it, and
/// an ordinary `docker image prune` would take the way back along.
pub const KEPT: &str = "lowtide/adopted";

/// The image; `None` where there is not exactly one: units of a target that ran different images cannot go back to one, and
/// what a command replaced is not known.
#[must_use]
pub fn image(bot: &Bot, state: &RolloutState) -> Option<Release> {
    match &state.moving {
        Moving::Containers(containers) => of_containers(bot, state, containers),
        Moving::Services(services) => of_services(state, services),
        Moving::Command(_) => None,
    }
}

/// Lets the host keep the image a target runs, unless a release of ours put it there. Where that cannot be, the rollout is
/// no worse for it: only a later `revert` may find the image gone, and then says so.
pub(super) async fn keep(bot: &Bot, engine: &Engine, state: &RolloutState, units: &Containers) {
    let standing = bot.standing(&state.app);
    let known = standing.targets.get(&state.target.name).and_then(|known| known.good);
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
    // As its owner called it; an id where it had no name.
    let name = create::reference(&snapshot).ok()?;
    let name = name
        .strip_prefix("sha256:")
        .map_or(name.clone(), |_| unit.old_image.short().to_owned());
    let reference = format!("{KEPT}:{}", unit.old_image.short()).parse().ok()?;
    release(state, unit.old_image.clone(), name, reference)
}

/// Of services the digest is in the specification: whoever pulls it gets the same.
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
        // No run made it. Older than any: what goes by the order of runs takes it for what was there before.
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
