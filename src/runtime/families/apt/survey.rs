//! An image of apt.

use super::known::{Suite, SuiteResult, Wanted};
use super::suites::Suites;
use crate::runtime::blocking::run_blocking;
use crate::runtime::survey::cached::Validity;
use crate::runtime::survey::images::{Question, Surveyed};
use crate::runtime::survey::record::record;
use lowtide_apt::available;
use lowtide_apt::pending::{self, SuiteIndex};
use lowtide_apt::state::AptState;
use lowtide_core::decide::fixable;
use lowtide_model::freshness::{Survey, UnavailablePin, Unknown};
use lowtide_model::package_family::PackageFamily;
use lowtide_model::package_state::Pinned;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

impl Suites<'_> {
    pub(super) async fn judge(&self, question: Question) -> (Surveyed, Option<Validity>) {
        let of_image = Arc::clone(&question.state);
        let mut state = match run_blocking(move || AptState::read(&of_image.files)).await {
            Ok(state) => state,
            Err(error) => return (Surveyed::unseen(error.to_string()), None),
        };
        let results = self.results(&self.wanted(&state, &question)).await;
        let validity = validity(&results);
        let surveyed = run_blocking(move || {
            state.release(|name, architecture| fixable::is_free(&question.state, &question.held, name, architecture));
            one(&state, &results, &question.pinned)
        });
        (surveyed.await, validity)
    }

    fn wanted(&self, state: &AptState, question: &Question) -> Vec<Wanted> {
        let mut keyrings = self.keyrings.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = state.sources.iter().map(|source| Wanted {
            source: source.clone(),
            architectures: source.architectures(&state.architectures),
            trust: Arc::new(keyrings.trust(source, &question.state.files)),
        });
        wanted.collect()
    }
}

/// `None`: not every repository could be asked, so the survey must not be cached.
fn validity(results: &[SuiteResult]) -> Option<Validity> {
    let suites = results.iter().map(|result| match result {
        SuiteResult::Known(suite) => Some(suite),
        SuiteResult::Unknown { .. } => None,
    });
    let suites: Vec<&Arc<Suite>> = suites.collect::<Option<_>>()?;
    Some(Validity {
        family: PackageFamily::Dpkg,
        basis: suites.iter().map(|suite| suite.basis.clone()).collect(),
        until: suites.iter().filter_map(|suite| suite.until).min(),
    })
}

fn one(state: &AptState, results: &[SuiteResult], pinned: &BTreeMap<String, Pinned>) -> Surveyed {
    let mut unknown = Vec::new();
    let mut known = Vec::new();
    for (source, result) in state.sources.iter().zip(results) {
        match result {
            SuiteResult::Known(suite) => known.push((source, suite)),
            SuiteResult::Unknown { source, why } => unknown.push(Unknown {
                source: source.clone(),
                why: why.to_string(),
            }),
        }
    }
    let suites: Vec<pending::Suite<'_>> = known
        .iter()
        .map(|(source, suite)| pending::Suite {
            source,
            release: &suite.release,
            indexes: indexes(suite),
        })
        .collect();
    if state.sources.is_empty() && state.installed() > 0 {
        unknown.push(Unknown {
            source: "the image".to_owned(),
            why: "it names no package source, so missing updates are not known".to_owned(),
        });
    }
    unknown.extend(state.not_followed().iter().map(|what| Unknown {
        source: "the image's apt.conf".to_owned(),
        why: format!("{what}, and lowtide does not follow that"),
    }));
    let mut survey = Survey {
        newest: known.iter().filter_map(|(_, suite)| suite.release.date).max(),
        ..Survey::default()
    };
    match pending::pending(state, &suites) {
        Ok(pending) => record(&mut survey, pending),
        Err(refusal) => unknown.push(Unknown {
            source: "apt".to_owned(),
            why: format!("it would upgrade nothing: {refusal}"),
        }),
    }
    let unavailable_pins = if unknown.is_empty() {
        unavailable_pins(&suites, pinned)
    } else {
        // A version that seems to be gone may be in a repository that could not be requested.
        Vec::new()
    };
    survey.unknown = unknown;
    Surveyed {
        survey,
        unavailable_pins,
    }
}

fn indexes(suite: &Suite) -> Vec<SuiteIndex<'_>> {
    let parts = suite.indexes.iter().map(|part| SuiteIndex {
        component: &part.file.component,
        architecture: &part.file.architecture,
        index: &part.index,
    });
    parts.collect()
}

fn unavailable_pins(suites: &[pending::Suite<'_>], pinned: &BTreeMap<String, Pinned>) -> Vec<UnavailablePin> {
    let gone = |(package, pinned): (&String, &Pinned)| {
        let needed = pinned.needed()?;
        let versions = available::versions(suites, package);
        let admitted = versions.iter().any(|version| pinned.admits(version));
        (!admitted).then(|| UnavailablePin {
            package: package.clone(),
            version: needed.to_owned(),
            line: pinned.line,
            available: versions.first().map(|version| (*version).to_owned()),
        })
    };
    pinned.iter().filter_map(gone).collect()
}
