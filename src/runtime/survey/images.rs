//! Many images at once: every archive is asked once for all of them.

use super::state::Manager;
use super::{apk, apt};
use crate::model::freshness::{Survey, Vanished};
use crate::model::package_state::{PackageState, Pinned};
use crate::runtime::archives::suites::Archives;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One image, and what its Dockerfile asks for: versions, and holds.
#[derive(Debug, Clone)]
pub struct Question {
    pub state: Arc<PackageState>,
    pub pinned: BTreeMap<String, Pinned>,
    pub held: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Surveyed {
    /// Who can bring what is not told yet: [`crate::decide::fixable::judge`].
    pub survey: Survey,
    pub vanished: Vec<Vanished>,
}

impl Archives {
    /// An answer for each question, in their order. What archives said at `since` or later is not asked again.
    pub async fn survey(&self, questions: Vec<Question>, since: Timestamp, now: Timestamp) -> Vec<Surveyed> {
        let mut answers: Vec<Surveyed> = Vec::new();
        answers.resize_with(questions.len(), Surveyed::default);
        let (mut of_apt, mut of_apk) = (Vec::new(), Vec::new());
        for (at, (manager, question)) in managers(questions).await.into_iter().enumerate() {
            match manager {
                Manager::Apt(state) => of_apt.push((at, *state, question)),
                Manager::Apk(state) => of_apk.push((at, *state, question)),
                Manager::None => {}
                Manager::Unseen { why } => answers[at].survey = Survey::unseen(why),
            }
        }
        let (of_apt, of_apk) = tokio::join!(
            apt::survey(self, of_apt, since, now),
            apk::survey(self, of_apk, since, now)
        );
        for (at, surveyed) in of_apt.into_iter().chain(of_apk) {
            answers[at] = surveyed;
        }
        answers
    }
}

/// Reading package databases is work of a millisecond each.
async fn managers(questions: Vec<Question>) -> Vec<(Manager, Question)> {
    let reads = questions
        .into_iter()
        .map(|question| tokio::task::spawn_blocking(move || (Manager::of(&question.state), question)));
    let mut read = Vec::with_capacity(reads.len());
    for one in reads.collect::<Vec<_>>() {
        match one.await {
            Ok(one) => read.push(one),
            // A mistake of ours must not look like "nothing is pending".
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    read
}
