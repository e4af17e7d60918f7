//! Images of apk.

use super::images::{Question, Surveyed};
use super::told::told;
use crate::model::freshness::{Survey, Unknown};
use crate::packages::apk::index::Index;
use crate::packages::apk::pending::{self, Repository};
use crate::packages::apk::repositories::Source;
use crate::packages::apk::state::ApkState;
use crate::runtime::archives::apk::{ApkAnswer, ApkWanted};
use crate::runtime::archives::suites::Archives;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An image's place in the caller's list, and what it says.
type Image = (usize, ApkState, Question);
/// Images share the text of a repository's index; each is parsed once. By the address of the text.
type Parsed = BTreeMap<usize, Result<Arc<Index>, String>>;

pub(super) async fn survey(
    archives: &Archives,
    images: Vec<Image>,
    since: Timestamp,
    now: Timestamp,
) -> Vec<(usize, Surveyed)> {
    let mut wanted = Vec::new();
    for (_, state, _) in &images {
        let keys = Arc::new(state.keys.clone());
        for source in asked(state) {
            wanted.push(ApkWanted {
                repository: source.url.clone(),
                architecture: state.architectures.first().cloned().unwrap_or_default(),
                keys: Arc::clone(&keys),
            });
        }
    }
    let answers = archives.apk_indexes(&wanted, since, now).await;
    let work = move || {
        let mut parsed = Parsed::new();
        let mut answers = answers.into_iter();
        let mut done = Vec::with_capacity(images.len());
        for (at, state, _) in images {
            let answers: Vec<ApkAnswer> = answers.by_ref().take(asked(&state).count()).collect();
            done.push((at, one(&state, &answers, &mut parsed)));
        }
        done
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // A mistake of ours must not look like "nothing is pending".
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn asked(state: &ApkState) -> impl Iterator<Item = &Source> {
    state.repositories.iter().filter(|source| source.out_of_reach.is_none())
}

fn one(state: &ApkState, answers: &[ApkAnswer], parsed: &mut Parsed) -> Surveyed {
    let mut unknown: Vec<Unknown> = state.repositories.iter().filter_map(out_of_reach).collect();
    let mut known: Vec<(&Source, Arc<Index>)> = Vec::new();
    for (source, answer) in asked(state).zip(answers) {
        let index = match answer {
            ApkAnswer::Known(text) => parsed
                .entry(Arc::as_ptr(text).addr())
                .or_insert_with(|| Index::parse(text).map(Arc::new).map_err(|e| e.to_string()))
                .clone(),
            ApkAnswer::Unknown { why, .. } => Err(why.to_string()),
        };
        match index {
            Ok(index) => known.push((source, index)),
            Err(why) => unknown.push(Unknown {
                source: source.shown(),
                why,
            }),
        }
    }
    if state.repositories.is_empty() && state.installed() > 0 {
        unknown.push(Unknown {
            source: "the image".to_owned(),
            why: "it names no repository, so nobody can say what its packages lack".to_owned(),
        });
    }
    let repositories: Vec<Repository<'_>> = known
        .iter()
        .map(|(source, index)| Repository { source, index })
        .collect();
    let mut survey = Survey::default();
    match pending::pending(state, &repositories) {
        Ok(pending) => told(&mut survey, pending),
        Err(refusal) => unknown.push(Unknown {
            source: "apk".to_owned(),
            why: refusal.to_string(),
        }),
    }
    survey.unknown = unknown;
    Surveyed {
        survey,
        // apk's `name=version` of a Dockerfile is a line of `world` in the image, and stays there.
        vanished: Vec::new(),
    }
}

fn out_of_reach(source: &Source) -> Option<Unknown> {
    source.out_of_reach.map(|why| Unknown {
        source: source.shown(),
        why: why.to_string(),
    })
}
