//! A folder for sockets and keys.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Only we can look inside; it goes with its owner.
#[derive(Debug)]
pub(super) struct Dir(PathBuf);

impl Dir {
    pub(super) fn new() -> std::io::Result<Self> {
        // Short: the path of a socket has 108 bytes.
        let path = std::env::temp_dir().join(format!("lt-{}", ulid::Ulid::generate()));
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.0.join("s")
    }

    /// ssh reads keys only from files, and only from private ones: mounted secrets are often readable by all.
    pub(super) fn write_key(&self, key: &str) -> std::io::Result<PathBuf> {
        let path = self.0.join("key");
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        // ssh refuses a key without its last line break.
        file.write_all(key.trim_end().as_bytes())?;
        file.write_all(b"\n")?;
        Ok(path)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // Already gone, or of no use to anyone.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
