//! The keys that an image trusts: `/etc/apt/trusted.gpg`, `trusted.gpg.d`, and what `Signed-By` names or holds
//! (apt-secure(8), sources.list(5)).

use super::armor;
use super::error::KeyringError;
use crate::hash;
use pgp::composed::{Deserializable, SignedPublicKey};

/// Debian's whole archive keyring has 56 kB; a keyring of this size is none.
const MAX_BYTES: usize = 8 << 20;
const MAX_KEYS: usize = 1000;

/// The public keys of one file.
#[derive(Clone)]
pub struct Keyring {
    name: String,
    content: String,
    pub(super) keys: Vec<SignedPublicKey>,
}

impl Keyring {
    /// Reads exported keys, binary or armored. `name`: the file's path in the image, or where the inline key stood.
    /// A key that cannot be read is left out, as GnuPG does; the others still count.
    ///
    /// # Errors
    /// See [`KeyringError`].
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, KeyringError> {
        let name = name.to_owned();
        if bytes.len() > MAX_BYTES {
            return Err(KeyringError::TooLarge { name, limit: MAX_BYTES });
        }
        // The first blob of a keybox: length, type, version, flags, then this.
        if bytes.get(8..12) == Some(b"KBXf") {
            return Err(KeyringError::Keybox { name });
        }
        let binary = match armor::blocks(bytes, "PGP PUBLIC KEY BLOCK") {
            Some(blocks) if blocks.is_empty() => vec![bytes.to_vec()],
            Some(blocks) => blocks,
            None => return Err(KeyringError::Empty { name }),
        };
        let mut keys = Vec::new();
        for part in &binary {
            let Ok(found) = SignedPublicKey::from_bytes_many(part.as_slice()) else {
                continue;
            };
            // One damaged packet yields one error each; a file of nothing else is no keyring.
            for key in found.take(2 * MAX_KEYS).flatten() {
                if keys.len() == MAX_KEYS {
                    return Err(KeyringError::TooMany { name, limit: MAX_KEYS });
                }
                keys.push(key);
            }
        }
        if keys.is_empty() {
            return Err(KeyringError::Empty { name });
        }
        Ok(Self {
            name,
            content: hash::of(bytes),
            keys,
        })
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Hex sha256 of the file: keyrings of two images with the same content are the same keyring.
    #[must_use]
    pub fn content(&self) -> &str {
        &self.content
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keyring({}, {} keys)", self.name, self.keys.len())
    }
}
