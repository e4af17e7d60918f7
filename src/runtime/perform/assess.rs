//! What a rebuild would pick up, surveyed before the build; and what the build left pending, surveyed after it.

use super::run::{StageContext, built};
use super::running;
use crate::clients::clock;
use crate::runtime::inventory::seen::Seen;
use crate::runtime::survey::images::{Question, Surveyed};
use jiff::{SignedDuration, Timestamp};
use lowtide_core::decide::fixable;
use lowtide_core::decide::freshness;
use lowtide_core::report::words;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::freshness::{Inputs, PendingPackage, RebuildAssessment, Survey};
use lowtide_model::image::{DiffId, ImageId, Platform, Reference};
use lowtide_model::package_state::{Doing, Lineage, PackageState};
use lowtide_model::policy::{BuildPolicy, Source};
use lowtide_model::release::Release;
use lowtide_model::run::Trigger;
use lowtide_model::stages::resolve::{Base, BasePin, Commit};
use lowtide_packages::dockerfile::parse::Dockerfile;
use lowtide_packages::dockerfile::platform;
use lowtide_packages::image;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The runs of one night share the results of the package repositories; a manual run requests the current state.
const SHARED: SignedDuration = SignedDuration::from_mins(10);
/// Longer than the runs of a fleet take, shorter than from one night to the next.
const NIGHT: SignedDuration = SignedDuration::from_hours(6);

/// What a build depends on besides the packages inside.
pub(super) fn inputs((source, build): (&Source, &BuildPolicy), commit: &Commit, images: &[&Base]) -> Inputs {
    let digest = |base: &Base| match &base.pin {
        // Of our platform: an index also moves when another platform was rebuilt.
        BasePin::Registry { manifest, .. } => manifest.to_string(),
        BasePin::Local { image } => image.clone().unwrap_or_default(),
    };
    Inputs {
        commit: Some(commit.id.clone()),
        bases: images.iter().map(|base| (named(base), digest(base))).collect(),
        settings: freshness::settings(source, build),
        gains: BTreeMap::new(),
    }
}

fn named(base: &Base) -> String {
    match &base.platform {
        Some(platform) => format!("{} for {platform}", base.reference),
        None => base.reference.to_string(),
    }
}

/// What is pending in the last release.
///
/// # Errors
/// `DockerfileInvalid`, or when the store cannot be read.
pub(super) async fn assess(
    context: &StageContext<'_>,
    dockerfile: &Dockerfile,
    engine: &Platform,
    mut inputs: Inputs,
) -> Result<RebuildAssessment, Failure> {
    let Known {
        state,
        moved_sidecars,
        survey: nothing,
    } = known(context, engine).await?;
    let Some(state) = state else {
        return Ok(RebuildAssessment {
            inputs,
            survey: nothing,
            running: running::behind(context).await,
            moved_sidecars,
            ..RebuildAssessment::default()
        });
    };
    let doing = doing(context, dockerfile, engine)?;
    let Surveyed {
        mut survey,
        unavailable_pins,
    } = survey(context, Arc::clone(&state), &doing).await;
    fixable::judge(&mut survey, &state, &doing);
    inputs.gains = survey
        .within_reach()
        .map(|pending| (freshness::key(pending), pending.candidate.clone()))
        .collect();
    if let Some(judged) = &context.run.judged {
        let gains = &judged.inputs.gains;
        let before = |it: &PendingPackage| gains.get(&freshness::key(it)) == Some(&it.candidate);
        fixable::tried(&mut survey, &state, &doing, before);
    }
    for line in words::surveyed(&survey) {
        context.line(&line);
    }
    let last = context.run.last.as_ref().and_then(|last| last.commit.as_deref());
    let commit = inputs.commit.as_deref().unwrap_or_default();
    let unavailable_pins = fixable::gone_for_good(unavailable_pins, last, commit);
    Ok(RebuildAssessment {
        inputs,
        survey,
        unavailable_pins,
        running: running::behind(context).await,
        moved_sidecars,
    })
}

