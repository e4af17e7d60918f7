//! *pull*: the image that others built, by its digest, into the store of the host that tests it.

use super::build;
use super::run::StageContext;
use crate::clients::credentials::denied_with;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::image::Reference;
use lowtide_model::stages::pull::{Pull, Pulled};

/// # Errors
/// As the registry and the engine fail.
pub async fn perform(context: &StageContext<'_>, effect: &Pull) -> Result<Pulled, Failure> {
    let engine = build::engine_with_room(context).await?;
    let auth = context.fleet.credentials.login(&effect.from.repository).await?;
    let credential = auth.as_ref().map(|found| &found.credential);
    let pulled = engine.ensure_image(&effect.from, credential).await;
    pulled.map_err(|error| moved_on(denied_with(auth.as_ref(), error.failure())))?;
    let name = effect.from.to_string();
    let facts = engine.inspect_image(&name).await.map_err(|e| e.failure())?;
    let gone = || {
        Failure::new(
            FailureKind::ImageUnreadable,
            format!("the engine pulled {name} and does not have it"),
        )
    };
    let facts = facts.ok_or_else(gone)?;
    // Without a name of ours a cleaning of the engine would take it between two stages.
    let tag: Reference = effect
        .tag
        .parse()
        .map_err(|e| Failure::new(FailureKind::Invariant, format!("{} names no image: {e}", effect.tag)))?;
    engine.tag_image(&facts.id, &tag).await.map_err(|e| e.failure())?;
    context.line(&format!(
        "pulled {}:{} as {}",
        effect.from.repository,
        effect.image.tag,
        facts.id.short()
    ));
    Ok(Pulled {
        image: facts.id,
        size: facts.size,
    })
}

/// The registry named the digest a moment ago: that it does not serve it is its own trouble.
fn moved_on(failure: Failure) -> Failure {
    if failure.kind == FailureKind::BaseMissing {
        let kind = FailureKind::RegistryRefused;
        return Failure { kind, ..failure };
    }
    failure
}
