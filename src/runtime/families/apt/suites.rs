//! The suites that a fleet's images take their packages from.

use super::index::{Indexes, Loads};
use super::known::{Part, Suite, SuiteResult, Unknown, Wanted};
use super::release::{self, Believed, CachePolicy};
use crate::clients::archive::address::shown;
use crate::clients::archive::error::ArchiveError;
use crate::runtime::archives::record::Record;
use crate::runtime::archives::visit::{Visit, in_order};
use crate::runtime::families::effects::{Effects, Repositories, Surveyor};
use crate::runtime::survey::cached::{Basis, Validity};
use crate::runtime::survey::images::{Question, Surveyed};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use lowtide_packages::families::apt::believe::select;
use lowtide_packages::families::apt::family::Apt;
use lowtide_packages::families::apt::trust::Keyrings;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What all visits to apt's archives share.
#[derive(Default)]
pub struct AptRepositories {
    indexes: Indexes,
}

/// apt's archives as of one moment.
pub struct Suites<'a> {
    pub(super) visit: Visit<'a>,
    indexes: &'a Indexes,
    /// By address.
    places: Mutex<BTreeMap<String, Arc<Place>>>,
    pub(super) keyrings: Mutex<Keyrings>,
}

impl Effects for Apt {
    type Repositories = AptRepositories;
}

impl AptRepositories {
    #[must_use]
    pub fn suites<'a>(&'a self, visit: Visit<'a>) -> Suites<'a> {
        Suites {
            visit,
            indexes: &self.indexes,
            places: Mutex::default(),
            keyrings: Mutex::default(),
        }
    }
}

impl Repositories for AptRepositories {
    fn surveyor<'a>(&'a self, visit: Visit<'a>) -> Box<dyn Surveyor + 'a> {
        Box::new(self.suites(visit))
    }
}

impl Surveyor for Suites<'_> {
    fn survey(&self, question: Question) -> BoxFuture<'_, (Surveyed, Option<Validity>)> {
        self.judge(question).boxed()
    }

    fn are_as_before<'s>(&'s self, basis: &'s [Basis]) -> BoxFuture<'s, bool> {
        let checks = basis.iter().map(|before| self.is_as_before(before).boxed());
        in_order(checks).map(|same| same.into_iter().all(|same| same)).boxed()
    }
}

/// The first caller sends the request; the others wait for its result.
type Place = tokio::sync::Mutex<ArchiveState>;

/// The results for one repository so far.
#[derive(Default)]
struct ArchiveState {
    record: Option<Result<Record, Arc<Unknown>>>,
    loads: Loads,
    /// By the keys.
    judged: BTreeMap<String, Judged>,
    /// By the keys and the parts of it that are wanted.
    suites: BTreeMap<String, SuiteResult>,
    /// The repository changed between the requests for its `Release` and its indexes, so both were requested again.
    again: bool,
}

type Judged = Result<Believed, Arc<Unknown>>;

impl Suites<'_> {
    /// An answer for each of `wanted`, in its order.
    pub async fn results(&self, wanted: &[Wanted]) -> Vec<SuiteResult> {
        in_order(wanted.iter().map(|one| self.suite(one).boxed())).await
    }

    async fn suite(&self, one: &Wanted) -> SuiteResult {
        let base = one.source.base();
        let place = self.place(&base);
        let mut state = place.lock().await;
        let parts = format!("{};{:?};{:?}", keys(one), one.source.components, one.architectures);
        if let Some(result) = state.suites.get(&parts) {
            return result.clone();
        }
        let mut result = self.result(&base, &mut state, one).await;
        if moved(&result) && !state.again {
            *state = ArchiveState {
                again: true,
                ..ArchiveState::default()
            };
            result = self.result(&base, &mut state, one).await;
        }
        state.suites.insert(parts, result.clone());
        result
    }

    async fn is_as_before(&self, before: &Basis) -> bool {
        let place = self.place(&before.base);
        let mut state = place.lock().await;
        let state = &mut *state;
        match self.first(&before.base, &mut state.record, state.again).await {
            Ok(record) => record.sha256 == before.sha256 && record.newest == before.newest,
            Err(_) => false,
        }
    }

    fn place(&self, base: &str) -> Arc<Place> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.entry(base.to_owned()).or_default().clone()
    }

    async fn result(&self, base: &str, state: &mut ArchiveState, one: &Wanted) -> SuiteResult {
        let record = match self.first(base, &mut state.record, state.again).await {
            Ok(record) => record,
            Err(why) => return unknown(one, Arc::clone(why)),
        };
        let judged = state.judged.entry(keys(one)).or_insert_with(|| {
            let judged = release::judge(&self.visit.archives.cache, base, record, one, self.visit.now);
            judged.map_err(Arc::new)
        });
        let basis = Basis {
            base: base.to_owned(),
            sha256: record.sha256.clone(),
            newest: record.newest,
        };
        match judged {
            Ok(believed) => self.parts(basis, &state.loads, one, believed).await,
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
        let archives = self.visit.archives;
        let policy = match (again, self.visit.is_recent(base)) {
            (true, _) => CachePolicy::Ignore,
            (false, true) => CachePolicy::Fresh,
            (false, false) => CachePolicy::Revalidate,
        };
        let record = release::fetch(&archives.client, &archives.cache, base, policy).await;
        if record.is_ok() && policy != CachePolicy::Fresh {
            self.visit.mark_checked(base);
        }
        record.map_err(|error| Arc::new(Unknown::Fetch(error)))
    }

    async fn parts(&self, basis: Basis, loads: &Loads, one: &Wanted, believed: &Believed) -> SuiteResult {
        let selection = select(&believed.release, &one.source, &one.architectures);
        let loads = selection.files.iter().map(|file| async {
            let archives = self.visit.archives;
            let index = self.indexes.load(archives, loads, &basis.base, &believed.release, file);
            let index = index.await?;
            Ok(Part {
                file: file.clone(),
                index,
            })
        });
        let loaded: Vec<Result<Part, Arc<Unknown>>> = futures_util::future::join_all(loads).await;
        match loaded.into_iter().collect() {
            Ok(indexes) => SuiteResult::Known(Arc::new(Suite {
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

fn unknown(one: &Wanted, why: Arc<Unknown>) -> SuiteResult {
    SuiteResult::Unknown {
        source: format!("{} {}", shown(&one.source.uri), one.source.suite),
        why,
    }
}

/// Did a file not fit its `Release`, or was it gone?
fn moved(result: &SuiteResult) -> bool {
    match result {
        SuiteResult::Known(_) => false,
        SuiteResult::Unknown { why, .. } => match &**why {
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
