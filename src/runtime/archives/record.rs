//! The kept form of the file that a repository signs: its bytes as they came, so that they can be verified again by any
//! image's keys, and what lets us ask for news only.

use crate::clients::archive::fetch::Validators;
use jiff::Timestamp;
use lowtide_packages::openpgp::verify::{Signed, unverified};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// Raised whenever the meaning changes; what was kept in another form is fetched anew.
const FORM: u32 = 2;
/// How many sets of keys are remembered per file. Images of one distribution share theirs.
const KEYS: usize = 16;

/// What an archive published last, as far as we know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) signed: SignedFile,
    /// Of the signed file, and its signature where that is another; 64 hex digits.
    pub(crate) sha256: String,
    pub(crate) validators: Validators,
    /// Date of the newest one that was ever believed, by any image's keys.
    pub(crate) newest: Option<Timestamp>,
    /// Successful verifications of exactly these bytes.
    pub(crate) verified: Vec<Verified>,
}

/// One successful verification by one set of keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verified {
    /// The hash of [`lowtide_packages::openpgp::verify::Trust::identity`].
    keys: String,
    pub(crate) by: String,
    pub(crate) at: Option<Timestamp>,
    /// When it was verified. It does not hold for earlier times: with a clock set back, the signature may be from the future.
    since: Timestamp,
    /// When a key or the signature expires; `None`: never.
    pub(crate) until: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SignedFile {
    /// The signature is in it.
    Inline(Vec<u8>),
    /// The signature is another file, and may be missing.
    Detached {
        release: Vec<u8>,
        signature: Option<Vec<u8>>,
    },
}

#[derive(Serialize, Deserialize)]
struct Head {
    form: u32,
    /// Which archive it is of: names are hashes, and hashes have been confused before.
    base: String,
    validators: Validators,
    newest: Option<Timestamp>,
    verified: Vec<Verified>,
    /// Sizes of what follows: one file, or `Release` and its signature.
    sizes: Vec<usize>,
    inrelease: bool,
    sha256: String,
}

impl SignedFile {
    fn parts(&self) -> Vec<&[u8]> {
        match self {
            SignedFile::Inline(file) => vec![file],
            SignedFile::Detached { release, signature } => {
                std::iter::once(release).chain(signature).map(Vec::as_slice).collect()
            }
        }
    }

    /// The text without its signature, whether verified or not.
    pub(crate) fn text(&self) -> String {
        match self {
            SignedFile::Inline(file) => unverified(file),
            SignedFile::Detached { release, .. } => String::from_utf8_lossy(release).into_owned(),
        }
    }
}

impl Record {
    pub(crate) fn new(signed: SignedFile, validators: Validators) -> Self {
        Self {
            sha256: sha256(&signed.parts().concat()),
            signed,
            validators,
            newest: None,
            verified: Vec::new(),
        }
    }

    /// An earlier verification by these keys that still holds at `now`.
    pub(crate) fn verified_by(&self, keys: &str, now: Timestamp) -> Option<&Verified> {
        let keys = sha256(keys.as_bytes());
        let holds = |one: &&Verified| one.since <= now && one.until.is_none_or(|until| now < until);
        self.verified.iter().filter(|one| one.keys == keys).find(holds)
    }

    pub(crate) fn remember(&mut self, keys: &str, signed: &Signed, now: Timestamp) {
        let keys = sha256(keys.as_bytes());
        self.verified.retain(|one| one.keys != keys);
        let surplus = (self.verified.len() + 1).saturating_sub(KEYS);
        self.verified.drain(..surplus);
        self.verified.push(Verified {
            keys,
            by: signed.by.clone(),
            at: signed.at,
            since: now,
            until: signed.until,
        });
    }

    /// A line of JSON, then the bytes.
    pub(crate) fn to_bytes(&self, base: &str) -> Vec<u8> {
        let parts = self.signed.parts();
        let head = Head {
            form: FORM,
            base: base.to_owned(),
            validators: self.validators.clone(),
            newest: self.newest,
            verified: self.verified.clone(),
            sizes: parts.iter().map(|part| part.len()).collect(),
            inrelease: matches!(self.signed, SignedFile::Inline(_)),
            sha256: self.sha256.clone(),
        };
        // Strings, numbers and lists only: it cannot fail.
        let mut bytes = serde_json::to_vec(&head).unwrap_or_default();
        bytes.push(b'\n');
        bytes.extend(parts.concat());
        bytes
    }

