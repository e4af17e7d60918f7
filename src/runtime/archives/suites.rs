//! The suites that a fleet's images take their packages from: each archive asked once, all at the same time but politely.

use super::apk::Repositories;
use super::index::{Indexes, Loads};
use super::known::{Answer, Basis, Part, Suite, Unknown, Wanted};
use super::record::Record;
use super::release::{self, Believed, Kept};
use crate::clients::archive::address::shown;
use crate::clients::archive::error::ArchiveError;
use crate::clients::archive::fetch::ArchiveClient;
use crate::packages::families::apt::believe::select;
use crate::runtime::blocking::run_blocking;
use crate::store::archives::ArchiveCache;
use crate::store::survey_cache::{SurveyCache, Surveys};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Archives that are asked at the same time; each host has a limit of its own besides.
const AT_ONCE: usize = 8;

/// All archives of a fleet.
pub struct Archives {
    pub(super) client: ArchiveClient,
    pub(super) cache: ArchiveCache,
    surveys: SurveyCache,
    indexes: Indexes,
    /// `Release` files and apk's indexes by their address → when the archive was asked last, with success.
    asked: Mutex<BTreeMap<String, Timestamp>>,
}

/// The package repositories as of one moment. Each repository is requested once, each index read once, and each signature verified once
/// per set of keys, for any number of images. The visit holds the results until it ends, so images can be judged one after the other
/// and need not be in memory together.
pub struct Visit<'a> {
    pub(super) archives: &'a Archives,
    /// What an archive said then or later is not asked again.
    pub(super) since: Timestamp,
    pub(super) now: Timestamp,
    surveys: Arc<OnceLock<Option<Surveys>>>,
    /// By address.
    places: Mutex<BTreeMap<String, Arc<Place>>>,
    pub(super) repositories: Repositories,
}

/// The first caller sends the request; the others wait for its result.
type Place = tokio::sync::Mutex<Told>;

/// The results for one repository so far.
#[derive(Default)]
struct Told {
    record: Option<Result<Record, Arc<Unknown>>>,
    loads: Loads,
    /// By the keys.
    judged: BTreeMap<String, Judged>,
    /// By the keys and the parts of it that are wanted.
    suites: BTreeMap<String, Answer>,
    /// The repository changed between the requests for its `Release` and its indexes, so both were requested again.
    again: bool,
}

type Judged = Result<Believed, Arc<Unknown>>;

impl Archives {
    #[must_use]
    pub fn new(client: ArchiveClient, cache: ArchiveCache, surveys: SurveyCache) -> Self {
        Self {
            surveys,
            indexes: Indexes::new(client.clone(), cache.clone()),
            client,
            cache,
            asked: Mutex::default(),
        }
    }

