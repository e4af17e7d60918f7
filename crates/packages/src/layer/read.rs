//! The bytes of one layer become a table.

use super::error::LayerError;
use super::links;
use super::name::{self, Name, normalised, parent, text};
use super::table::{LayerEntry, LayerTable, Limits, Used, remove_below};
use super::wanted::Wanted;
use crate::hash::{digest, hex};
use crate::ignored::{SHADOW, without_days};
use lowtide_model::file_hash::FileHash;
use lowtide_model::inventory::{FileEntry, FileKind};
use sha2::{Digest, Sha256};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::num::NonZeroU32;
use std::rc::Rc;

/// One header with its long names and extended attributes. Linux allows 4 KiB of path and 64 KiB of attributes.
const HEADER_LIMIT: u64 = 1 << 20;
/// Bytes read and hashed at a time.
const BUFFER: usize = 256 << 10;

/// Reads a layer's whole archive, uncompressed. Memory is bounded by what is left of the limits, never by what the
/// archive claims.
///
/// # Errors
/// `Truncated` when the archive ends inside an entry; `Read` for anything malformed and for the reader's own errors; the
/// others for a hostile one.
pub fn read(tar: impl Read, wanted: &Wanted, limits: &Limits, used: &mut Used) -> Result<LayerTable, LayerError> {
    let meter = Rc::new(Meter::default());
    let mut archive = tar::Archive::new(Metered {
        inner: tar,
        meter: meter.clone(),
    });
    let mut layer = LayerReader {
        limits,
        wanted,
        entries: BTreeMap::new(),
        hidden: BTreeSet::new(),
        opaque: BTreeSet::new(),
        stored: BTreeMap::new(),
        used,
        inodes: 0,
        plain_parent: None,
        buffer: vec![0; BUFFER],
    };
    let mut entries = archive.entries().map_err(LayerError::Read)?;
    loop {
        meter.left.set(HEADER_LIMIT);
        let next = entries.next();
        meter.left.set(u64::MAX);
        let Some(entry) = next else { break };
        let done = entry.map_err(LayerError::Read).and_then(|mut e| layer.entry(&mut e));
        done.map_err(|e| meter.explain(e))?;
    }
    // The tar crate takes the end of the stream for the end of the archive.
    let whole = !meter.ended.get();
    meter.left.set(limits.content);
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(|e| meter.explain_rest(e, limits))?;
    Ok(LayerTable {
        diff_id: digest(meter.hash.take()),
        size: meter.read.get(),
        whole,
        entries: layer.entries,
        hidden: layer.hidden,
        opaque: layer.opaque,
        wanted: layer.stored,
    })
}

struct LayerReader<'a> {
    limits: &'a Limits,
    wanted: &'a Wanted,
    entries: BTreeMap<String, LayerEntry>,
    hidden: BTreeSet<String>,
    opaque: BTreeSet<String>,
    stored: BTreeMap<String, Vec<u8>>,
    used: &'a mut Used,
    inodes: u32,
    /// The last parent directory that was verified, without a symlink on its path: the next entry is usually in it,
    /// too.
    plain_parent: Option<String>,
    buffer: Vec<u8>,
}

