//! What is pending in each of many images.

use super::cached::{Key, Subject, Validity};
use crate::runtime::archives::visit::Archives;
use crate::runtime::blocking::run_blocking;
use crate::runtime::families::effects::Surveyor;
use crate::store::survey_cache::{SurveyCache, Surveys};
use jiff::Timestamp;
use lowtide_model::freshness::{Survey, UnavailablePin};
use lowtide_model::package_family::PackageFamily;
use lowtide_model::package_state::{PackageState, Pinned};
use lowtide_packages::families::list;
use lowtide_packages::os_release;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

/// One image, and what its Dockerfile asks for: versions, and holds.
#[derive(Debug, Clone)]
pub struct Question {
    pub state: Arc<PackageState>,
    pub pinned: BTreeMap<String, Pinned>,
    pub held: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Surveyed {
    /// Leaves open who can bring each fix: [`lowtide_core::decide::fixable::judge`] decides that.
    pub survey: Survey,
    pub unavailable_pins: Vec<UnavailablePin>,
}

/// Judges images one after the other by what their package repositories publish now. Each repository is requested once for all images,
/// and only the images being judged are in memory.
pub struct Judging<'a> {
    pub(super) now: Timestamp,
    /// In the order of [`PackageFamily::ALL`].
    pub(super) surveyors: Vec<(PackageFamily, Box<dyn Surveyor + 'a>)>,
    pub(super) cache: SurveyCache,
    /// The same, once it was opened; `None`: it cannot be used.
    pub(super) surveys: Arc<OnceLock<Option<Surveys>>>,
}

impl Surveyed {
    /// Of an image whose packages cannot be judged.
    pub(crate) fn unseen(why: String) -> Self {
        Self {
            survey: Survey::unseen(why),
            unavailable_pins: Vec::new(),
        }
    }
}

/// How many images are judged at the same time. More than there are processors, because some wait for their repositories.
pub const AT_ONCE: usize = 8;

impl Archives {
    /// What archives said at `since` or later is not requested again.
    #[must_use]
    pub fn judging(&self, since: Timestamp, now: Timestamp) -> Judging<'_> {
        let visit = self.visit(since, now);
        let families = self.families.iter();
        Judging {
            now,
            surveyors: families.map(|(family, it)| (*family, it.surveyor(visit))).collect(),
            cache: self.surveys.clone(),
            surveys: Arc::default(),
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
        let files = &question.state.files;
        let of_it = self.surveyors.iter().find(|(family, _)| list::of(*family).is_in(files));
        match (&*question.state.uncaptured, of_it) {
            ([path, ..], _) => {
                let why = format!("{path} is a link, and the file it leads to was not saved");
                (Surveyed::unseen(why), None)
            }
            ([], Some((_, surveyor))) => surveyor.survey(question).await,
            ([], None) => (of_no_family(files), None),
        }
    }
}

/// Of an image with no package database that we know.
fn of_no_family(files: &BTreeMap<String, Vec<u8>>) -> Surveyed {
    let os = ["etc/os-release", "usr/lib/os-release"];
    match os.iter().find_map(|path| files.get(*path)) {
        // Of a distribution, so there are packages.
        Some(text) => {
            let id = os_release::parse(text).id;
            Surveyed::unseen(format!("no package database of {id} is one that lowtide reads"))
        }
        None => Surveyed::default(),
    }
}
