//! The indexes of Alpine's repositories: each asked for once, kept as it came, and verified by each image's own keys. They
//! carry no date until which they hold, so an index that a mirror no longer updates looks like one with nothing new.

use super::record::{self, Record, SignedFile};
use super::suites::{AT_ONCE, Archives};
use crate::clients::archive::address::shown;
use crate::clients::archive::error::ArchiveError;
use crate::clients::archive::fetch::{Ask, Got};
use crate::packages::apk_signature::{self, ApkSignatureError};
use futures_util::FutureExt as _;
use futures_util::stream::{self, StreamExt as _};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

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
pub enum ApkAnswer {
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

impl Archives {
    /// An answer for each of `wanted`, in its order. Each distinct repository is asked once, and not at all if it was at
    /// `since` or later.
    pub async fn apk_indexes(&self, wanted: &[ApkWanted], since: Timestamp, now: Timestamp) -> Vec<ApkAnswer> {
        let mut by_url: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, one) in wanted.iter().enumerate() {
            by_url.entry(one.url()).or_default().push(at);
        }
        let mut visits = Vec::with_capacity(by_url.len());
        for (url, places) in &by_url {
            let visit = async move {
                let file = self.apk_file(url, since, now).await;
                (places, verify(file, places.iter().map(|at| &wanted[*at])))
            };
            visits.push(visit.boxed());
        }
        let mut visits = stream::iter(visits).buffer_unordered(AT_ONCE);
        let mut answers: Vec<Option<ApkAnswer>> = vec![None; wanted.len()];
        while let Some((places, found)) = visits.next().await {
            for (at, answer) in places.iter().zip(found) {
                answers[*at] = Some(answer);
            }
        }
        answers.into_iter().flatten().collect()
    }

    async fn apk_file(&self, url: &str, since: Timestamp, now: Timestamp) -> Result<Vec<u8>, ArchiveError> {
        let name = record::name("apkindex", url);
        let kept = self.cache.read(&name).and_then(|bytes| Record::from_bytes(&bytes, url));
        let recent = self.asked().get(url).is_some_and(|asked| *asked >= since);
        if let (
            true,
            Some(Record {
                signed: SignedFile::InRelease(bytes),
                ..
            }),
        ) = (recent, &kept)
        {
            return Ok(bytes.clone());
        }
        let ask = Ask {
            url,
            limit: PACKED,
            kept: kept.as_ref().map(|kept| &kept.validators),
            expected: None,
        };
        let got = self.client.get(&ask).await?;
        self.asked().insert(url.to_owned(), now);
        match (got, kept) {
            (Got::Content { bytes, validators }, _) => {
                let record = Record {
                    signed: SignedFile::InRelease(bytes.clone()),
                    validators,
                    newest: None,
                };
                self.cache.write(&name, &record.to_bytes(url));
                Ok(bytes)
            }
            (
                Got::Unchanged,
                Some(Record {
                    signed: SignedFile::InRelease(bytes),
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

/// Once for each distinct set of keys.
fn verify<'a>(file: Result<Vec<u8>, ArchiveError>, wanted: impl Iterator<Item = &'a ApkWanted>) -> Vec<ApkAnswer> {
    let file = file.map_err(|error| Arc::new(ApkUnknown::Fetch(error)));
    let mut known: Vec<(&Keys, Verified)> = Vec::new();
    let mut answers = Vec::new();
    for one in wanted {
        let verified = match known.iter().find(|(keys, _)| *keys == &*one.keys) {
            Some((_, verified)) => verified.clone(),
            None => {
                let verified = file.clone().and_then(|file| text(&file, &one.keys));
                known.push((&one.keys, verified.clone()));
                verified
            }
        };
        answers.push(match verified {
            Ok(text) => ApkAnswer::Known(text),
            Err(why) => ApkAnswer::Unknown {
                source: shown(&one.repository),
                why,
            },
        });
    }
    answers
}

fn text(file: &[u8], keys: &Keys) -> Verified {
    let signed = apk_signature::verify(file, keys);
    let text = signed.and_then(apk_signature::index);
    text.map(Arc::new).map_err(|error| Arc::new(error.into()))
}
