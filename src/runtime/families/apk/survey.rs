//! An image of apk.

use super::indexes::{ApkResult, ApkWanted, Indexes};
use crate::runtime::blocking::run_blocking;
use crate::runtime::survey::images::{Question, Surveyed};
use crate::runtime::survey::record::record;
use lowtide_model::freshness::{Survey, Unknown};
use lowtide_packages::families::apk::index::Index;
use lowtide_packages::families::apk::pending::{self, Repository};
use lowtide_packages::families::apk::repositories::Source;
use lowtide_packages::families::apk::state::ApkState;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Parsed indexes by the memory address of their text. Each entry holds its text, so no address is reused.
pub(super) type Parsed = BTreeMap<usize, (Arc<Vec<u8>>, Result<Arc<Index>, String>)>;

impl Indexes<'_> {
    pub(super) async fn judge(&self, question: Question) -> Surveyed {
        let state = match run_blocking(move || ApkState::read(&question.state.files)).await {
            Ok(state) => state,
            Err(error) => return Surveyed::unseen(error.to_string()),
        };
        let keys = Arc::new(state.keys.clone());
        let wanted = queried(&state).map(|source| ApkWanted {
            repository: source.url.clone(),
            architecture: state.architectures.first().cloned().unwrap_or_default(),
            keys: Arc::clone(&keys),
        });
        let results = self.results(&wanted.collect::<Vec<_>>()).await;
        let parsed = Arc::clone(&self.parsed);
        run_blocking(move || one(&state, &results, &parsed)).await
    }
}

fn queried(state: &ApkState) -> impl Iterator<Item = &Source> {
    state.repositories.iter().filter(|source| source.out_of_reach.is_none())
}

fn one(state: &ApkState, results: &[ApkResult], parsed: &Mutex<Parsed>) -> Surveyed {
    let mut unknown: Vec<Unknown> = state.repositories.iter().filter_map(out_of_reach).collect();
    let mut known: Vec<(&Source, Arc<Index>)> = Vec::new();
    for (source, result) in queried(state).zip(results) {
        let index = match result {
            ApkResult::Known(text) => index(text, parsed),
            ApkResult::Unknown { why, .. } => Err(why.to_string()),
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
            why: "it names no package repository, so missing updates are not known".to_owned(),
        });
    }
    let repositories: Vec<Repository<'_>> = known
        .iter()
        .map(|(source, index)| Repository { source, index })
        .collect();
    let mut survey = Survey::default();
    match pending::pending(state, &repositories) {
        Ok(pending) => record(&mut survey, pending),
        Err(refusal) => unknown.push(Unknown {
            source: "apk".to_owned(),
            why: refusal.to_string(),
        }),
    }
    survey.unknown = unknown;
    Surveyed {
        survey,
        // apk's `name=version` of a Dockerfile is a line of `world` in the image, and stays there.
        unavailable_pins: Vec::new(),
    }
}

fn index(text: &Arc<Vec<u8>>, parsed: &Mutex<Parsed>) -> Result<Arc<Index>, String> {
    let mut parsed = parsed.lock().unwrap_or_else(PoisonError::into_inner);
    let (_, index) = parsed.entry(Arc::as_ptr(text).addr()).or_insert_with(|| {
        let index = Index::parse(text).map(Arc::new).map_err(|e| e.to_string());
        (Arc::clone(text), index)
    });
    index.clone()
}

fn out_of_reach(source: &Source) -> Option<Unknown> {
    source.out_of_reach.map(|why| Unknown {
        source: source.shown(),
        why: why.to_string(),
    })
}
