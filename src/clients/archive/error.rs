//! How fetching from an archive can fail. Every one of these means *unknown*, never *nothing new*.

use jiff::Timestamp;
use std::time::Duration;

/// Addresses are shown without what they may hold of a password.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Not an address, or one for a transport that lowtide has none of (`cdrom:`, `ftp:`, `tor+http:` …).
    #[error("{url} cannot be fetched: {why}")]
    Address { url: String, why: &'static str },
    /// The folder is the image's; reading ours instead would answer for another machine.
    #[error("{url} is a folder inside the image, which cannot be checked for updates")]
    Local { url: String },
    /// A file that may be read, and cannot be.
    #[error("{url} cannot be read")]
    File {
        url: String,
        #[source]
        source: std::io::Error,
    },
    /// No response: name unknown, refused, reset, TLS.
    #[error("{url} does not answer: {source}")]
    Unreachable {
        url: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{url} did not finish within {limit:?}")]
    Timeout { url: String, limit: Duration },
    /// 404 or 410.
    #[error("{url} does not exist")]
    NotFound { url: String },
    /// 401, 403 or 407.
    #[error("{url} may not be read ({status})")]
    Denied { url: String, status: u16 },
    /// 429 or 503: come back later, or not so often.
    #[error("the server of {url} is busy ({status})")]
    Busy {
        url: String,
        status: u16,
        /// When it says we may come again.
        until: Option<Timestamp>,
    },
    /// Every other status.
    #[error("the server of {url} answered {status}")]
    Refused { url: String, status: u16 },
    /// In circles, or too far.
    #[error("{url} was sent on more than {limit} times")]
    Redirects { url: String, limit: usize },
    /// From https to http: someone in between could send us anywhere.
    #[error("{url} was sent on from https to http")]
    Downgrade { url: String },
    #[error("{url} is larger than {limit} bytes")]
    TooLarge { url: String, limit: u64 },
    /// The connection broke, or the file is shorter than it has to be.
    #[error("{url} ends after {got} bytes{}", of(*.expected))]
    Truncated {
        url: String,
        got: u64,
        expected: Option<u64>,
    },
    /// Not what the archive's `Release` says: damaged, or the mirror is just being updated.
    #[error("{url} is not what its Release says: sha256 {actual}, not {expected}")]
    Mismatch {
        url: String,
        expected: String,
        actual: String,
    },
    /// A web page where an index should be: a captive portal, a proxy's error page.
    #[error("{url} is a web page, not an index: something on the way answers in place of the package repository")]
    WebPage { url: String },
    #[error("{url} cannot be unpacked: {why}")]
    Damaged { url: String, why: String },
    /// A decompression bomb, or an archive beyond all measure.
    #[error("{url} unpacks to more than {limit} bytes")]
    Inflated { url: String, limit: u64 },
}

impl ArchiveError {
    /// Would the same call, later, have a chance by itself?
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            ArchiveError::Unreachable { .. }
            | ArchiveError::Timeout { .. }
            | ArchiveError::Busy { .. }
            | ArchiveError::Truncated { .. }
            | ArchiveError::Mismatch { .. }
            | ArchiveError::WebPage { .. }
            | ArchiveError::Damaged { .. } => true,
            ArchiveError::Refused { status, .. } => *status >= 500,
            ArchiveError::Address { .. }
            | ArchiveError::Local { .. }
            | ArchiveError::File { .. }
            | ArchiveError::NotFound { .. }
            | ArchiveError::Denied { .. }
            | ArchiveError::Redirects { .. }
            | ArchiveError::Downgrade { .. }
            | ArchiveError::TooLarge { .. }
            | ArchiveError::Inflated { .. } => false,
        }
    }

    /// Is it worth a retry within the same night's visit, after a moment?
    pub(super) fn passing(&self) -> bool {
        match self {
            ArchiveError::Unreachable { .. } | ArchiveError::Truncated { .. } | ArchiveError::Busy { .. } => true,
            ArchiveError::Refused { status, .. } => *status >= 500,
            // A file that does not fit its hash is fetched again with a newer Release, by who has that.
            ArchiveError::Mismatch { .. }
            | ArchiveError::Timeout { .. }
            | ArchiveError::WebPage { .. }
            | ArchiveError::Damaged { .. }
            | ArchiveError::Address { .. }
            | ArchiveError::Local { .. }
            | ArchiveError::File { .. }
            | ArchiveError::NotFound { .. }
            | ArchiveError::Denied { .. }
            | ArchiveError::Redirects { .. }
            | ArchiveError::Downgrade { .. }
            | ArchiveError::TooLarge { .. }
            | ArchiveError::Inflated { .. } => false,
        }
    }
}

fn of(expected: Option<u64>) -> String {
    expected.map(|expected| format!(" of {expected}")).unwrap_or_default()
}