    /// `None`: damaged, of another form or another archive. Then everything is fetched as if it had never been kept.
    pub(crate) fn from_bytes(bytes: &[u8], base: &str) -> Option<Self> {
        let end = bytes.iter().position(|b| *b == b'\n')?;
        let (head, rest) = (bytes.get(..end)?, bytes.get(end + 1..)?);
        let head: Head = serde_json::from_slice(head).ok()?;
        if head.form != FORM || head.base != base || head.sha256 != sha256(rest) {
            return None;
        }
        let signed = match (head.inrelease, head.sizes.as_slice()) {
            (true, [size]) if *size == rest.len() => SignedFile::Inline(rest.to_vec()),
            (false, [size]) if *size == rest.len() => SignedFile::Detached {
                release: rest.to_vec(),
                signature: None,
            },
            (false, [release, signature]) if release.checked_add(*signature) == Some(rest.len()) => {
                let (release, signature) = rest.split_at(*release);
                SignedFile::Detached {
                    release: release.to_vec(),
                    signature: Some(signature.to_vec()),
                }
            }
            _ => return None,
        };
        Some(Self {
            signed,
            sha256: head.sha256,
            validators: head.validators,
            newest: head.newest,
            verified: head.verified,
        })
    }
}

/// Under which name something of the archive at `base` is kept.
pub(crate) fn name(kind: &str, of: &str) -> String {
    format!("{kind}-{}", sha256(of.as_bytes()))
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "http://deb.example.org/debian/dists/stable/";

    #[test]
    fn a_good_signature_is_remembered_for_its_keys_as_long_as_it_holds() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let file = SignedFile::Inline(b"signed\n".to_vec());
        let mut record = Record::new(file, Validators::default());
        let signed = |by: &str, until| Signed {
            text: String::new(),
            by: by.to_owned(),
            at: None,
            until,
        };
        record.remember("a", &signed("A", Some(at(100))), at(10));
        record.remember("b", &signed("B", None), at(10));
        let by = |record: &Record, keys, now| record.verified_by(keys, at(now)).map(|known| known.by.clone());
        for (keys, now, expected) in [
            ("a", 10, Some("A")),
            ("a", 99, Some("A")),
            // A key that has expired since.
            ("a", 100, None),
            // A clock that went back: perhaps the signature is from the future.
            ("a", 9, None),
            ("b", 1000, Some("B")),
            ("c", 10, None),
        ] {
            assert_eq!(by(&record, keys, now).as_deref(), expected, "{keys} at {now}");
        }
        for more in 0..2 * KEYS {
            record.remember(&more.to_string(), &signed("C", None), at(10));
        }
        assert_eq!((record.verified.len(), by(&record, "a", 10)), (KEYS, None));
    }

    #[test]
    fn a_record_is_read_back_or_not_at_all() {
        let forms = [
            SignedFile::Inline(b"signed\n".to_vec()),
            SignedFile::Detached {
                release: b"text\n".to_vec(),
                signature: Some(b"by\n".to_vec()),
            },
            SignedFile::Detached {
                release: b"text\n".to_vec(),
                signature: None,
            },
        ];
        for signed in forms {
            let validators = Validators {
                etag: Some("\"a\"".to_owned()),
                modified: None,
            };
            let record = Record {
                newest: Some(Timestamp::UNIX_EPOCH),
                verified: vec![Verified {
                    keys: "a hash".to_owned(),
                    by: "A KEY".to_owned(),
                    at: None,
                    since: Timestamp::UNIX_EPOCH,
                    until: None,
                }],
                ..Record::new(signed, validators)
            };
            let bytes = record.to_bytes(BASE);
            assert_eq!(Record::from_bytes(&bytes, BASE).as_ref(), Some(&record));
            assert_eq!(Record::from_bytes(&bytes, "http://other.example.org/"), None);
            for cut in 0..bytes.len() {
                assert_eq!(Record::from_bytes(&bytes[..cut], BASE), None, "cut at {cut}");
            }
            let body = bytes.iter().position(|b| *b == b'\n').unwrap() + 1;
            for at in body..bytes.len() {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1;
                assert_eq!(Record::from_bytes(&flipped, BASE), None, "flipped at {at}");
            }
        }
    }
}
