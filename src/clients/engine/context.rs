//! The build context: what of a directory goes to the builder, in a form that depends on the commit alone.
//!
//! Order is by path, times are the commit's, owners are 0, modes are the two git knows, so equal commits give equal
//! bytes. Symlinks stay symlinks and are never followed. Which paths are left out is the caller's to say (Docker reads
//! `<Dockerfile>.dockerignore`, and `.dockerignore` only when that does not exist; a `.git` is sent like any folder).

use bytes::Bytes;
use futures_util::Stream;
use lowtide_model::failure::{Failure, FailureKind};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// What `.dockerignore` says of one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Include,
    /// Not sent; of a directory: something below it may be, and brings the directory along.
    Ignore,
    /// Not sent, and nothing below it is.
    Prune,
}

/// The verdict on a path inside the context (`/`-separated, no leading slash) that is or is not a directory.
pub type Ignore = Arc<dyn Fn(&str, bool) -> Verdict + Send + Sync>;

/// How a directory fails to be a context.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    #[error("{path} is {kind}")]
    Special { path: String, kind: &'static str },
    #[error("{path}: its name is not UTF-8")]
    Name { path: String },
    #[error("the build context has more than {limit} files and folders")]
    TooMany { limit: usize },
    #[error("the build context is larger than {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("{path} is not in the build context")]
    Missing { path: String },
    #[error("{path} changed while it was being read")]
    Changed { path: String },
    #[error("{path} cannot be read")]
    Io {
        path: String,
        #[source]
        source: io::Error,
    },
}

impl ContextError {
    #[must_use]
    pub fn failure(&self) -> Failure {
        // Our own checkout, on our own disk.
        if let ContextError::Io { path, source } = self {
            return Failure::local(format_args!("{path} cannot be read"), source);
        }
        let kind = match self {
            ContextError::Special { .. } | ContextError::Name { .. } => FailureKind::SourceHostile,
            ContextError::TooMany { .. } | ContextError::TooLarge { .. } => FailureKind::SourceTooLarge,
            ContextError::Missing { .. } => FailureKind::DockerfileMissing,
            ContextError::Changed { .. } | ContextError::Io { .. } => FailureKind::Invariant,
        };
        Failure::new(kind, self.to_string())
    }
}

/// Bounds on a context.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub entries: usize,
    /// Bytes of all files together.
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        // A million paths are some 200 MB of our memory; four gigabytes are more than any repository should send.
        Self {
            entries: 1_000_000,
            bytes: 4 << 30,
        }
    }
}

/// A scanned context: names, kinds and sizes; contents stay on disk until they are sent.
#[derive(Debug)]
pub struct Context {
    /// Parents before children; siblings by bytes.
    pub(super) entries: Vec<Entry>,
    /// Seconds since 1970.
    pub(super) mtime: i64,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) path: String,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Directory,
    File {
        size: u64,
        executable: bool,
        source: Source,
    },
    Symlink {
        target: String,
    },
}

pub(super) enum Source {
    Disk(PathBuf),
    Memory(Bytes),
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Disk(path) => write!(f, "{}", path.display()),
            Source::Memory(bytes) => write!(f, "{} bytes", bytes.len()),
        }
    }
}

impl Context {
    /// Nothing at all.
    pub(super) fn empty() -> Self {
        Self {
            entries: Vec::new(),
            mtime: 0,
        }
    }

    /// One file of these bytes.
    pub(super) fn single(path: &str, bytes: Bytes, mtime: i64) -> Self {
        let kind = Kind::File {
            size: bytes.len() as u64,
            executable: false,
            source: Source::Memory(bytes),
        };
        Self {
            entries: vec![Entry {
                path: path.to_owned(),
                kind,
            }],
            mtime,
        }
    }

    /// Bytes of all files.
    #[must_use]
    pub fn size(&self) -> u64 {
        let size = |entry: &Entry| match &entry.kind {
            Kind::File { size, .. } => *size,
            Kind::Directory | Kind::Symlink { .. } => 0,
        };
        self.entries.iter().map(size).sum()
    }

