//! The suites that a fleet's images take their packages from.

use super::index::{Indexes, Loads};
use super::known::{Answer, Part, Suite, Unknown, Wanted};
use super::release::{self, Believed, Kept};
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
        let asks = basis.iter().map(|before| self.is_as_before(before).boxed());
        in_order(asks).map(|same| same.into_iter().all(|same| same)).boxed()
    }
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

impl Suites<'_> {
    /// An answer for each of `wanted`, in its order.
    pub async fn answers(&self, wanted: &[Wanted]) -> Vec<Answer> {
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
            let judged = release::judge(&self.visit.archives.cache, base, record, one, self.visit.now);
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
        let archives = self.visit.archives;
        let kept = match (again, self.visit.is_recent(base)) {
            (true, _) => Kept::Distrusted,
            (false, true) => Kept::Enough,
            (false, false) => Kept::Asked,
        };
        let record = release::ask(&archives.client, &archives.cache, base, kept).await;
        if record.is_ok() && kept != Kept::Enough {
            self.visit.was_asked(base);
        }
        record.map_err(|error| Arc::new(Unknown::Fetch(error)))
    }

    async fn parts(&self, basis: Basis, loads: &Loads, one: &Wanted, believed: &Believed) -> Answer {
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
