//! How a layer can be unreadable.

use std::io;

/// Why a layer, or the archive of an image, cannot be read. Nothing of it is used then.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    #[error("the archive ends too early")]
    Truncated,
    /// Malformed, or the reader's own error (a broken connection, damaged compression).
    #[error("the archive cannot be read")]
    Read(#[source] io::Error),
    #[error("the archive has the name {name:?}, which leaves its root")]
    Name { name: String },
    #[error("the archive has more than {limit} {of}")]
    TooMuch { of: &'static str, limit: u64 },
    #[error("{path:?} is a hard link to {target:?}, which is no file")]
    Link { path: String, target: String },
    #[error("{path:?} lies in something that is no directory")]
    Parent { path: String },
    #[error("{path:?} leads through too many links")]
    Loop { path: String },
    #[error("{path:?} is a sparse file in a format that is not supported")]
    Sparse { path: String },
    /// A document (manifest, config) that is not what it should be.
    #[error("{document} cannot be read: {why}")]
    Document { document: String, why: String },
    /// Content that is not what its digest says.
    #[error("{what} is {actual}, not {expected}")]
    Mismatch {
        what: String,
        expected: String,
        actual: String,
    },
}

impl LayerError {
    /// Ends what reads an archive: `limit` is what it may have.
    pub(super) fn bounded(of: &'static str, value: u64, limit: u64) -> Result<(), Self> {
        if value > limit {
            Err(LayerError::TooMuch { of, limit })
        } else {
            Ok(())
        }
    }
}
