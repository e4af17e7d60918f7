//! A root filesystem's tar stream (`docker export`) to a normalised file table, and to an inventory.

use super::error::ParseError;
use super::hash::{finish, hex};
use super::noise::{SHADOW, is_noise, is_noise_link, without_days};
use super::{apk, dpkg, os_release};
use crate::model::image::{ImageId, Platform};
use crate::model::inventory::{FileEntry, FileKind, ImageConfig, Inventory, Package};
use sha2::{Digest, Sha256};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::rc::Rc;

/// What an archive may cost. An image is made by others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub entries: usize,
    /// Bytes of all file contents, as unpacked.
    pub content: u64,
    /// Bytes of all names and link targets: what the table costs in memory.
    pub names: usize,
    /// Bytes of the databases that are kept for reading.
    pub kept: usize,
}

impl Default for Limits {
    /// Far above real images (a full desktop has half a million files), far below what hurts.
    fn default() -> Self {
        Self {
            entries: 4_000_000,
            content: 256 << 30,
            names: 512 << 20,
            kept: 64 << 20,
        }
    }
}

/// One header with its long names and extended attributes. Linux allows 4 KiB of path and 64 KiB of attributes.
const HEADER_LIMIT: u64 = 1 << 20;

/// A root filesystem: the table of its files, and the bytes of its package databases.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree {
    /// Path (without leading slash) → entry; noise left out.
    pub files: BTreeMap<String, FileEntry>,
    kept: BTreeMap<String, Vec<u8>>,
}

#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    #[error("the archive ends too early")]
    Truncated,
    #[error("the archive cannot be read")]
    Read(#[source] io::Error),
    #[error("the archive has the name {name:?}, which leaves its root")]
    Name { name: String },
    #[error("the archive has more than {limit} {of}")]
    TooMuch { of: &'static str, limit: u64 },
}

/// Reads the whole stream. Memory is bounded by the limits, never by what the archive claims.
///
/// # Errors
/// `Truncated` without the archive's end mark; `Name`, `TooMuch` for a hostile one; `Read` for anything malformed and
/// for the reader's own errors.
pub fn read(tar: impl Read, limits: &Limits) -> Result<Tree, TreeError> {
    let meter = Meter::default();
    let mut archive = tar::Archive::new(Metered {
        inner: tar,
        meter: meter.clone(),
    });
    let mut reading = Reading {
        limits,
        tree: Tree::default(),
        entries: 0,
        content: 0,
        names: 0,
        kept: 0,
    };
    let mut entries = archive.entries().map_err(TreeError::Read)?;
    loop {
        meter.left.set(HEADER_LIMIT);
        let next = entries.next();
        meter.left.set(u64::MAX);
        match next {
            // The tar crate takes the end of the stream for the end of the archive.
            None if meter.ended.get() => return Err(TreeError::Truncated),
            None => return Ok(reading.tree),
            Some(entry) => {
                let done = entry.map_err(TreeError::Read).and_then(|mut e| reading.entry(&mut e));
                done.map_err(|e| meter.explain(e))?;
            }
        }
    }
}

/// The inventory of an image, from its files and its config.
///
/// # Errors
/// When a package database is damaged: an inventory without it would call every package removed.
pub fn inventory(
    tree: Tree,
    image: ImageId,
    platform: Platform,
    mut config: ImageConfig,
) -> Result<Inventory, ParseError> {
    config.labels.retain(|key, _| !is_circumstance(key));
    let os = ["etc/os-release", "usr/lib/os-release"]
        .iter()
        .find_map(|path| tree.kept.get(*path))
        .map(|text| os_release::parse(text));
    Ok(Inventory {
        image,
        platform,
        os,
        packages: packages(&tree.kept)?,
        config,
        files: tree.files,
    })
}

fn packages(kept: &BTreeMap<String, Vec<u8>>) -> Result<Vec<Package>, ParseError> {
    let mut packages = Vec::new();
    for (path, bytes) in kept {
        let found = if path.starts_with("var/lib/dpkg/") {
            dpkg::parse(bytes)
        } else if path.ends_with("apk/db/installed") {
            apk::parse(bytes)
        } else {
            continue;
        };
        packages.extend(found.map_err(|e| e.at(path))?);
    }
    packages.sort();
    packages.dedup();
    Ok(packages)
}

/// Labels that say when, from which commit and by which run an image was made, not what it does.
fn is_circumstance(label: &str) -> bool {
    const OCI: &[&str] = &["created", "revision", "version", "base.digest", "ref.name"];
    const LABEL_SCHEMA: &[&str] = &["build-date", "vcs-ref", "version"];
    label
        .strip_prefix("org.opencontainers.image.")
        .is_some_and(|key| OCI.contains(&key))
        || label
            .strip_prefix("org.label-schema.")
            .is_some_and(|key| LABEL_SCHEMA.contains(&key))
        || label.starts_with("io.lowtide.")
}

fn is_kept(path: &str) -> bool {
    const PATHS: &[&str] = &[
        "var/lib/dpkg/status",
        "lib/apk/db/installed",
        "usr/lib/apk/db/installed",
        "etc/os-release",
        "usr/lib/os-release",
    ];
    // Distroless images put checksums beside each package's file.
    let distroless = |name: &str| !name.contains('/') && !name.ends_with(".md5sums");
    PATHS.contains(&path) || path.strip_prefix("var/lib/dpkg/status.d/").is_some_and(distroless)
}

struct Reading<'a> {
    limits: &'a Limits,
    tree: Tree,
    entries: usize,
    content: u64,
    names: usize,
    kept: usize,
}

