//! What is pending in each of many images.

use super::apk::Parsed;
use super::cached::{Key, Subject, Validity};
use super::state::Manager;
use super::{apk, apt};
use crate::model::freshness::{Survey, UnavailablePin};
use crate::model::package_state::{PackageState, Pinned};
use crate::packages::families::apt::trust::Keyrings;
use crate::runtime::archives::suites::{Archives, Visit};
use crate::runtime::blocking::run_blocking;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// One image, and what its Dockerfile asks for: versions, and holds.
#[derive(Debug, Clone)]
pub struct Question {
    pub state: Arc<PackageState>,
    pub pinned: BTreeMap<String, Pinned>,
    pub held: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Surveyed {
    /// Leaves open who can bring each fix: [`crate::decide::fixable::judge`] decides that.
    pub survey: Survey,
    pub unavailable_pins: Vec<UnavailablePin>,
}

/// Judges images one after the other by what their package repositories publish now. Each repository is requested once for all images,
/// and only the images being judged are in memory.
pub struct Judging<'a> {
    pub(super) visit: Visit<'a>,
    pub(super) keyrings: Mutex<Keyrings>,
    pub(super) parsed: Arc<Mutex<Parsed>>,
}

/// How many images are judged at the same time. More than there are processors, because some wait for their repositories.
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
    /// The survey of an earlier visit, if everything that it rests on is the same; otherwise a new one.
    pub async fn image(&self, question: Question) -> Surveyed {
        let subject = Subject::Question(question.clone());
        let key = run_blocking(move || Key::of(&subject)).await;
        if let Some(surveyed) = self.cached(key).await {
            return surveyed;
        }
        let (surveyed, validity) = self.image_anew(question).await;
        if let Some(validity) = validity {
            self.cache(key, validity, surveyed.clone()).await;
        }
        surveyed
    }

    /// A new survey, and for how long it holds; `None`: it must not be cached.
    pub async fn image_anew(&self, question: Question) -> (Surveyed, Option<Validity>) {
        let state = Arc::clone(&question.state);
        match run_blocking(move || Manager::of(&state)).await {
            Manager::Apt(state) => apt::survey(self, *state, question).await,
            Manager::Apk(state) => (apk::survey(self, *state).await, None),
            Manager::None => (Surveyed::default(), None),
            Manager::Unseen { why } => {
                let survey = Survey::unseen(why);
                let unavailable_pins = Vec::new();
                (
                    Surveyed {
                        survey,
                        unavailable_pins,
                    },
                    None,
                )
            }
        }
    }
}
