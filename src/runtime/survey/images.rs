//! What is pending in each of many images.

use super::apk::Parsed;
use super::state::Manager;
use super::{apk, apt};
use crate::model::freshness::{Survey, Vanished};
use crate::model::package_state::{PackageState, Pinned};
use crate::packages::openpgp::trust::Keyrings;
use crate::runtime::archives::suites::{Archives, Visit};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

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

/// Images that are judged one after the other, by what their archives publish now. Every archive is asked once for all of them,
/// and only those that are being judged are in memory.
pub struct Judging<'a> {
    pub(super) visit: Visit<'a>,
    pub(super) keyrings: Mutex<Keyrings>,
    pub(super) parsed: Arc<Mutex<Parsed>>,
}

/// How many images are judged at the same time: more than there are processors, since some wait for their archives.
pub const AT_ONCE: usize = 8;

impl Archives {
    /// What archives said at `since` or later is not asked again.
    #[must_use]
    pub fn judging(&self, since: Timestamp, now: Timestamp) -> Judging<'_> {
        Judging {
            visit: self.visit(since, now),
            keyrings: Mutex::default(),
            parsed: Arc::default(),
        }
    }
}

impl Judging<'_> {
    pub async fn image(&self, question: Question) -> Surveyed {
        let state = Arc::clone(&question.state);
        match off(move || Manager::of(&state)).await {
            Manager::Apt(state) => apt::survey(self, *state, question).await,
            Manager::Apk(state) => apk::survey(self, *state).await,
            Manager::None => Surveyed::default(),
            Manager::Unseen { why } => Surveyed {
                survey: Survey::unseen(why),
                vanished: Vec::new(),
            },
        }
    }
}

/// Work of milliseconds, which must not keep others waiting.
pub(in crate::runtime) async fn off<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // A mistake of ours must not look like "nothing is pending".
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