impl Reading<'_> {
    fn entry<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>) -> Result<(), TreeError> {
        self.entries += 1;
        let target = entry.link_name_bytes().map(|t| text(&t)).unwrap_or_default();
        let raw = entry.path_bytes().into_owned();
        self.names += raw.len() + target.len();
        bounded("entries", self.entries as u64, self.limits.entries as u64)?;
        bounded("bytes of names", self.names as u64, self.limits.names as u64)?;
        // A sparse file may claim any size; what it claims is what reading it would cost.
        self.content = self.content.saturating_add(entry.size());
        bounded("bytes of content", self.content, self.limits.content)?;

        let path = normalised(&raw)?;
        let (noise, keep) = (is_noise(&path) || is_noise_link(&path, &target), is_kept(&path));
        if path.is_empty() || (noise && !keep) {
            io::copy(entry, &mut io::sink()).map_err(TreeError::Read)?;
            return Ok(());
        }
        let Some(kind) = self.kind(entry, &path, target, keep)? else {
            return Ok(());
        };
        if !noise {
            let file = self.file(entry, kind)?;
            self.tree.files.insert(path, file);
        }
        Ok(())
    }

    /// `None` for what is not part of a filesystem (global headers and the like).
    fn kind<R: Read>(
        &mut self,
        entry: &mut tar::Entry<'_, R>,
        path: &str,
        target: String,
        keep: bool,
    ) -> Result<Option<FileKind>, TreeError> {
        let kind = entry.header().entry_type();
        Ok(Some(if kind.is_dir() {
            FileKind::Directory
        } else if kind.is_symlink() {
            FileKind::Symlink { target }
        } else if kind.is_hard_link() {
            FileKind::Hardlink {
                target: normalised(target.as_bytes())?,
            }
        } else if kind.is_character_special() || kind.is_block_special() {
            let number = |n: io::Result<Option<u32>>| n.map(Option::unwrap_or_default).map_err(TreeError::Read);
            FileKind::Device {
                major: number(entry.header().device_major())?,
                minor: number(entry.header().device_minor())?,
            }
        } else if kind.is_fifo() {
            FileKind::Fifo
        } else if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() {
            self.content(entry, path, keep)?
        } else {
            io::copy(entry, &mut io::sink()).map_err(TreeError::Read)?;
            return Ok(None);
        }))
    }

    fn content<R: Read>(
        &mut self,
        entry: &mut tar::Entry<'_, R>,
        path: &str,
        keep: bool,
    ) -> Result<FileKind, TreeError> {
        if keep || path == SHADOW {
            let room = (self.limits.kept - self.kept) as u64;
            let mut bytes = Vec::new();
            entry.take(room + 1).read_to_end(&mut bytes).map_err(TreeError::Read)?;
            self.kept += bytes.len();
            bounded("bytes of package databases", self.kept as u64, self.limits.kept as u64)?;
            if path == SHADOW {
                bytes = without_days(&bytes);
            }
            let kind = FileKind::File {
                sha256: hex(&Sha256::digest(&bytes)),
                size: bytes.len() as u64,
            };
            if keep {
                self.tree.kept.insert(path.to_owned(), bytes);
            }
            return Ok(kind);
        }
        let mut hash = Sha256::new();
        let mut size = 0;
        let mut buffer = [0; 64 << 10];
        loop {
            match entry.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => {
                    hash.update(&buffer[..n]);
                    size += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(TreeError::Read(e)),
            }
        }
        Ok(FileKind::File {
            sha256: finish(hash),
            size,
        })
    }

    fn file<R: Read>(&self, entry: &mut tar::Entry<'_, R>, kind: FileKind) -> Result<FileEntry, TreeError> {
        let mut capability = None;
        if let Some(extensions) = entry.pax_extensions().map_err(TreeError::Read)? {
            for extension in extensions {
                let extension = extension.map_err(TreeError::Read)?;
                if extension.key_bytes() == b"SCHILY.xattr.security.capability" {
                    capability = Some(hex(extension.value_bytes()));
                }
            }
        }
        let header = entry.header();
        Ok(FileEntry {
            kind,
            mode: header.mode().map_err(TreeError::Read)? & 0o7777,
            uid: header.uid().map_err(TreeError::Read)?,
            gid: header.gid().map_err(TreeError::Read)?,
            capability,
        })
    }
}

