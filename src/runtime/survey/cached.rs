//! Surveys cached between visits: repositories change a few times a day, and the same images are surveyed more often than that.
//!
//! A survey is a function of the image's package state, of what its Dockerfile asks for, and of the repositories. It is cached only if
//! every repository responded, and used only while every repository has the same signed file. That is requested as
//! usual.

use super::images::{Judging, Question};
use crate::runtime::blocking::run_blocking;
use crate::store::survey_cache::Surveys;
use jiff::Timestamp;
use lowtide_model::image::ImageId;
use lowtide_model::package_family::PackageFamily;
use lz4_flex::block::{compress_prepend_size, decompress_size_prepended};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, OnceLock};

/// What must be the same for a survey to hold, besides the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validity {
    /// Whose repositories they are.
    pub(crate) family: PackageFamily,
    pub(crate) basis: Vec<Basis>,
    /// The first moment at which a key, a signature or what a repository has signed expires. `None`: none does.
    pub(crate) until: Option<Timestamp>,
}

/// What a survey rests on: the file that a repository signed, and how new the repository was known to be. As long as both
/// are the same, the repository's part of the survey is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Basis {
    /// The repository's address.
    pub base: String,
    /// Of the signed file, 64 hex digits.
    pub sha256: String,
    /// The newest date of such a file that was ever believed.
    pub newest: Option<Timestamp>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry<T> {
    validity: Validity,
    /// When it was made. It does not hold for earlier times: with a clock set back, a signature may be from the future.
    since: Timestamp,
    survey: T,
}

/// What a survey is about.
#[derive(Debug, Clone)]
pub enum Subject {
    /// An image, and what its Dockerfile asks for.
    Question(Question),
    /// The hash of a package state as the store has it; nothing but the state matters.
    State([u8; 32]),
    /// An image that lowtide did not build. Its id determines its package state.
    Image(ImageId),
}

/// Under which a survey is cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key([u8; 32]);

impl Key {
    /// Of the subject, and of the program: another version may judge otherwise.
    #[must_use]
    pub fn of(subject: &Subject) -> Self {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        part(program().as_bytes());
        match subject {
            Subject::Question(question) => {
                part(b"question");
                let rest = (&*question.state, &question.pinned, &question.held);
                // Strings, numbers, lists and maps with keys of text: it cannot fail.
                part(&serde_json::to_vec(&rest).unwrap_or_default());
                for (path, content) in &question.state.files {
                    part(path.as_bytes());
                    part(content);
                }
            }
            Subject::State(state) => {
                part(b"state");
                part(state);
            }
            Subject::Image(image) => {
                part(b"image");
                part(image.as_str().as_bytes());
            }
        }
        Self(hash.finalize().into())
    }
}

impl Judging<'_> {
    /// The cached survey of this key, if it still holds. Each key has surveys of one type.
    pub async fn cached<T: DeserializeOwned + Send + 'static>(&self, key: Key) -> Option<T> {
        let found = self.with_surveys(move |surveys| read::<T>(&surveys.get(&key.0)?));
        let entry = found.await.flatten().filter(|entry| entry.holds_at(self.now))?;
        let Validity { family, basis, .. } = &entry.validity;
        let (_, surveyor) = self.surveyors.iter().find(|(of, _)| of == family)?;
        surveyor.are_as_before(basis).await.then_some(entry.survey)
    }

    pub async fn cache<T: Serialize + Send + 'static>(&self, key: Key, validity: Validity, survey: T) {
        let entry = Entry {
            validity,
            since: self.now,
            survey,
        };
        let stored = self.with_surveys(move |surveys| surveys.put(&key.0, &written(&entry)));
        if stored.await == Some(false) {
            tracing::debug!("a survey is too large for the cache, or could not be written");
        }
    }

    /// Runs `work`, which may block, on the surveys of earlier visits. `None`: the cache cannot be used.
    async fn with_surveys<T: Send + 'static>(&self, work: impl FnOnce(&Surveys) -> T + Send + 'static) -> Option<T> {
        let (opened, cache) = (Arc::clone(&self.surveys), self.cache.clone());
        run_blocking(move || opened.get_or_init(|| cache.open()).as_ref().map(work)).await
    }
}

impl<T> Entry<T> {
    fn holds_at(&self, now: Timestamp) -> bool {
        self.since <= now && self.validity.until.is_none_or(|until| now < until)
    }
}

fn written<T: Serialize>(entry: &Entry<T>) -> Vec<u8> {
    // As in `Key::of`.
    compress_prepend_size(&serde_json::to_vec(entry).unwrap_or_default())
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Option<Entry<T>> {
    serde_json::from_slice(&decompress_size_prepended(body).ok()?).ok()
}

/// The version does not change while lowtide is developed, so the program's file counts too.
fn program() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let file = std::fs::metadata("/proc/self/exe").map(|of| (of.size(), of.mtime(), of.mtime_nsec()));
        format!("{} {:?}", env!("CARGO_PKG_VERSION"), file.ok())
    })
}