/// As [`assess`], of an image that others build: they alone bring what is pending.
///
/// # Errors
/// When the store cannot be read.
pub(super) async fn of_others(context: &StageContext<'_>, engine: &Platform) -> Result<RebuildAssessment, Failure> {
    let Known {
        state,
        moved_sidecars,
        mut survey,
    } = known(context, engine).await?;
    let upstream = context.run.last.as_ref().and_then(|last| last.upstream.as_deref());
    if let (Some(state), Some(upstream)) = (state, upstream) {
        survey = left_by_others(context, state, &Reference::tagged(&upstream.image, &upstream.tag)).await;
        for line in words::surveyed(&survey) {
            context.line(&line);
        }
    }
    Ok(RebuildAssessment {
        survey,
        running: running::behind(context).await,
        moved_sidecars,
        ..RebuildAssessment::default()
    })
}

/// What is pending in an image of others.
pub(super) async fn left_by_others(context: &StageContext<'_>, state: Arc<PackageState>, image: &Reference) -> Survey {
    let Surveyed { mut survey, .. } = self::survey(context, state, &Doing::default()).await;
    fixable::judge_upstream(&mut survey, image);
    survey
}

/// What is known of the last release, whoever builds it.
struct Known {
    /// `None`: there is no release yet, or its packages are not stored.
    state: Option<Arc<PackageState>>,
    moved_sidecars: Vec<String>,
    /// Without a state.
    survey: Survey,
}

async fn known(context: &StageContext<'_>, engine: &Platform) -> Result<Known, Failure> {
    let Some(last) = &context.run.last else {
        return Ok(Known {
            state: None,
            moved_sidecars: Vec::new(),
            survey: Survey::default(),
        });
    };
    let moved_sidecars = moved_sidecars(context, last, engine).await;
    let packages = context.bot.store.packages(&last.images.first().content).await;
    let state = packages.map_err(|e| e.failure("the packages of the last release"))?;
    let survey = match state {
        Some(_) => Survey::default(),
        None => Survey::unseen("the packages of the last release are not stored"),
    };
    Ok(Known {
        state: state.map(Arc::new),
        moved_sidecars,
        survey,
    })
}

/// Images that the last release was tested beside, and that are others today. One whose registry does not answer has not moved, as far as
/// anybody knows.
async fn moved_sidecars(context: &StageContext<'_>, last: &Release, engine: &Platform) -> Vec<String> {
    let since = bases_since(&context.run.trigger, context.run.opened);
    let (bases, registry) = (&context.bot.bases, &context.fleet.registry);
    let mut moved = Vec::new();
    for (image, before) in &last.sidecars {
        let Ok(reference) = image.parse::<Reference>() else {
            continue;
        };
        match bases.resolve(registry, &reference, engine, since, clock::now()).await {
            Ok(BasePin::Registry { manifest, .. }) if manifest.to_string() != *before => {
                context.line(&format!("{image}, beside which the release was tested, has moved"));
                moved.push(image.clone());
            }
            Ok(BasePin::Registry { .. } | BasePin::Local { .. }) => {}
            Err(error) => tracing::info!(image, %error, "not known whether the image of a sidecar has moved"),
        }
    }
    moved
}

/// What a build left behind.
pub(super) async fn left(context: &StageContext<'_>, state: PackageState, doing: &Doing) -> Survey {
    let state = Arc::new(state);
    let Surveyed { mut survey, .. } = survey(context, Arc::clone(&state), doing).await;
    let none = BTreeMap::new();
    let resolved = context.run.resolved.as_ref();
    let gains = resolved.map_or(&none, |resolved| &resolved.assessment.inputs.gains);
    fixable::judge_built(&mut survey, &state, doing, context.run.opened, gains);
    survey
}