fn bounded(of: &'static str, value: u64, limit: u64) -> Result<(), TreeError> {
    if value > limit {
        Err(TreeError::TooMuch { of, limit })
    } else {
        Ok(())
    }
}

/// Without `./`, leading and trailing slashes; empty for the root itself.
fn normalised(name: &[u8]) -> Result<String, TreeError> {
    let name = text(name);
    let parts: Vec<&str> = name
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    if parts.contains(&"..") || name.contains('\0') {
        return Err(TreeError::Name { name });
    }
    Ok(parts.join("/"))
}

/// Names are bytes on Linux; those that are not UTF-8 are shown with `\xNN`, so that two of them stay two.
fn text(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|b| format!("\\x{b:02x}")));
    }
    text
}

/// Counts what is read while a header is parsed, and remembers how reading ended.
#[derive(Clone, Default)]
struct Meter {
    left: Rc<Cell<u64>>,
    exceeded: Rc<Cell<bool>>,
    ended: Rc<Cell<bool>>,
}

impl Meter {
    fn explain(&self, error: TreeError) -> TreeError {
        match error {
            TreeError::Read(_) if self.exceeded.get() => TreeError::TooMuch {
                of: "bytes in one header",
                limit: HEADER_LIMIT,
            },
            TreeError::Read(_) if self.ended.get() => TreeError::Truncated,
            e @ (TreeError::Read(_) | TreeError::Truncated | TreeError::Name { .. } | TreeError::TooMuch { .. }) => e,
        }
    }
}

struct Metered<R> {
    inner: R,
    meter: Meter,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let left = self.meter.left.get();
        if left == 0 {
            self.meter.exceeded.set(true);
            return Err(io::Error::other("header too large"));
        }
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let n = self.inner.read(&mut buffer[..room])?;
        self.meter.ended.set(n == 0);
        self.meter.left.set(left - n as u64);
        Ok(n)
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
