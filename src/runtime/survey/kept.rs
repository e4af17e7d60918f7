//! Surveys that are kept between visits. Repositories change once or a few times a day, and images are asked about more often.
//!
//! A survey is a function of the image's package state, of what its Dockerfile asks for, and of the repositories. It is kept only if every
//! repository answered, and used only if every repository still has the same signed file, which is asked for as usual.

use super::images::{Question, Surveyed};
use crate::runtime::archives::known::Basis;
use crate::runtime::archives::suites::Visit;
use jiff::Timestamp;
use lz4_flex::block::{compress_prepend_size, decompress_size_prepended};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::os::unix::fs::MetadataExt as _;
use std::sync::OnceLock;

/// What a survey rests on besides the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Grounds {
    pub(super) basis: Vec<Basis>,
    /// The first moment at which a key, a signature or a `Release` expires. `None`: none does.
    pub(super) until: Option<Timestamp>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    grounds: Grounds,
    /// When it was made. It does not hold for earlier times: with a clock set back, a signature may be from the future.
    since: Timestamp,
    surveyed: Surveyed,
}

pub(super) type Key = [u8; 32];

/// The key of this question, and the survey of an earlier visit if it still holds.
pub(super) async fn find(visit: &Visit<'_>, question: Question) -> (Key, Option<Surveyed>) {
    let found = visit.with_surveys(move |surveys| {
        let key = key(&question);
        (key, surveys.get(&key).and_then(|body| read(&body)))
    });
    let Some((key, kept)) = found.await else {
        // Where nothing can be read, nothing is written: no key is needed.
        return (Key::default(), None);
    };
    let Some(kept) = kept.filter(|kept| kept.holds_at(visit.now())) else {
        return (key, None);
    };
    let same = visit.are_as_before(&kept.grounds.basis).await;
    (key, same.then_some(kept.surveyed))
}

pub(super) async fn keep(visit: &Visit<'_>, key: Key, grounds: Grounds, surveyed: Surveyed) {
    let kept = Kept {
        grounds,
        since: visit.now(),
        surveyed,
    };
    let stored = visit
        .with_surveys(move |surveys| surveys.put(&key, &written(&kept)))
        .await;
    if stored == Some(false) {
        tracing::debug!("a survey is too large to be kept, or could not be written");
    }
}

impl Kept {
    fn holds_at(&self, now: Timestamp) -> bool {
        self.since <= now && self.grounds.until.is_none_or(|until| now < until)
    }
}

fn written(kept: &Kept) -> Vec<u8> {
    // Strings, numbers, lists and maps with keys of text: it cannot fail.
    compress_prepend_size(&serde_json::to_vec(kept).unwrap_or_default())
}

fn read(body: &[u8]) -> Option<Kept> {
    serde_json::from_slice(&decompress_size_prepended(body).ok()?).ok()
}

/// Of everything in the question, and of the program: another version may judge otherwise.
fn key(question: &Question) -> Key {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(program().as_bytes());
    let rest = (&*question.state, &question.pinned, &question.held);
    // As in `written`.
    part(&serde_json::to_vec(&rest).unwrap_or_default());
    for (path, content) in &question.state.files {
        part(path.as_bytes());
        part(content);
    }
    hash.finalize().into()
}

/// The version does not change while lowtide is developed, so the program's file counts too.
fn program() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let file = std::fs::metadata("/proc/self/exe").map(|of| (of.size(), of.mtime(), of.mtime_nsec()));
        format!("{} {:?}", env!("CARGO_PKG_VERSION"), file.ok())
    })
}