impl LayerReader<'_> {
    fn entry<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>) -> Result<(), LayerError> {
        let target = entry.link_name_bytes().map(|t| t.into_owned()).unwrap_or_default();
        let raw = entry.path_bytes().into_owned();
        self.count(&raw, &target, entry.size())?;
        let path = match name::parse(&raw)? {
            Name::Bookkeeping => return Ok(()),
            Name::Path(path) if path.is_empty() => return Ok(()),
            Name::Hidden(path) => {
                let path = self.place(path)?;
                self.hidden.insert(path);
                return Ok(());
            }
            Name::Opaque(path) => {
                let path = self.place(name::joined(&path, "x"))?;
                self.opaque.insert(parent(&path).unwrap_or_default().to_owned());
                return Ok(());
            }
            Name::Path(path) => self.place(path)?,
        };
        let kind = entry.header().entry_type();
        let file = if kind.is_hard_link() {
            return self.link(path, &target);
        } else if kind.is_dir() {
            FileKind::Directory
        } else if kind.is_symlink() {
            let target = text(&target);
            LayerError::bounded("bytes in one name", target.len() as u64, 4 * 4096)?;
            FileKind::Symlink { target }
        } else if kind.is_character_special() || kind.is_block_special() {
            let number = |n: io::Result<Option<u32>>| n.map(Option::unwrap_or_default).map_err(LayerError::Read);
            FileKind::Device {
                major: number(entry.header().device_major())?,
                minor: number(entry.header().device_minor())?,
            }
        } else if kind.is_fifo() {
            FileKind::Fifo
        } else if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() {
            self.content(entry, &path)?
        } else {
            // Global headers and the like are no part of a filesystem.
            return Ok(());
        };
        let file = attributes(entry, &path, file)?;
        self.insert(path, LayerEntry { file, inode: None });
        Ok(())
    }

    fn count(&mut self, name: &[u8], target: &[u8], size: u64) -> Result<(), LayerError> {
        let (used, limits) = (&mut *self.used, self.limits);
        used.entries += 1;
        used.names += name.len() + target.len();
        // A sparse file may claim any size, and reading it costs as much as it claims.
        used.content = used.content.saturating_add(size);
        LayerError::bounded("entries", used.entries as u64, limits.entries as u64)?;
        LayerError::bounded("bytes of names", used.names as u64, limits.names as u64)?;
        LayerError::bounded("bytes of content", used.content, limits.content)
    }

    /// Where an entry is really unpacked to: symlinks of this layer on its path are followed, never out of the root.
    fn place(&mut self, path: String) -> Result<String, LayerError> {
        let Some(above) = parent(&path) else { return Ok(path) };
        if self.plain_parent.as_deref() == Some(above) {
            return Ok(path);
        }
        let target = |p: &str| match &self.entries.get(p)?.file.kind {
            FileKind::Symlink { target } => Some(target.as_str()),
            FileKind::File { .. }
            | FileKind::Directory
            | FileKind::Hardlink { .. }
            | FileKind::Device { .. }
            | FileKind::Fifo => None,
        };
        let Some(placed) = links::resolve(&path, false, target) else {
            return Err(LayerError::Loop { path });
        };
        LayerError::bounded("bytes in one name", placed.len() as u64, 4 * 4096)?;
        let mut above = parent(&placed);
        self.plain_parent = above.map(ToOwned::to_owned);
        while let Some(directory) = above {
            let found = self.entries.get(directory);
            if found.is_some_and(|entry| entry.file.kind != FileKind::Directory) {
                self.plain_parent = None;
                return Err(LayerError::Parent { path: placed });
            }
            above = parent(directory);
        }
        Ok(placed)
    }

    fn insert(&mut self, path: String, entry: LayerEntry) {
        if entry.file.kind != FileKind::Directory {
            // If the path was a directory, this layer's entries below it are removed, too.
            if remove_below(&mut self.entries, &path) > 0 {
                remove_below(&mut self.stored, &path);
            }
            self.plain_parent = None;
        }
        if !matches!(entry.file.kind, FileKind::File { .. }) {
            self.stored.remove(&path);
        }
        self.entries.insert(path, entry);
    }

    /// A hard link to a file of this layer becomes a copy of its entry. A link to a file of a lower layer stays
    /// unresolved here, since the lower layers are not known.
    fn link(&mut self, path: String, target: &[u8]) -> Result<(), LayerError> {
        let target = self.place(normalised(target)?)?;
        let Some(found) = self.entries.get_mut(&target) else {
            let file = FileEntry {
                kind: FileKind::Hardlink { target },
                mode: 0,
                uid: 0,
                gid: 0,
                capability: None,
            };
            self.insert(path, LayerEntry { file, inode: None });
            return Ok(());
        };
        if found.file.kind == FileKind::Directory {
            return Err(LayerError::Link { path, target });
        }
        if found.inode.is_none() {
            self.inodes += 1;
            found.inode = NonZeroU32::new(self.inodes);
        }
        let entry = found.clone();
        let linked = self
            .stored
            .get(&target)
            .filter(|_| self.wanted.contains(&path))
            .cloned();
        self.insert(path.clone(), entry);
        if let Some(bytes) = linked {
            self.store(path, bytes)?;
        }
        Ok(())
    }

    fn content<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>, path: &str) -> Result<FileKind, LayerError> {
        let is_wanted = self.wanted.contains(path);
        if is_wanted || path == SHADOW {
            let room = self.limits.stored.saturating_sub(self.used.stored) as u64;
            let mut bytes = Vec::new();
            entry.take(room + 1).read_to_end(&mut bytes).map_err(LayerError::Read)?;
            if path == SHADOW {
                bytes = without_days(&bytes);
            }
            let kind = FileKind::File {
                sha256: FileHash(Sha256::digest(&bytes).into()),
                size: bytes.len() as u64,
            };
            self.store(path.to_owned(), bytes)?;
            if !is_wanted {
                self.stored.remove(path);
            }
            return Ok(kind);
        }
        self.stored.remove(path);
        let mut hash = Sha256::new();
        let mut size = 0;
        loop {
            match entry.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(n) => {
                    hash.update(&self.buffer[..n]);
                    size += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(LayerError::Read(e)),
            }
        }
        let sha256 = FileHash(hash.finalize().into());
        Ok(FileKind::File { sha256, size })
    }

    fn store(&mut self, path: String, bytes: Vec<u8>) -> Result<(), LayerError> {
        self.used.stored += bytes.len();
        let (used, limit) = (self.used.stored as u64, self.limits.stored as u64);
        LayerError::bounded("bytes of package databases", used, limit)?;
        self.stored.insert(path, bytes);
        Ok(())
    }
}

