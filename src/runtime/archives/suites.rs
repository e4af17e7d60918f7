//! The suites that a fleet's images take their packages from: each archive asked once, all at the same time but politely.

use super::index::{Indexes, Visit};
use super::known::{Answer, Part, Proof, Suite, Unknown, Wanted};
use super::release::{self, Believed, Kept};
use crate::clients::archive::address::shown;
use crate::clients::archive::error::ArchiveError;
use crate::clients::archive::fetch::ArchiveClient;
use crate::decide::archive::select;
use crate::store::archives::ArchiveCache;
use futures_util::FutureExt as _;
use futures_util::stream::{self, StreamExt as _};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Archives that are asked at the same time; each host has a limit of its own besides.
pub(super) const AT_ONCE: usize = 8;

/// All archives of a fleet.
pub struct Archives {
    pub(super) client: ArchiveClient,
    pub(super) cache: ArchiveCache,
    indexes: Indexes,
    /// `Release` files and apk's indexes by their address → when the archive was asked last, with success.
    asked: Mutex<BTreeMap<String, Timestamp>>,
}

type Judged = Result<Believed, Arc<Unknown>>;

impl Archives {
    #[must_use]
    pub fn new(client: ArchiveClient, cache: ArchiveCache) -> Self {
        Self {
            indexes: Indexes::new(client.clone(), cache.clone()),
            client,
            cache,
            asked: Mutex::default(),
        }
    }

    /// An answer for each of `wanted`, in its order. Each distinct archive is asked once and each distinct index read once,
    /// whatever the number of images; signatures are checked once for each distinct set of keys. What an archive said at `since`
    /// or later is not asked again.
    pub async fn suites(&self, wanted: &[Wanted], since: Timestamp, now: Timestamp) -> Vec<Answer> {
        let mut by_archive: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, one) in wanted.iter().enumerate() {
            by_archive.entry(one.source.base()).or_default().push(at);
        }
        let visit = Visit::default();
        let mut visits = Vec::with_capacity(by_archive.len());
        for (base, places) in &by_archive {
            let of_archive: Vec<&Wanted> = places.iter().map(|at| &wanted[*at]).collect();
            let visit = &visit;
            visits.push(async move { (places, self.archive(visit, base, &of_archive, since, now).await) }.boxed());
        }
        let mut visits = stream::iter(visits).buffer_unordered(AT_ONCE);
        let mut answers: Vec<Option<Answer>> = vec![None; wanted.len()];
        while let Some((places, found)) = visits.next().await {
            for (at, answer) in places.iter().zip(found) {
                answers[*at] = Some(answer);
            }
        }
        // Every place belongs to one archive, and every archive answers for all of its places.
        answers.into_iter().flatten().collect()
    }

    /// A mirror may change between its `Release` and its indexes; then everything is asked once more.
    async fn archive(
        &self,
        visit: &Visit,
        base: &str,
        wanted: &[&Wanted],
        since: Timestamp,
        now: Timestamp,
    ) -> Vec<Answer> {
        let recent = self.asked().get(base).is_some_and(|asked| *asked >= since);
        let kept = if recent { Kept::Enough } else { Kept::Asked };
        let first = self.once(visit, base, wanted, kept, now).await;
        if first.iter().any(moved) {
            return self.once(&Visit::default(), base, wanted, Kept::Distrusted, now).await;
        }
        first
    }

    pub(super) fn asked(&self) -> MutexGuard<'_, BTreeMap<String, Timestamp>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn once(&self, visit: &Visit, base: &str, wanted: &[&Wanted], kept: Kept, now: Timestamp) -> Vec<Answer> {
        let record = match release::ask(&self.client, &self.cache, base, kept).await {
            Ok(record) => {
                if kept != Kept::Enough {
                    self.asked().insert(base.to_owned(), now);
                }
                record
            }
            Err(error) => {
                let why = Arc::new(Unknown::Fetch(error));
                return wanted.iter().map(|one| unknown(one, why.clone())).collect();
            }
        };
        let mut judged: BTreeMap<String, Judged> = BTreeMap::new();
        let mut suites: BTreeMap<String, Answer> = BTreeMap::new();
        let mut answers = Vec::with_capacity(wanted.len());
        for one in wanted {
            let keys = keys(one);
            let known = judged
                .entry(keys.clone())
                .or_insert_with(|| release::judge(&record, one, now).map_err(Arc::new));
            let parts = format!("{keys};{:?};{:?}", one.source.components, one.architectures);
            let answer = match suites.get(&parts) {
                Some(answer) => answer.clone(),
                None => match known {
                    Ok(believed) => self.suite(visit, base, one, believed).await,
                    Err(why) => unknown(one, why.clone()),
                },
            };
            suites.insert(parts, answer.clone());
            answers.push(answer);
        }
        if let Some(newest) = judged.values().filter_map(|one| dated(one, now)).max() {
            release::remember(&self.cache, base, &record, newest);
        }
        answers
    }

    async fn suite(&self, visit: &Visit, base: &str, one: &Wanted, believed: &Believed) -> Answer {
        let selection = select(&believed.release, &one.source, &one.architectures);
        let loads = selection.files.iter().map(|file| async {
            let index = self.indexes.load(visit, base, &believed.release, file).await?;
            Ok(Part {
                file: file.clone(),
                index,
            })
        });
        let loaded: Vec<Result<Part, Arc<Unknown>>> = futures_util::future::join_all(loads).await;
        match loaded.into_iter().collect() {
            Ok(indexes) => Answer::Known(Arc::new(Suite {
                release: believed.release.clone(),
                indexes,
                proof: believed.proof.clone(),
                skipped: selection.skipped,
            })),
            Err(why) => unknown(one, why),
        }
    }
}

/// The date of a `Release` that somebody signed. One that is not signed, or from the future, must not make all later ones
/// look old.
fn dated(judged: &Judged, now: Timestamp) -> Option<Timestamp> {
    let believed = judged.as_ref().ok()?;
    match believed.proof {
        Proof::Signed { .. } => believed.release.date.filter(|date| *date <= now),
        Proof::Unverified { .. } => None,
    }
}

/// All of a source that decides whether its `Release` is believed.
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
