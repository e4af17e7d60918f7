//! Layer tables as files: bounded, and worth nothing. What is damaged or missing is made again.

use sha2::{Digest, Sha256};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A directory of tables, each behind the sha256 of its bytes.
#[derive(Debug, Clone)]
pub struct LayerCache {
    directory: PathBuf,
    limit: u64,
}

/// Bytes of all tables. A layer of Debian's has some 7,000 files and takes 500 kB.
const LIMIT: u64 = 256 << 20;
const HASH: usize = 32;

impl LayerCache {
    /// The directory is made with the first table.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            limit: LIMIT,
        }
    }

    /// With another bound, in bytes.
    #[must_use]
    pub fn with_limit(mut self, limit: u64) -> Self {
        self.limit = limit;
        self
    }

    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.directory.join(key).exists()
    }

    #[must_use]
    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        let path = self.directory.join(key);
        if fs::metadata(&path).ok()?.len() > self.limit {
            return None;
        }
        let mut bytes = fs::read(&path).ok()?;
        let body = bytes.split_off_checked(HASH)?;
        if bytes != Sha256::digest(&body).as_slice() {
            // Half a file of a machine that lost power; the next put makes it anew.
            let _ = fs::remove_file(&path);
            return None;
        }
        // Its time says when it was of use last; on a disk that is read only it stays as it is.
        let _ = fs::File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        Some(body)
    }

    /// Stores `body`, and removes what was not used for the longest time.
    ///
    /// # Errors
    /// As the directory cannot be written.
    pub fn put(&self, key: &str, body: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        // Two processes may write the same: each its own file, and the name goes to either.
        let part = self.directory.join(format!(".{}", ulid::Ulid::generate()));
        let written = write(&part, body).and_then(|()| fs::rename(&part, self.directory.join(key)));
        if written.is_err() {
            let _ = fs::remove_file(&part);
        }
        written?;
        self.prune()
    }

    fn prune(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            // It may be gone since: another process prunes as well.
            if let Ok(found) = entry.metadata() {
                files.push((found.modified()?, found.len(), entry.path()));
            }
        }
        files.sort();
        let mut size: u64 = files.iter().map(|(_, size, _)| size).sum();
        for (_, length, path) in files {
            if size <= self.limit {
                break;
            }
            match fs::remove_file(path) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
            size -= length;
        }
        Ok(())
    }
}

fn write(path: &Path, body: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    // An image may hold what is nobody else's business.
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(Sha256::digest(body).as_slice())?;
    file.write_all(body)
}

trait SplitOffChecked: Sized {
    fn split_off_checked(&mut self, at: usize) -> Option<Self>;
}

impl SplitOffChecked for Vec<u8> {
    fn split_off_checked(&mut self, at: usize) -> Option<Self> {
        (self.len() >= at).then(|| self.split_off(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_comes_back_unless_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let cache = LayerCache::new(dir.path().join("layers"));
        assert_eq!(cache.get("a"), None);
        cache.put("a", b"table").unwrap();
        cache.put("a", b"table").unwrap();
        assert_eq!(cache.get("a").unwrap(), b"table");
        assert!(cache.has("a"));
        let file = dir.path().join("layers/a");
        for damage in [&b"short"[..], &[0; 40]] {
            fs::write(&file, damage).unwrap();
            assert_eq!(cache.get("a"), None);
        }
        assert!(!cache.has("a"), "it is made anew");
    }

    #[test]
    fn what_was_not_used_goes_first() {
        let dir = tempfile::tempdir().unwrap();
        let cache = LayerCache::new(dir.path().to_owned()).with_limit(3 * (100 + HASH as u64));
        let day = |n: u64| SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(n * 86_400);
        for (n, key) in ["a", "b", "c"].into_iter().enumerate() {
            cache.put(key, &[7; 100]).unwrap();
            let file = fs::File::open(dir.path().join(key)).unwrap();
            file.set_modified(day(n as u64)).unwrap();
        }
        cache.get("a").unwrap();
        cache.put("d", &[7; 100]).unwrap();
        let there: Vec<bool> = ["a", "b", "c", "d"].map(|key| cache.has(key)).into();
        assert_eq!(there, [true, false, true, true]);
    }
}
