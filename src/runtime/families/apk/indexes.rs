//! The indexes of Alpine's repositories: each asked for once, kept as it came, and verified by each image's own keys. They
//! carry no date until which they hold, so an index that a mirror no longer updates looks like one with nothing new.

use super::survey::Parsed;
use crate::clients::archive::address::shown;
use crate::clients::archive::error::ArchiveError;
use crate::clients::archive::fetch::{FileRequest, Got};
use crate::runtime::archives::record::{self, Record, SignedFile};
use crate::runtime::archives::visit::{Visit, in_order};
use crate::runtime::families::effects::{Effects, Repositories, Surveyor};
use crate::runtime::survey::cached::Validity;
use crate::runtime::survey::images::{Question, Surveyed};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use lowtide_packages::families::apk::family::Apk;
use lowtide_packages::families::apk::signature::{self, ApkSignatureError};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Alpine's largest index has 2.5 MB.
const PACKED: u64 = 64 << 20;

/// File name in `etc/apk/keys` → content.
pub type Keys = BTreeMap<String, Vec<u8>>;

/// One repository of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApkWanted {
    /// As in `etc/apk/repositories`, without its tag.
    pub repository: String,
    /// As in `etc/apk/arch`: `x86_64`.
    pub architecture: String,
    pub keys: Arc<Keys>,
}

#[derive(Debug, Clone)]
pub enum ApkResult {
    /// The text of `APKINDEX`.
    Known(Arc<Vec<u8>>),
    Unknown {
        /// The repository, without a password.
        source: String,
        why: Arc<ApkUnknown>,
    },
}

#[derive(Debug, thiserror::Error)]
pub enum ApkUnknown {
    #[error(transparent)]
    Fetch(#[from] ArchiveError),
    #[error("its index is not believed: {0}")]
    Signature(#[from] ApkSignatureError),
}

type Verified = Result<Arc<Vec<u8>>, Arc<ApkUnknown>>;

/// Visits to Alpine's repositories share nothing.
#[derive(Default)]
pub struct ApkRepositories;

/// Alpine's repositories as of one moment.
pub struct Indexes<'a> {
    visit: Visit<'a>,
    /// By URL.
    fetched: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<Fetched>>>>,
    pub(super) parsed: Arc<Mutex<Parsed>>,
}

impl Effects for Apk {
    type Repositories = ApkRepositories;
}

impl ApkRepositories {
    #[must_use]
    pub fn indexes<'a>(&self, visit: Visit<'a>) -> Indexes<'a> {
        Indexes {
            visit,
            fetched: Mutex::default(),
            parsed: Arc::default(),
        }
    }
}

impl Repositories for ApkRepositories {
    fn surveyor<'a>(&'a self, visit: Visit<'a>) -> Box<dyn Surveyor + 'a> {
        Box::new(self.indexes(visit))
    }
}

impl Surveyor for Indexes<'_> {
    fn survey(&self, question: Question) -> BoxFuture<'_, (Surveyed, Option<Validity>)> {
        self.judge(question).map(|surveyed| (surveyed, None)).boxed()
    }
}

/// The results for one repository so far.
#[derive(Default)]
struct Fetched {
    file: Option<Result<Vec<u8>, Arc<ApkUnknown>>>,
    /// By each distinct set of keys.
    verified: Vec<(Arc<Keys>, Verified)>,
}

impl Indexes<'_> {
    /// An answer for each of `wanted`, in its order.
    pub async fn results(&self, wanted: &[ApkWanted]) -> Vec<ApkResult> {
        in_order(wanted.iter().map(|one| self.result(one).boxed())).await
    }

    async fn result(&self, one: &ApkWanted) -> ApkResult {
        let url = one.url();
        let fetched = {
            let mut all = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
            all.entry(url.clone()).or_default().clone()
        };
        let mut fetched = fetched.lock().await;
        let known = fetched.verified.iter().find(|(keys, _)| *keys == one.keys);
        let verified = match known {
            Some((_, verified)) => verified.clone(),
            None => {
                let file = match &mut fetched.file {
                    Some(file) => file,
                    none => {
                        let file = self.file(&url).await;
                        none.insert(file.map_err(|error| Arc::new(ApkUnknown::Fetch(error))))
                    }
                };
                let verified = match file {
                    Ok(file) => text(file, &one.keys),
                    Err(why) => Err(Arc::clone(why)),
                };
                fetched.verified.push((Arc::clone(&one.keys), verified.clone()));
                verified
            }
        };
        match verified {
            Ok(text) => ApkResult::Known(text),
            Err(why) => ApkResult::Unknown {
                source: shown(&one.repository),
                why,
            },
        }
    }

    async fn file(&self, url: &str) -> Result<Vec<u8>, ArchiveError> {
        let archives = self.visit.archives;
        let name = record::name("apkindex", url);
        let cached = archives
            .cache
            .read(&name)
            .and_then(|bytes| Record::from_bytes(&bytes, url));
        if let (
            true,
            Some(Record {
                signed: SignedFile::Inline(bytes),
                ..
            }),
        ) = (self.visit.is_recent(url), &cached)
        {
            return Ok(bytes.clone());
        }
        let request = FileRequest {
            url,
            limit: PACKED,
            cached: cached.as_ref().map(|cached| &cached.validators),
            expected: None,
        };
        let got = archives.client.get(&request).await?;
        self.visit.mark_checked(url);
        match (got, cached) {
            (Got::Content { bytes, validators }, _) => {
                let record = Record::new(SignedFile::Inline(bytes.clone()), validators);
                archives.cache.write(&name, &record.to_bytes(url));
                Ok(bytes)
            }
            (
                Got::Unchanged,
                Some(Record {
                    signed: SignedFile::Inline(bytes),
                    ..
                }),
            ) => Ok(bytes),
            (Got::Unchanged, _) => Err(ArchiveError::Refused {
                url: shown(url),
                status: 304,
            }),
        }
    }
}

impl ApkWanted {
    fn url(&self) -> String {
        let repository = self.repository.trim_end_matches('/');
        format!("{repository}/{}/APKINDEX.tar.gz", self.architecture)
    }
}

fn text(file: &[u8], keys: &Keys) -> Verified {
    let signed = signature::verify(file, keys);
    let text = signed.and_then(signature::index);
    text.map(Arc::new).map_err(|error| Arc::new(error.into()))
}
