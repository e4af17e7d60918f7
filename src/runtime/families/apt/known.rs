//! What is known of a source's archive, or why nothing is.

use crate::clients::archive::error::ArchiveError;
use crate::runtime::survey::cached::Basis;
use jiff::Timestamp;
use lowtide_apt::index::read::Index;
use lowtide_apt::release::Release;
use lowtide_apt::sources::Source;
use lowtide_packages::error::ParseError;
use lowtide_packages::families::apt::believe::{Disbelief, IndexFile};
use lowtide_packages::openpgp::error::SignatureError;
use lowtide_packages::openpgp::verify::Trust;
use std::sync::Arc;

/// One source of one image, and what it wants to know.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub source: Source,
    /// Without `all`: `Source::architectures` of the image's own.
    pub architectures: Vec<String>,
    /// The image's keys for this source.
    pub trust: Arc<Trust>,
}

/// A source that could not be queried is [`SuiteResult::Unknown`], never "nothing new".
#[derive(Debug, Clone)]
pub enum SuiteResult {
    Known(Arc<Suite>),
    Unknown {
        /// The source as a maintainer writes it: address and suite, without a password.
        source: String,
        why: Arc<Unknown>,
    },
}

/// A suite as one image sees it. Images that trust the same keys and want the same parts share it.
#[derive(Debug)]
pub struct Suite {
    pub basis: Basis,
    /// Until when the `Release` and its signature may be believed. `None`: without a limit.
    pub until: Option<Timestamp>,
    pub release: Arc<Release>,
    pub indexes: Vec<Part>,
    pub proof: Proof,
    /// Components and architectures that the source names and the archive has none of, in words.
    pub skipped: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct Part {
    pub file: IndexFile,
    pub index: Arc<Index>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    Signed {
        /// Fingerprint of the primary key.
        by: String,
        at: Option<Timestamp>,
    },
    /// `trusted=yes`: the source asks to believe it without a good signature; this is what was wrong with it.
    Unverified { why: SignatureError },
}

/// Why nothing is known; each is a sentence about the source that it is shown with.
#[derive(Debug, thiserror::Error)]
pub enum Unknown {
    #[error(transparent)]
    Fetch(#[from] ArchiveError),
    #[error("its Release is not believed: {0}")]
    Signature(#[from] SignatureError),
    #[error(transparent)]
    Date(#[from] Disbelief),
    /// `trusted=no` (sources.list(5)).
    #[error("the source says trusted=no, so apt takes nothing from it")]
    Distrusted,
    #[error("its index cannot be read: {0}")]
    Unreadable(#[from] ParseError),
    /// Old archives list MD5 or SHA-1 only, which apt no longer accepts, or pack by bzip2 only.
    #[error("its Release lists no {path} that can be checked: neither plain nor as .gz, .xz or .zst by sha256")]
    Unlisted { path: String },
    /// A mistake of ours.
    #[error("reading its index ended in a panic")]
    Broken,
}

impl Unknown {
    /// Can this problem go away by itself?
    #[must_use]
    pub fn passing(&self) -> bool {
        match self {
            Unknown::Fetch(error) => error.retryable(),
            // Mirrors catch up, clocks are set, an archive signs anew.
            Unknown::Date(_) => true,
            Unknown::Signature(_)
            | Unknown::Distrusted
            | Unknown::Unreadable(_)
            | Unknown::Unlisted { .. }
            | Unknown::Broken => false,
        }
    }
}
