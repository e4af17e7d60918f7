//! The build context: what of a directory goes to the builder, in a form that depends on the commit alone.
//!
//! Order is by path, times are the commit's, owners are 0, modes are the two git knows, so equal commits give equal
//! bytes. Symlinks stay symlinks and are never followed. Which paths are left out is the caller's to say (Docker reads
//! `<Dockerfile>.dockerignore`, and `.dockerignore` only when that does not exist; a `.git` is sent like any folder).

use crate::model::failure::{Failure, FailureKind};
use bytes::Bytes;
use futures_util::Stream;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// What `.dockerignore` says of one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Keep,
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
    #[error("{path}: {kind} must not enter a build context")]
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
        let kind = match self {
            ContextError::Special { .. } | ContextError::Name { .. } => FailureKind::SourceHostile,
            ContextError::TooMany { .. } | ContextError::TooLarge { .. } => FailureKind::SourceTooLarge,
            ContextError::Missing { .. } => FailureKind::DockerfileMissing,
            ContextError::Changed { .. } => FailureKind::Invariant,
            // Our own checkout, on our own disk.
            ContextError::Io { .. } => FailureKind::DiskFull,
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
    /// Walks `dir`. `always` are paths sent whatever `ignore` says; `replace` gives paths other contents than the
    /// disk's, or adds them. Blocking.
    ///
    /// # Errors
    /// A socket, device or pipe, a name that is not UTF-8, a limit passed, or a directory that cannot be read.
    pub fn scan(
        dir: &Path,
        ignore: &dyn Fn(&str, bool) -> Verdict,
        always: &[&str],
        replace: &[(String, Bytes)],
        mtime: i64,
        limits: Limits,
    ) -> Result<Self, ContextError> {
        let mut walk = Walk {
            ignore,
            always,
            limits,
            bytes: 0,
            entries: BTreeMap::new(),
        };
        walk.directory(dir, "")?;
        for (path, bytes) in replace {
            walk.add_parents(path);
            let executable = matches!(
                walk.entries.get(&Key::of(path)),
                Some(Kind::File { executable: true, .. })
            );
            let source = Source::Memory(bytes.clone());
            let kind = Kind::File {
                size: bytes.len() as u64,
                executable,
                source,
            };
            walk.entries.insert(Key::of(path), kind);
        }
        let entries = walk
            .entries
            .into_iter()
            .map(|(key, kind)| Entry {
                path: key.0.join("/"),
                kind,
            })
            .collect();
        Ok(Self { entries, mtime })
    }

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
        let told = broken.clone();
        let chunks = tokio_util::io::ReaderStream::with_capacity(near, 64 * 1024);
        // An archive that merely stops would be taken for a whole one by a lenient reader.
        let end = futures_util::stream::once(async move { told.as_io_error().map(Err) });
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

/// A path by its components, so that `a/b` sorts before `a.b` as both the tar and BuildKit's transfer want it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key(Vec<String>);

impl Key {
    fn of(path: &str) -> Self {
        Self(path.split('/').map(ToOwned::to_owned).collect())
    }
}

struct Walk<'a> {
    ignore: &'a dyn Fn(&str, bool) -> Verdict,
    always: &'a [&'a str],
    limits: Limits,
    bytes: u64,
    entries: BTreeMap<Key, Kind>,
}

impl Walk<'_> {
    fn directory(&mut self, dir: &Path, prefix: &str) -> Result<(), ContextError> {
        let failed = |source| io_error(if prefix.is_empty() { "the build context" } else { prefix }, source);
        for item in std::fs::read_dir(dir).map_err(failed)? {
            let item = item.map_err(failed)?;
            let name = item.file_name();
            let Some(name) = name.to_str() else {
                return Err(ContextError::Name {
                    path: format!("{prefix}{}", name.to_string_lossy()),
                });
            };
            let path = format!("{prefix}{name}");
            let kind = item.file_type().map_err(failed)?;
            let mut verdict = (self.ignore)(&path, kind.is_dir());
            if self.always.contains(&path.as_str()) {
                verdict = Verdict::Keep;
            }
            let leads_to_always = || self.always.iter().any(|a| a.starts_with(&format!("{path}/")));
            if kind.is_dir() && (verdict != Verdict::Prune || leads_to_always()) {
                if verdict == Verdict::Keep {
                    self.add(&path, Kind::Directory)?;
                }
                self.directory(&item.path(), &format!("{path}/"))?;
            } else if verdict == Verdict::Keep {
                let kind = self.read_entry(&item, &path, kind)?;
                self.add_parents(&path);
                self.add(&path, kind)?;
            }
        }
        Ok(())
    }

    fn read_entry(
        &mut self,
        item: &std::fs::DirEntry,
        path: &str,
        kind: std::fs::FileType,
    ) -> Result<Kind, ContextError> {
        use std::os::unix::fs::FileTypeExt;
        let special = |kind| {
            Err(ContextError::Special {
                path: path.to_owned(),
                kind,
            })
        };
        if kind.is_symlink() {
            let target = std::fs::read_link(item.path()).map_err(|source| io_error(path, source))?;
            let target = target
                .to_str()
                .ok_or_else(|| ContextError::Name { path: path.to_owned() })?;
            return Ok(Kind::Symlink {
                target: target.to_owned(),
            });
        }
        if !kind.is_file() {
            return match (kind.is_socket(), kind.is_fifo()) {
                (true, _) => special("a socket"),
                (_, true) => special("a named pipe"),
                (false, false) => special("a device"),
            };
        }
        let meta = item.metadata().map_err(|source| io_error(path, source))?;
        self.bytes += meta.len();
        if self.bytes > self.limits.bytes {
            return Err(ContextError::TooLarge {
                limit: self.limits.bytes,
            });
        }
        let executable = meta.permissions().mode() & 0o111 != 0;
        Ok(Kind::File {
            size: meta.len(),
            executable,
            source: Source::Disk(item.path()),
        })
    }

    fn add(&mut self, path: &str, kind: Kind) -> Result<(), ContextError> {
        self.entries.insert(Key::of(path), kind);
        if self.entries.len() > self.limits.entries {
            return Err(ContextError::TooMany {
                limit: self.limits.entries,
            });
        }
        Ok(())
    }

    fn add_parents(&mut self, path: &str) {
        for (at, _) in path.match_indices('/') {
            self.entries.entry(Key::of(&path[..at])).or_insert(Kind::Directory);
        }
    }
}

fn io_error(path: &str, source: io::Error) -> ContextError {
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
