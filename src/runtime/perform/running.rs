//! What the targets run, where that is not the last release: how far it is behind. Only for people to know, so what cannot be
//! seen is left out.

use super::assess::since;
use super::inspect::seen;
use super::run::StageContext;
use crate::clients::clock;
use crate::runtime::kinds::effects;
use crate::runtime::survey::images::Question;
use crate::runtime::survey::state::state;
use lowtide_core::kinds::list::TargetPolicy;
use lowtide_core::report::words;
use lowtide_model::freshness::{Behind, Survey};
use lowtide_model::image::ImageId;
use lowtide_model::name::TargetName;
use lowtide_model::package_state::Lineage;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Targets that lack something.
pub(super) async fn behind(context: &StageContext<'_>) -> BTreeMap<TargetName, Behind> {
    let mut found = BTreeMap::new();
    for target in &context.run.app.rollout {
        let Some(survey) = survey(context, target).await else {
            continue;
        };
        let behind = survey.behind();
        if behind.packages > 0 {
            context.line(&words::running(&target.settings.name, behind));
            found.insert(target.settings.name.clone(), behind);
        }
    }
    found
}

async fn survey(context: &StageContext<'_>, target: &TargetPolicy) -> Option<Survey> {
    let engine = context.fleet.engine(&target.settings.host).ok()?;
    let since = since(&context.run.trigger, context.run.opened);
    let judging = context.fleet.archives.judging(since, clock::now());
    let mut surveys = Vec::new();
    let images: BTreeSet<ImageId> = effects::images(engine, &context.run.app, target)
        .await?
        .into_iter()
        .collect();
    for image in images {
        let released = context.run.last.as_ref().is_some_and(|last| last.images.has(&image));
        if released {
            continue;
        }
        let seen = seen(context, engine, &image).await.ok()?;
        let question = Question {
            state: Arc::new(state(&seen, Lineage::Unknown, None)),
            pinned: BTreeMap::new(),
            held: BTreeSet::new(),
        };
        surveys.push(judging.image(question).await.survey);
    }
    // Of several images, the one that lacks most.
    surveys.into_iter().max_by_key(|survey| {
        let behind = survey.behind();
        (behind.security, behind.packages)
    })
}