    /// Writes it as a tar archive. Blocking.
    ///
    /// # Errors
    /// A file that is gone, changed or cannot be read, or a writer that refuses (reported as the file's error).
    pub fn write_tar(&self, writer: impl Write) -> Result<(), ContextError> {
        let mut tar = tar::Builder::new(writer);
        for entry in &self.entries {
            self.append(&mut tar, entry)?;
        }
        tar.finish().map_err(|source| io_error("the archive", source))
    }

    /// The archive as a stream, written by a thread of its own at the reader's pace; and why it broke off, if it did.
    pub(super) fn stream(self: &Arc<Self>) -> (impl Stream<Item = io::Result<Bytes>> + Send + 'static, Broken) {
        let broken = Broken::default();
        // The pipe's size bounds what is in memory.
        let (near, far) = tokio::io::duplex(256 * 1024);
        let (context, sink) = (self.clone(), broken.clone());
        tokio::task::spawn_blocking(move || {
            let mut pipe = tokio_util::io::SyncIoBridge::new(far);
            let written = context.write_tar(&mut pipe);
            if let Err(error) = written {
                sink.set(error);
                return;
            }
            // The reader has gone: it says so itself.
            let _ = pipe.shutdown();
        });
        let failure = broken.clone();
        let chunks = tokio_util::io::ReaderStream::with_capacity(near, 64 * 1024);
        // An archive that merely stops would be taken for a whole one by a lenient reader.
        let end = futures_util::stream::once(async move { failure.as_io_error().map(Err) });
        let end = futures_util::StreamExt::filter_map(end, |end| async { end });
        (futures_util::StreamExt::chain(chunks, end), broken)
    }

    fn append(&self, tar: &mut tar::Builder<impl Write>, entry: &Entry) -> Result<(), ContextError> {
        let path = entry.path.as_str();
        let failed = |source| io_error(path, source);
        let mut header = tar::Header::new_gnu();
        header.set_mtime(self.mtime.max(0).unsigned_abs());
        header.set_uid(0);
        header.set_gid(0);
        header.set_mode(entry.kind.mode());
        header.set_size(0);
        match &entry.kind {
            Kind::Directory => {
                header.set_entry_type(tar::EntryType::Directory);
                tar.append_data(&mut header, format!("{path}/"), io::empty())
                    .map_err(failed)
            }
            Kind::Symlink { target } => {
                header.set_entry_type(tar::EntryType::Symlink);
                tar.append_link(&mut header, path, target).map_err(failed)
            }
            Kind::File { size, source, .. } => {
                header.set_entry_type(tar::EntryType::Regular);
                header.set_size(*size);
                tar.append_data(&mut header, path, source.open(path, *size)?)
                    .map_err(failed)
            }
        }
    }
}

/// Why sending stopped early.
#[derive(Debug, Clone, Default)]
pub(super) struct Broken(Arc<Mutex<Option<ContextError>>>);

impl Broken {
    pub(super) fn set(&self, error: ContextError) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(error);
    }

    pub(super) fn take(&self) -> Option<ContextError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn as_io_error(&self) -> Option<io::Error> {
        let error = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        error.as_ref().map(|error| io::Error::other(error.to_string()))
    }
}

impl Kind {
    /// Permission bits: git knows only whether a file is executable.
    pub(super) fn mode(&self) -> u32 {
        match self {
            Kind::Directory | Kind::File { executable: true, .. } => 0o755,
            Kind::File { executable: false, .. } => 0o644,
            Kind::Symlink { .. } => 0o777,
        }
    }
}

impl Source {
    /// A reader of exactly `size` bytes.
    pub(super) fn open(&self, path: &str, size: u64) -> Result<Box<dyn Read + Send>, ContextError> {
        match self {
            Source::Memory(bytes) => Ok(Box::new(io::Cursor::new(bytes.clone()))),
            Source::Disk(disk) => {
                let file = open(disk).map_err(|source| io_error(path, source))?;
                let now = file.metadata().map_err(|source| io_error(path, source))?.len();
                if now != size {
                    return Err(ContextError::Changed { path: path.to_owned() });
                }
                Ok(Box::new(file.take(size)))
            }
        }
    }
}

pub(super) fn io_error(path: &str, source: io::Error) -> ContextError {
    ContextError::Io {
        path: path.to_owned(),
        source,
    }
}

/// Never through a symlink that took the file's place since the scan.
fn open(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}
