//! Sealed files: raw inspect bodies hold secrets, so they are stored encrypted (ChaCha20-Poly1305, RFC 8439), 0600,
//! with a key file of their own. The journal knows only their hash.

use super::error::StoreError;
use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// Sealed files of one state directory.
#[derive(Clone)]
pub struct Sealed {
    directory: PathBuf,
    cipher: ChaCha20Poly1305,
    /// Keeping and sweeping take turns.
    turn: Arc<Mutex<()>>,
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealed({})", self.directory.display())
    }
}

impl Sealed {
    /// Opens the directory, making the key on first use.
    ///
    /// # Errors
    /// `File` when key or directory cannot be read or made.
    pub fn open(state: &Path) -> Result<Self, StoreError> {
        let directory = state.join("sealed");
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(at(&directory))?;
        let path = state.join("seal.key");
        let key = match std::fs::read(&path) {
            Ok(bytes) if bytes.len() == 32 => bytes,
            Ok(_) => {
                return Err(StoreError::Seal {
                    name: "seal.key".to_owned(),
                });
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let key = random::<32>()?;
                // Aside and renamed: half a key would keep lowtide from ever starting again.
                let aside = state.join("seal.key.new");
                let _ = std::fs::remove_file(&aside);
                write_new(&aside, &key)?;
                std::fs::rename(&aside, &path).map_err(at(&path))?;
                key.to_vec()
            }
            Err(e) => return Err(at(&path)(e)),
        };
        let key = Key::try_from(key.as_slice()).map_err(|_| StoreError::Seal {
            name: "seal.key".to_owned(),
        })?;
        Ok(Self {
            directory,
            cipher: ChaCha20Poly1305::new(&key),
            turn: Arc::default(),
        })
    }

    /// Stores `plain`; returns the hex sha256 it is found by. The same bytes twice are one file.
    ///
    /// # Errors
    /// `File` when it cannot be written.
    pub fn store(&self, plain: &[u8]) -> Result<String, StoreError> {
        let name = hex(&Sha256::digest(plain));
        let path = self.directory.join(&name);
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(file) = OpenOptions::new().append(true).open(&path) {
            // As new: the journal names it only after this, and a sweep in between must not take it.
            file.set_modified(SystemTime::now()).map_err(at(&path))?;
            return Ok(name);
        }
        let nonce_bytes = random::<12>()?;
        let nonce = Nonce::from(nonce_bytes);
        let sealed = self
            .cipher
            .encrypt(&nonce, plain)
            .map_err(|_| StoreError::Seal { name: name.clone() })?;
        let mut bytes = nonce_bytes.to_vec();
        bytes.extend(sealed);
        // Written aside and renamed: a kill in between leaves no half file under the name the journal will hold.
        let aside = self.directory.join(format!("{name}.{}", std::process::id()));
        let _ = std::fs::remove_file(&aside);
        write_new(&aside, &bytes)?;
        std::fs::rename(&aside, &path).map_err(at(&path))?;
        Ok(name)
    }

    /// # Errors
    /// `File` when it is missing, `Seal` when it was changed or the key is another.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        let path = self.directory.join(name);
        let bytes = std::fs::read(&path).map_err(at(&path))?;
        let broken = || StoreError::Seal { name: name.to_owned() };
        let (nonce, sealed) = bytes.split_at_checked(12).ok_or_else(broken)?;
        let nonce = Nonce::try_from(nonce).map_err(|_| broken())?;
        let plain = self.cipher.decrypt(&nonce, sealed).map_err(|_| broken())?;
        if hex(&Sha256::digest(&plain)) == name {
            Ok(plain)
        } else {
            Err(broken())
        }
    }
}

impl Sealed {
    /// Removes files that are not in `spoken_of` and were last stored before `before`. Returns the number of files.
    ///
    /// # Errors
    /// `File` when the directory cannot be read; a file that cannot be removed stays for the next time.
    pub fn sweep(&self, spoken_of: &BTreeSet<String>, before: SystemTime) -> Result<usize, StoreError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = std::fs::read_dir(&self.directory).map_err(at(&self.directory))?;
        let gone = entries.flatten().filter(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let modified = entry.metadata().and_then(|of| of.modified());
            !spoken_of.contains(&name)
                && modified.is_ok_and(|modified| modified < before)
                && std::fs::remove_file(entry.path()).is_ok()
        });
        Ok(gone.count())
    }
}

fn at(path: &Path) -> impl Fn(std::io::Error) -> StoreError + use<> {
    let path = path.display().to_string();
    move |source| StoreError::File {
        path: path.clone(),
        source,
    }
}

fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let path = Path::new("/dev/urandom");
    let mut bytes = [0; N];
    std::fs::File::open(path)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(at(path))?;
    Ok(bytes)
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(at(path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(at(path))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_read_back_and_not_in_clear() {
        let state = tempfile::tempdir().unwrap();
        let sealed = Sealed::open(state.path()).unwrap();
        let name = sealed.store(b"PASSWORD=canary").unwrap();
        let again = Sealed::open(state.path()).unwrap();
        assert_eq!(again.read(&name).unwrap(), b"PASSWORD=canary");
        let raw = std::fs::read(state.path().join("sealed").join(&name)).unwrap();
        assert!(!raw.windows(6).any(|w| w == b"canary"));
    }

    #[test]
    fn a_changed_file_is_refused() {
        let state = tempfile::tempdir().unwrap();
        let sealed = Sealed::open(state.path()).unwrap();
        let name = sealed.store(b"x").unwrap();
        let path = state.path().join("sealed").join(&name);
        let mut raw = std::fs::read(&path).unwrap();
        *raw.last_mut().unwrap() ^= 1;
        std::fs::write(&path, raw).unwrap();
        assert!(matches!(sealed.read(&name), Err(StoreError::Seal { .. })));
    }

    #[test]
    fn a_sweep_takes_what_is_old_and_not_spoken_of() {
        let state = tempfile::tempdir().unwrap();
        let sealed = Sealed::open(state.path()).unwrap();
        let [old, spoken_of, renewed] = [b"old", b"spk", b"new"].map(|plain| sealed.store(plain).unwrap());
        let long_ago = SystemTime::UNIX_EPOCH;
        for name in [&old, &spoken_of, &renewed] {
            let path = state.path().join("sealed").join(name);
            let file = OpenOptions::new().append(true).open(path).unwrap();
            file.set_modified(long_ago).unwrap();
        }
        sealed.store(b"new").unwrap();
        let yesterday = SystemTime::now() - std::time::Duration::from_secs(86_400);
        assert_eq!(
            sealed.sweep(&BTreeSet::from([spoken_of.clone()]), yesterday).unwrap(),
            1
        );
        assert!(sealed.read(&old).is_err());
        assert_eq!(sealed.read(&spoken_of).unwrap(), b"spk");
        assert_eq!(sealed.read(&renewed).unwrap(), b"new");
    }
}
