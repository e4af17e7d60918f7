//! *resolve* of an image that others build: the tags that its registry has become digests.

use super::assess;
use super::run::StageContext;
use crate::clients::clock;
use crate::clients::registry::error::RegistryError;
use crate::runtime::kinds::effects;
use lowtide_core::decide::follow::{LISTED, TAGS};
use lowtide_core::fleet::tags::Tags;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::image::{Platform, Reference};
use lowtide_model::policy::FollowPolicy;
use lowtide_model::stages::pull::ListedImage;
use lowtide_model::stages::resolve::{BasePin, Resolved, ResolvedImages, ResolvedOrigin};

/// Tags that may lack an image of our platform before the search is given up.
const TRIED: usize = 4 * LISTED;

/// # Errors
/// `FollowedMissing`, or as the engine and the registry fail.
pub(super) async fn resolve(context: &StageContext<'_>, policy: &FollowPolicy) -> Result<Resolved, Failure> {
    let rule = Tags::parse(&policy.tags).map_err(|e| Failure::new(FailureKind::Invariant, e.to_string()))?;
    let engine = context.fleet.engine(&policy.host)?;
    let version = engine.version().await.map_err(|e| e.failure())?;
    let platform = Platform {
        os: version.os,
        architecture: version.arch,
        variant: None,
    };
    let names = names(context, policy, &rule).await?;
    let listed = images(context, policy, &rule, &names, &platform).await?;
    let assessment = assess::of_others(context, &platform).await?;
    Ok(Resolved {
        origin: ResolvedOrigin::Images(ResolvedImages {
            listed,
            running: running(context, policy).await,
        }),
        platform,
        assessment: Box::new(assessment),
    })
}

/// Before the first release: tags of the image that the targets run, as their engines name them. What cannot be seen is left out.
async fn running(context: &StageContext<'_>, policy: &FollowPolicy) -> Vec<String> {
    let last = context.run.last.as_ref().and_then(|last| last.upstream.as_deref());
    if last.is_some_and(|last| last.image == policy.image) {
        return Vec::new();
    }
    let mut running = Vec::new();
    for target in &context.run.app.rollout {
        let Ok(engine) = context.fleet.engine(&target.settings.host) else {
            continue;
        };
        let images = effects::images(engine, &context.run.app, target).await;
        for image in images.unwrap_or_default() {
            let Ok(Some(facts)) = engine.inspect_image(image.as_str()).await else {
                continue;
            };
            let names = facts.repo_tags.iter().filter_map(|name| name.parse::<Reference>().ok());
            let ours = names.filter(|name| name.repository == policy.image);
            running.extend(ours.filter_map(|name| name.tag));
        }
    }
    running
}

/// Tags that the rule matches, the newest first.
async fn names(context: &StageContext<'_>, policy: &FollowPolicy, rule: &Tags) -> Result<Vec<String>, Failure> {
    if let Some(only) = rule.only() {
        return Ok(vec![only.to_owned()]);
    }
    let all = context.fleet.registry.tags(&policy.image, TAGS).await;
    let all = all.map_err(|error| gone(policy, error))?;
    let matched = rule.newest(all.iter().map(String::as_str));
    let matched: Vec<String> = matched.into_iter().map(ToOwned::to_owned).collect();
    if matched.is_empty() {
        let detail = format!(
            "{} has {} tags, and none that `{}` matches",
            policy.image,
            all.len(),
            policy.tags
        );
        return Err(Failure::new(FailureKind::FollowedMissing, detail));
    }
    Ok(matched)
}

/// Their images, down to the tag of the last release: what is older is never taken.
async fn images(
    context: &StageContext<'_>,
    policy: &FollowPolicy,
    rule: &Tags,
    names: &[String],
    platform: &Platform,
) -> Result<Vec<ListedImage>, Failure> {
    let last = context.run.last.as_ref().and_then(|last| last.upstream.as_deref());
    let here = last
        .filter(|last| last.image == policy.image)
        .map(|last| last.tag.as_str());
    let here = here.filter(|tag| rule.key(tag).is_some());
    let mut listed: Vec<ListedImage> = Vec::new();
    let mut without = None;
    for name in names.iter().take(TRIED) {
        match image(context, policy, name, platform).await {
            Ok(image) => listed.push(image),
            // Deleted since it was listed.
            Err(RegistryError::Missing { .. }) if rule.only().is_none() => continue,
            Err(error @ RegistryError::NoPlatform { .. }) => {
                context.line(&error.to_string());
                without = Some(error);
            }
            Err(error) => return Err(gone(policy, error)),
        }
        if here == Some(name) || listed.len() == LISTED {
            break;
        }
    }
    // An image of the current tag may bring fixes while newer tags are too young.
    let known = |tag: &str| listed.iter().any(|image| image.tag == tag);
    if let Some(tag) = here.filter(|tag| !known(tag) && names.iter().any(|name| name == tag)) {
        match image(context, policy, tag, platform).await {
            Ok(image) => listed.push(image),
            Err(RegistryError::Missing { .. } | RegistryError::NoPlatform { .. }) => {}
            Err(error) => return Err(gone(policy, error)),
        }
    }
    match without {
        Some(error) if listed.is_empty() => Err(gone(policy, error)),
        None if listed.is_empty() => {
            let detail = format!(
                "the tags of {} that `{}` matches were deleted",
                policy.image, policy.tags
            );
            Err(Failure::new(FailureKind::FollowedMissing, detail))
        }
        Some(_) | None => Ok(listed),
    }
}

/// Apps that follow the same image ask once a night.
async fn image(
    context: &StageContext<'_>,
    policy: &FollowPolicy,
    tag: &str,
    platform: &Platform,
) -> Result<ListedImage, RegistryError> {
    let reference = Reference::tagged(&policy.image, tag);
    let (bases, registry) = (&context.bot.bases, &context.fleet.registry);
    let since = assess::bases_since(&context.run.trigger, context.run.opened);
    match bases
        .resolve(registry, &reference, platform, since, clock::now())
        .await?
    {
        BasePin::Registry { served, manifest } => {
            context.line(&format!("{reference} is {}", served.short()));
            Ok(ListedImage {
                tag: tag.to_owned(),
                served,
                manifest,
            })
        }
        BasePin::Local { .. } => Err(RegistryError::Missing {
            what: reference.to_string(),
        }),
    }
}

fn gone(policy: &FollowPolicy, error: RegistryError) -> Failure {
    if let RegistryError::Missing { .. } | RegistryError::NoPlatform { .. } = error {
        let detail = format!("{} `{}`: {error}", policy.image, policy.tags);
        return Failure::new(FailureKind::FollowedMissing, detail);
    }
    error.failure()
}
