//! Pushes or copies the tested image to its immutable tag, then reads back what the registry serves.

use super::run::StageContext;
use crate::clients::credentials::denied_with;
use crate::clients::engine::connect::Engine;
use crate::clients::registry::copy::TagRule;
use crate::clients::registry::error::RegistryError;
use crate::runtime::bot::InForce;
use lowtide_core::decide::app_state::Promotion;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::image::{ImageId, ManifestDigest, Reference, ServedDigest};
use lowtide_model::stages::publish::{Publish, Published};

/// # Errors
/// `TagTaken` when the tag holds another image, `DigestMismatch` when the registry serves another than the tested one.
pub async fn perform(context: &StageContext<'_>, effect: &Publish) -> Result<Published, Failure> {
    let Some(to) = &effect.to else {
        return Ok(Published { digest: None });
    };
    let registry = &context.fleet.registry;
    let digest = match &effect.from {
        Some(from) => copy(context, from, to).await?,
        None => publish_built(context, to, &effect.image).await?,
    };
    if let Some(channel) = &effect.channel {
        let tag = channel.tag.as_deref().unwrap_or("latest");
        let rule = TagRule::Moving;
        let copied = registry
            .copy(&to.repository, &digest, &channel.repository, tag, rule)
            .await;
        copied.map_err(|e| not_a_base(e.failure(), FailureKind::RegistryRefused))?;
        context.line(&format!("{channel} is {}", digest.short()));
    }
    let digest = ManifestDigest::try_from(digest.to_string())
        .map_err(|e| Failure::new(FailureKind::Invariant, e.to_string()))?;
    Ok(Published { digest: Some(digest) })
}

/// An image of others keeps its digest: it goes from registry to registry byte for byte, and not through an engine, which may compress its
/// layers otherwise.
async fn copy(context: &StageContext<'_>, from: &Reference, to: &Reference) -> Result<ServedDigest, Failure> {
    let (Some(digest), Some(tag)) = (&from.digest, &to.tag) else {
        let detail = format!("{from} has no digest, or {to} no tag");
        return Err(Failure::new(FailureKind::Invariant, detail));
    };
    let registry = &context.fleet.registry;
    let copied = registry
        .copy(&from.repository, digest, &to.repository, tag, TagRule::Immutable)
        .await;
    copied.map_err(|error| not_a_base(error.failure(), FailureKind::RegistryRefused))?;
    context.line(&format!("copied {from} to {to}"));
    Ok(digest.clone())
}

/// Pushes what the engine has, unless an earlier attempt did.
async fn publish_built(context: &StageContext<'_>, to: &Reference, image: &ImageId) -> Result<ServedDigest, Failure> {
    let engine = context.fleet.engine(context.run.app.host())?;
    let registry = &context.fleet.registry;
    Ok(match registry.digest(to).await.map_err(|e| e.failure())? {
        // Pushed by an earlier attempt whose end was not journalled.
        Some(there) if is_image(context, to, &there, image).await? => there,
        Some(there) => {
            let detail = format!(
                "{to} is {} already; an immutable tag is never overwritten",
                there.short()
            );
            return Err(Failure::new(FailureKind::TagTaken, detail));
        }
        None => push(context, engine, to, image).await?,
    })
}

/// Copies the digest to the channel and points the channel's moving tag at it.
///
/// # Errors
/// As the registries fail; `TagTaken` when the channel's repository has the release's tag with another digest.
pub async fn promote(fleet: &InForce, promotion: &Promotion) -> Result<(), Failure> {
    let Promotion {
        channel,
        release,
        digest,
    } = promotion;
    let served = ServedDigest::try_from(digest.to_string());
    let served = served.map_err(|e| Failure::new(FailureKind::Invariant, e.to_string()))?;
    let from = &release.reference.repository;
    // Copy the immutable tag as well, so that the channel's repository shows which release it holds.
    for (tag, rule) in [(&release.tag, TagRule::Immutable), (&channel.tag, TagRule::Moving)] {
        let copied = fleet.registry.copy(from, &served, &channel.image, tag, rule).await;
        copied.map_err(|error| {
            // Nothing is built here, so what is missing is the release and not a base image.
            if matches!(error, RegistryError::Missing { .. }) {
                Failure::new(FailureKind::ReleaseMissing, error.to_string())
            } else {
                error.failure()
            }
        })?;
    }
    Ok(())
}

async fn push(
    context: &StageContext<'_>,
    engine: &Engine,
    to: &Reference,
    image: &ImageId,
) -> Result<ServedDigest, Failure> {
    let registry = &context.fleet.registry;
    let auth = context.fleet.credentials.login(&to.repository).await?;
    engine.tag_image(image, to).await.map_err(|e| e.failure())?;
    let pushed = engine.push(to, auth.as_ref().map(|found| &found.credential)).await;
    let pushed = pushed.map_err(|e| {
        let failure = denied_with(auth.as_ref(), e.failure());
        not_a_base(failure, FailureKind::RegistryRefused)
    })?;
    let there = registry.digest(to).await.map_err(|e| e.failure())?;
    let there = there.ok_or_else(|| {
        Failure::new(
            FailureKind::DigestMismatch,
            format!("{to} was pushed and the registry does not have it"),
        )
    })?;
    let is_image = is_image(context, to, &there, image).await;
    if !is_image.map_err(|failure| not_a_base(failure, FailureKind::DigestMismatch))? {
        let other = pushed.filter(|pushed| pushed.as_str() != there.as_str());
        let pushed_note = other.map(|pushed| format!("; the push returned {}", pushed.short()));
        let detail = format!(
            "{to} serves {}, which is not the tested image {}{}",
            there.short(),
            image.short(),
            pushed_note.unwrap_or_default()
        );
        return Err(Failure::new(FailureKind::DigestMismatch, detail));
    }
    context.line(&format!("pushed {to} as {}", there.short()));
    Ok(there)
}

/// Replaces `BaseMissing`: while publishing, the missing image is the one just pushed and not a base image of the
/// Dockerfile.
fn not_a_base(failure: Failure, instead: FailureKind) -> Failure {
    let kind = if failure.kind == FailureKind::BaseMissing {
        instead
    } else {
        failure.kind
    };
    Failure { kind, ..failure }
}

/// Does the registry's manifest name this very image? Its config digest is the image id; engines with the containerd store
/// call the manifest's digest the image id.
async fn is_image(
    context: &StageContext<'_>,
    to: &Reference,
    there: &ServedDigest,
    image: &ImageId,
) -> Result<bool, Failure> {
    if there.as_str() == image.as_str() {
        return Ok(true);
    }
    Ok(context
        .fleet
        .registry
        .image_id(&to.repository, there)
        .await
        .map_err(|e| e.failure())?
        == *image)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowtide_model::failure::Fault;

    /// A registry that names one digest and serves another responds 404 to a request for what it named.
    #[test]
    fn what_was_just_pushed_is_no_base_image() {
        let of = |kind| not_a_base(Failure::new(kind, "x"), FailureKind::DigestMismatch);
        assert_eq!(of(FailureKind::BaseMissing).kind, FailureKind::DigestMismatch);
        assert_eq!(of(FailureKind::BaseMissing).fault(), Fault::Infra);
        assert_eq!(of(FailureKind::RegistryDenied).kind, FailureKind::RegistryDenied);
    }
}
