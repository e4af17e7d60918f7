//! Cached package repository indexes: files of the state directory under `archives/`, with a limit on their total size.
//! Only a cache: a missing or damaged file is fetched again, so no failure here is an error.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// A file's time of last use is written at most this often: reading should not mean writing.
const USED: Duration = Duration::from_hours(1);
/// Something that was begun and never renamed belongs to nobody after this long.
const ABANDONED: Duration = Duration::from_hours(1);

/// Names → bytes. What the bytes are, and whether they are whole, only their owner can tell.
#[derive(Debug, Clone)]
pub struct ArchiveCache {
    directory: PathBuf,
    /// In bytes, of all files together.
    limit: u64,
    /// Writing and clearing take turns.
    turn: Arc<Mutex<()>>,
}

/// Debian's main archive for one architecture takes 25 MB in its compact form; this is room for some twenty suites.
const LIMIT: u64 = 512 << 20;

impl ArchiveCache {
    /// With the usual bound.
    #[must_use]
    pub fn of(state: &Path) -> Self {
        Self::new(state, LIMIT)
    }

    /// `state`: the state directory. Nothing is made before the first write.
    #[must_use]
    pub fn new(state: &Path, limit: u64) -> Self {
        Self {
            directory: state.join("archives"),
            limit,
            turn: Arc::default(),
        }
    }

    /// What was stored under `name`, if it still is, and marks it as used.
    #[must_use]
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        let path = self.path(name)?;
        let bytes = std::fs::read(&path).ok()?;
        let used = std::fs::metadata(&path).and_then(|of| of.modified());
        let long_ago = used.is_ok_and(|used| used.elapsed().is_ok_and(|since| since > USED));
        if long_ago && let Ok(file) = OpenOptions::new().append(true).open(&path) {
            // Without the mark it may be cleared away early, no more.
            let _ = file.set_modified(SystemTime::now());
        }
        Some(bytes)
    }

    /// Stores `bytes` under `name`; then the least recently used go until everything fits. False: it was not stored (no
    /// space, no right, larger than the limit), which costs the next reader a fetch.
    pub fn write(&self, name: &str, bytes: &[u8]) -> bool {
        let Some(path) = self.path(name) else { return false };
        if bytes.len() as u64 > self.limit {
            return false;
        }
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let aside = self.directory.join(format!("{name}.{}.new", std::process::id()));
        let done = self.write_aside(&aside, bytes).and_then(|()| {
            // Renamed when complete: a kill in between leaves the old content or the new one.
            std::fs::rename(&aside, &path)
        });
        if done.is_err() {
            let _ = std::fs::remove_file(&aside);
            return false;
        }
        self.clear(name);
        true
    }

    /// Forgets one file, because it turned out to be damaged.
    pub fn remove(&self, name: &str) {
        if let Some(path) = self.path(name) {
            let _ = std::fs::remove_file(path);
        }
    }

    fn write_aside(&self, aside: &Path, bytes: &[u8]) -> std::io::Result<()> {
        let mut folder = std::fs::DirBuilder::new();
        folder.recursive(true).mode(0o700).create(&self.directory)?;
        let _ = std::fs::remove_file(aside);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(aside)?;
        // Not synced: after a crash of the machine a damaged file is noticed and fetched anew.
        file.write_all(bytes)
    }

    /// Removes the least recently used until the limit holds, but never `spared`.
    fn clear(&self, spared: &str) {
        let Ok(entries) = std::fs::read_dir(&self.directory) else {
            return;
        };
        let mut total = 0;
        let mut oldest_first = BTreeSet::new();
        for entry in entries.flatten() {
            let Ok(of) = entry.metadata() else { continue };
            let used = of.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".new") {
                if used.elapsed().is_ok_and(|since| since > ABANDONED) {
                    let _ = std::fs::remove_file(entry.path());
                }
                continue;
            }
            total += of.len();
            if name != spared {
                oldest_first.insert((used, entry.path(), of.len()));
            }
        }
        for (_, path, size) in oldest_first {
            if total <= self.limit {
                break;
            }
            if std::fs::remove_file(path).is_ok() {
                total -= size;
            }
        }
    }

    /// Only plain names: they are made of hashes, and a slash in one would be a mistake of ours.
    fn path(&self, name: &str) -> Option<PathBuf> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        (!name.is_empty() && name.chars().all(plain)).then(|| self.directory.join(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(limit: u64) -> (tempfile::TempDir, ArchiveCache) {
        let state = tempfile::tempdir().unwrap();
        let cache = ArchiveCache::new(state.path(), limit);
        (state, cache)
    }

    fn last_used(cache: &ArchiveCache, name: &str, at: u64) {
        let file = OpenOptions::new()
            .append(true)
            .open(cache.directory.join(name))
            .unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(at))
            .unwrap();
    }

    #[test]
    fn what_was_written_is_read_back_and_can_be_forgotten() {
        let (_state, cache) = cache(100);
        assert_eq!(cache.read("release-a"), None);
        assert!(cache.write("release-a", b"one"));
        assert!(cache.write("release-a", b"two"));
        assert_eq!(cache.read("release-a").unwrap(), b"two");
        cache.remove("release-a");
        assert_eq!(cache.read("release-a"), None);
        assert!(!cache.write("../a", b"one"));
        assert!(!cache.write("a", &[0; 101]));
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let (_state, cache) = cache(10);
        for (name, at) in [("a", 1000), ("b", 2000), ("c", 3000)] {
            assert!(cache.write(name, b"123"));
            last_used(&cache, name, at);
        }
        // Reading counts as using.
        assert!(cache.read("a").is_some());
        assert!(cache.write("d", b"1234"));
        let remaining = ["a", "b", "c", "d"].map(|name| cache.read(name).is_some());
        assert_eq!(remaining, [true, false, true, true]);
        assert!(cache.write("e", b"1234567890"));
        let remaining = ["a", "c", "d", "e"].map(|name| cache.read(name).is_some());
        assert_eq!(remaining, [false, false, false, true]);
    }

    #[test]
    fn what_was_begun_and_left_is_cleared_away() {
        let (_state, cache) = cache(10);
        assert!(cache.write("a", b"1"));
        for (name, at) in [("old.7.new", 1000), ("young.7.new", 0)] {
            std::fs::write(cache.directory.join(name), b"x").unwrap();
            if at > 0 {
                last_used(&cache, name, at);
            }
        }
        assert!(cache.write("b", b"1"));
        assert!(!cache.directory.join("old.7.new").exists());
        assert!(cache.directory.join("young.7.new").exists());
    }
}
