//! Images of apt.

use super::images::{Question, Surveyed};
use super::told::told;
use crate::decide::fixable;
use crate::model::freshness::{Survey, Unknown, Vanished};
use crate::model::package_state::Pinned;
use crate::packages::apt::available;
use crate::packages::apt::pending::{self, SuiteIndex};
use crate::packages::apt::state::AptState;
use crate::packages::openpgp::trust::Keyrings;
use crate::runtime::archives::known::{Answer, Suite, Wanted};
use crate::runtime::archives::suites::Archives;
use futures_util::stream::{self, StreamExt as _};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Images whose upgrades are worked out at the same time.
const AT_ONCE: usize = 4;

/// An image's place in the caller's list, and what it says.
type Image = (usize, AptState, Question);

pub(super) async fn survey(
    archives: &Archives,
    images: Vec<Image>,
    since: Timestamp,
    now: Timestamp,
) -> Vec<(usize, Surveyed)> {
    let mut keyrings = Keyrings::default();
    let mut wanted = Vec::new();
    for (_, state, question) in &images {
        for source in &state.sources {
            wanted.push(Wanted {
                source: source.clone(),
                architectures: source.architectures(&state.architectures),
                trust: Arc::new(keyrings.trust(source, &question.state.files)),
            });
        }
    }
    let mut answers = archives.suites(&wanted, since, now).await.into_iter();
    let work = images.into_iter().map(|(at, mut state, question)| {
        state.release(|name, architecture| fixable::is_free(&question.state, &question.held, name, architecture));
        let answers: Vec<Answer> = answers.by_ref().take(state.sources.len()).collect();
        tokio::task::spawn_blocking(move || (at, one(&state, &answers, &question.pinned)))
    });
    let work: Vec<_> = work.collect();
    let done = stream::iter(work).buffer_unordered(AT_ONCE);
    // A mistake of ours in one image must not look like "nothing is pending" in it.
    done.map(|joined| match joined {
        Ok(answer) => answer,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    })
    .collect()
    .await
}

fn one(state: &AptState, answers: &[Answer], pinned: &BTreeMap<String, Pinned>) -> Surveyed {
    let mut unknown = Vec::new();
    let mut known = Vec::new();
    for (source, answer) in state.sources.iter().zip(answers) {
        match answer {
            Answer::Known(suite) => known.push((source, suite)),
            Answer::Unknown { source, why } => unknown.push(Unknown {
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
            why: "it names no package source, so nobody can say what its packages lack".to_owned(),
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
        Ok(pending) => told(&mut survey, pending),
        Err(refusal) => unknown.push(Unknown {
            source: "apt".to_owned(),
            why: format!("it would upgrade nothing: {refusal}"),
        }),
    }
    let vanished = if unknown.is_empty() {
        vanished(&suites, pinned)
    } else {
        // What is missing may be in the archive that was not asked.
        Vec::new()
    };
    survey.unknown = unknown;
    Surveyed { survey, vanished }
}

fn indexes(suite: &Suite) -> Vec<SuiteIndex<'_>> {
    let parts = suite.indexes.iter().map(|part| SuiteIndex {
        component: &part.file.component,
        architecture: &part.file.architecture,
        index: &part.index,
    });
    parts.collect()
}

fn vanished(suites: &[pending::Suite<'_>], pinned: &BTreeMap<String, Pinned>) -> Vec<Vanished> {
    let gone = |(package, pinned): (&String, &Pinned)| {
        let asked = pinned.needed()?;
        let versions = available::versions(suites, package);
        let admitted = versions.iter().any(|version| pinned.admits(version));
        (!admitted).then(|| Vanished {
            package: package.clone(),
            version: asked.to_owned(),
            line: pinned.line,
            available: versions.first().map(|version| (*version).to_owned()),
        })
    };
    pinned.iter().filter_map(gone).collect()
}