/// What the app's build does about packages.
///
/// # Errors
/// `DockerfileInvalid`.
pub(super) fn doing(context: &StageContext<'_>, dockerfile: &Dockerfile, engine: &Platform) -> Result<Doing, Failure> {
    let (_, build) = built(&context.run.app)?;
    let target = build.target.as_deref();
    let refresh = dockerfile
        .refresh(target, &platform::arguments(&build.args, engine, target))
        .map_err(|e| Failure::new(FailureKind::DockerfileInvalid, e.to_string()))?;
    Ok(Doing {
        refresh,
        upgrade: build.upgrade,
    })
}

/// Which of the candidate's layers are its base's.
pub(super) async fn lineage(
    context: &StageContext<'_>,
    seen: &Seen,
    doing: &Doing,
    (bases, platform): (&[Base], &Platform),
) -> Lineage {
    let Some(reference) = &doing.refresh.base else {
        return Lineage::Scratch;
    };
    let (layers, triggers) = match base_layers(context, reference, (bases, platform)).await {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(base = %reference, %error, "the layers of the base cannot be told from ours");
            return Lineage::Unknown;
        }
    };
    match seen.inventory.base_layers(&layers) {
        Some(layers) => Lineage::Base {
            reference: reference.to_string(),
            layers,
            triggers,
        },
        None => Lineage::Unknown,
    }
}

/// The base's layers, and has it ONBUILD instructions?
async fn base_layers(
    context: &StageContext<'_>,
    reference: &Reference,
    (bases, engine): (&[Base], &Platform),
) -> Result<(Vec<DiffId>, bool), Failure> {
    let gone = || Failure::new(FailureKind::BaseMissing, reference.to_string());
    // The last one of that name is the one that the target stands on.
    let base = bases
        .iter()
        .rfind(|base| base.reference == *reference)
        .ok_or_else(gone)?;
    match &base.pin {
        BasePin::Registry { served, .. } => {
            let pinned = Reference::pinned(&reference.repository, served);
            let platform = base.platform.as_ref().unwrap_or(engine);
            let found = context.fleet.registry.image(&pinned, platform).await;
            let document = image::parse(&found.map_err(|e| e.failure())?.config)
                .map_err(|e| Failure::new(FailureKind::ImageUnreadable, e.to_string()))?;
            Ok((document.diff_ids, document.triggers))
        }
        BasePin::Local { image } => {
            let id: ImageId = image.as_deref().and_then(|id| id.parse().ok()).ok_or_else(gone)?;
            let engine = context.fleet.engine(context.run.app.host())?;
            let facts = engine.inspect_image(id.as_str()).await.map_err(|e| e.failure())?;
            let facts = facts.ok_or_else(gone)?;
            let ids = facts.diff_ids.iter().filter_map(|id| id.parse().ok()).collect();
            Ok((ids, facts.triggers))
        }
    }
}

async fn survey(context: &StageContext<'_>, state: Arc<PackageState>, doing: &Doing) -> Surveyed {
    let question = Question {
        state,
        pinned: doing.refresh.pinned.clone(),
        held: doing.refresh.held.clone(),
    };
    let since = since(&context.run.trigger, context.run.opened);
    context
        .fleet
        .archives
        .judging(since, clock::now())
        .image(question)
        .await
}

/// As [`since`], for bases: they are requested once a night. After a release of a parent, the parent is a base that has
/// just moved.
pub(super) fn bases_since(trigger: &Trigger, opened: Timestamp) -> Timestamp {
    match trigger {
        Trigger::Schedule { .. } | Trigger::Retry { .. } => opened - NIGHT,
        Trigger::Manual { .. } | Trigger::ParentReleased { .. } => opened,
    }
}

pub(super) fn since(trigger: &Trigger, opened: Timestamp) -> Timestamp {
    match trigger {
        Trigger::Manual { .. } => opened,
        Trigger::Schedule { .. } | Trigger::ParentReleased { .. } | Trigger::Retry { .. } => opened - SHARED,
    }
}
