//! All package repositories of a fleet, and one look at them: all at the same time but politely.

use crate::clients::archive::fetch::ArchiveClient;
use crate::runtime::families::effects::{self, Repositories};
use crate::store::archives::ArchiveCache;
use crate::store::survey_cache::SurveyCache;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _};
use jiff::Timestamp;
use lowtide_model::package_family::PackageFamily;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Archives that are queried at the same time; each host has a limit of its own besides.
const AT_ONCE: usize = 8;

/// All archives of a fleet.
pub struct Archives {
    pub(crate) client: ArchiveClient,
    pub(crate) cache: ArchiveCache,
    pub(crate) surveys: SurveyCache,
    /// In the order of [`PackageFamily::ALL`].
    pub(crate) families: Vec<(PackageFamily, Box<dyn Repositories>)>,
    /// Files that have the last word at an archive, by their address → when the archive was asked last, with success.
    checked: Mutex<BTreeMap<String, Timestamp>>,
}

/// A look at package repositories as of one moment.
#[derive(Clone, Copy)]
pub struct Visit<'a> {
    pub(crate) archives: &'a Archives,
    /// What an archive said then or later is not requested again.
    pub(crate) since: Timestamp,
    pub(crate) now: Timestamp,
}

impl Archives {
    #[must_use]
    pub fn new(client: ArchiveClient, cache: ArchiveCache, surveys: SurveyCache) -> Self {
        Self {
            client,
            cache,
            surveys,
            families: effects::repositories(),
            checked: Mutex::default(),
        }
    }

    /// A visit at `now`; what an archive said at `since` or later is not requested again.
    #[must_use]
    pub fn visit(&self, since: Timestamp, now: Timestamp) -> Visit<'_> {
        Visit {
            archives: self,
            since,
            now,
        }
    }

    fn checked(&self) -> MutexGuard<'_, BTreeMap<String, Timestamp>> {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visit<'_> {
    /// Was it checked so short a time ago that no request is needed?
    pub(crate) fn is_recent(&self, url: &str) -> bool {
        self.archives.checked().get(url).is_some_and(|at| *at >= self.since)
    }

    /// It was asked now, with success.
    pub(crate) fn mark_checked(&self, url: &str) {
        self.archives.checked().insert(url.to_owned(), self.now);
    }
}

/// Runs up to [`AT_ONCE`] requests at the same time; returns the results in the order of the requests.
pub(crate) async fn in_order<'a, T>(requests: impl Iterator<Item = BoxFuture<'a, T>>) -> Vec<T> {
    let requests: Vec<BoxFuture<'a, T>> = requests.collect();
    stream::iter(requests).buffered(AT_ONCE).collect().await
}