    /// A visit at `now`; what an archive said at `since` or later is not asked again.
    #[must_use]
    pub fn visit(&self, since: Timestamp, now: Timestamp) -> Visit<'_> {
        Visit {
            archives: self,
            since,
            now,
            surveys: Arc::default(),
            places: Mutex::default(),
            repositories: Repositories::default(),
        }
    }

    pub(super) fn asked(&self) -> MutexGuard<'_, BTreeMap<String, Timestamp>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visit<'_> {
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// An answer for each of `wanted`, in its order.
    pub async fn suites(&self, wanted: &[Wanted]) -> Vec<Answer> {
        in_order(wanted.iter().map(|one| self.suite(one).boxed())).await
    }

    async fn suite(&self, one: &Wanted) -> Answer {
        let base = one.source.base();
        let place = self.place(&base);
        let mut told = place.lock().await;
        let parts = format!("{};{:?};{:?}", keys(one), one.source.components, one.architectures);
        if let Some(answer) = told.suites.get(&parts) {
            return answer.clone();
        }
        let mut answer = self.answer(&base, &mut told, one).await;
        if moved(&answer) && !told.again {
            *told = Told {
                again: true,
                ..Told::default()
            };
            answer = self.answer(&base, &mut told, one).await;
        }
        told.suites.insert(parts, answer.clone());
        answer
    }

    /// Runs `work`, which may block, on the surveys of earlier visits. `None`: the cache cannot be used.
    pub async fn with_surveys<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Surveys) -> T + Send + 'static,
    ) -> Option<T> {
        let (opened, cache) = (Arc::clone(&self.surveys), self.archives.surveys.clone());
        run_blocking(move || opened.get_or_init(|| cache.open()).as_ref().map(work)).await
    }

    /// Is each of these repositories as it was? One that cannot be reached is not known to be.
    pub async fn are_as_before(&self, basis: &[Basis]) -> bool {
        let asks = basis.iter().map(|before| self.is_as_before(before).boxed());
        in_order(asks).await.into_iter().all(|same| same)
    }

    async fn is_as_before(&self, before: &Basis) -> bool {
        let place = self.place(&before.base);
        let mut told = place.lock().await;
        let told = &mut *told;
        match self.first(&before.base, &mut told.record, told.again).await {
            Ok(record) => record.sha256 == before.sha256 && record.newest == before.newest,
            Err(_) => false,
        }
    }

    fn place(&self, base: &str) -> Arc<Place> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.entry(base.to_owned()).or_default().clone()
    }

    async fn answer(&self, base: &str, told: &mut Told, one: &Wanted) -> Answer {
        let record = match self.first(base, &mut told.record, told.again).await {
            Ok(record) => record,
            Err(why) => return unknown(one, Arc::clone(why)),
        };
        let judged = told.judged.entry(keys(one)).or_insert_with(|| {
            let judged = release::judge(&self.archives.cache, base, record, one, self.now);
            judged.map_err(Arc::new)
        });
        let basis = Basis {
            base: base.to_owned(),
            sha256: record.sha256.clone(),
            newest: record.newest,
        };
        match judged {
            Ok(believed) => self.parts(basis, &told.loads, one, believed).await,
            Err(why) => unknown(one, Arc::clone(why)),
        }
    }

    /// The repository's record. The first caller of a visit requests it.
    async fn first<'a>(
        &self,
        base: &str,
        record: &'a mut Option<Result<Record, Arc<Unknown>>>,
        again: bool,
    ) -> &'a mut Result<Record, Arc<Unknown>> {
        match record {
            Some(record) => record,
            None => record.insert(self.record(base, again).await),
        }
    }

    async fn record(&self, base: &str, again: bool) -> Result<Record, Arc<Unknown>> {
        let archives = self.archives;
        let recent = archives.asked().get(base).is_some_and(|asked| *asked >= self.since);
        let kept = match (again, recent) {
            (true, _) => Kept::Distrusted,
            (false, true) => Kept::Enough,
            (false, false) => Kept::Asked,
        };
        let record = release::ask(&archives.client, &archives.cache, base, kept).await;
        if record.is_ok() && kept != Kept::Enough {
            archives.asked().insert(base.to_owned(), self.now);
        }
        record.map_err(|error| Arc::new(Unknown::Fetch(error)))
    }

    async fn parts(&self, basis: Basis, loads: &Loads, one: &Wanted, believed: &Believed) -> Answer {
        let selection = select(&believed.release, &one.source, &one.architectures);
        let loads = selection.files.iter().map(|file| async {
            let indexes = &self.archives.indexes;
            let index = indexes.load(loads, &basis.base, &believed.release, file).await?;
            Ok(Part {
                file: file.clone(),
                index,
            })
        });
        let loaded: Vec<Result<Part, Arc<Unknown>>> = futures_util::future::join_all(loads).await;
        match loaded.into_iter().collect() {
            Ok(indexes) => Answer::Known(Arc::new(Suite {
                basis,
                until: believed.until,
                release: believed.release.clone(),
                indexes,
                proof: believed.proof.clone(),
                skipped: selection.skipped,
            })),
            Err(why) => unknown(one, why),
        }
    }
}

/// Runs up to [`AT_ONCE`] requests at the same time; returns the results in the order of the requests.
pub(super) async fn in_order<'a, T>(asks: impl Iterator<Item = BoxFuture<'a, T>>) -> Vec<T> {
    let asks: Vec<BoxFuture<'a, T>> = asks.collect();
    stream::iter(asks).buffered(AT_ONCE).collect().await
}

/// Everything about a source that decides whether its `Release` is believed.
fn keys(one: &Wanted) -> String {
    let options = &one.source.options;
    format!(
        "{};{:?};{:?};{:?};{:?};{:?}",
        one.trust.identity(),
        options.trusted,
        options.check_valid_until,
        options.check_date,
        options.valid_until_min,
        options.valid_until_max,
    )
}

fn unknown(one: &Wanted, why: Arc<Unknown>) -> Answer {
    Answer::Unknown {
        source: format!("{} {}", shown(&one.source.uri), one.source.suite),
        why,
    }
}

/// Did a file not fit its `Release`, or was it gone?
fn moved(answer: &Answer) -> bool {
    match answer {
        Answer::Known(_) => false,
        Answer::Unknown { why, .. } => match &**why {
            Unknown::Fetch(ArchiveError::Mismatch { .. } | ArchiveError::Truncated { .. }) => true,
            Unknown::Fetch(ArchiveError::NotFound { url }) => !url.ends_with("Release"),
            Unknown::Fetch(_)
            | Unknown::Signature(_)
            | Unknown::Date(_)
            | Unknown::Distrusted
            | Unknown::Unreadable(_)
            | Unknown::Unlisted { .. }
            | Unknown::Broken => false,
        },
    }
}