fn attributes<R: Read>(entry: &mut tar::Entry<'_, R>, path: &str, kind: FileKind) -> Result<FileEntry, LayerError> {
    let mut capability = None;
    if let Some(extensions) = entry.pax_extensions().map_err(LayerError::Read)? {
        for extension in extensions {
            let extension = extension.map_err(LayerError::Read)?;
            let key = extension.key_bytes();
            if key == b"SCHILY.xattr.security.capability" {
                capability = Some(hex(extension.value_bytes()));
            } else if key.starts_with(b"GNU.sparse.") {
                return Err(LayerError::Sparse { path: path.to_owned() });
            }
        }
    }
    let header = entry.header();
    let mode = match kind {
        // Linux gives links no other (symlink(7)), whatever an archive says.
        FileKind::Symlink { .. } => 0o777,
        FileKind::File { .. }
        | FileKind::Directory
        | FileKind::Hardlink { .. }
        | FileKind::Device { .. }
        | FileKind::Fifo => header.mode().map_err(LayerError::Read)? & 0o7777,
    };
    Ok(FileEntry {
        kind,
        mode,
        uid: header.uid().map_err(LayerError::Read)?,
        gid: header.gid().map_err(LayerError::Read)?,
        capability,
    })
}

/// Counts what is read while a header is parsed, remembers how reading ended, and hashes all of it.
#[derive(Default)]
struct Meter {
    left: Cell<u64>,
    read: Cell<u64>,
    exceeded: Cell<bool>,
    ended: Cell<bool>,
    hash: RefCell<Sha256>,
}

impl Meter {
    fn explain(&self, error: LayerError) -> LayerError {
        if !matches!(error, LayerError::Read(_)) {
            error
        } else if self.exceeded.get() {
            LayerError::TooMuch {
                of: "bytes in one header",
                limit: HEADER_LIMIT,
            }
        } else if self.ended.get() {
            LayerError::Truncated
        } else {
            error
        }
    }

    fn explain_rest(&self, error: io::Error, limits: &Limits) -> LayerError {
        if self.exceeded.get() {
            return LayerError::TooMuch {
                of: "bytes after its end",
                limit: limits.content,
            };
        }
        LayerError::Read(error)
    }
}

struct Metered<R> {
    inner: R,
    meter: Rc<Meter>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let meter = &self.meter;
        let left = meter.left.get();
        if left == 0 {
            meter.exceeded.set(true);
            return Err(io::Error::other("header too large"));
        }
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let n = self.inner.read(&mut buffer[..room])?;
        meter.hash.borrow_mut().update(&buffer[..n]);
        meter.ended.set(n == 0);
        meter.read.set(meter.read.get() + n as u64);
        meter.left.set(left - n as u64);
        Ok(n)
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
