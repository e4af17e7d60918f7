//! Is a text signed by a key that is trusted for it?

use super::error::SignatureError;
use super::key::{self, Signer};
use super::keyring::Keyring;
use super::{armor, cleartext};
use jiff::{SignedDuration, Timestamp};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Packet, PacketParser, Signature, SignatureType, SubpacketData};
use std::sync::Arc;

/// Ubuntu's largest `InRelease` has 0.3 MB, Debian's sid 0.2 MB.
const MAX_TEXT: usize = 32 << 20;
const MAX_SIGNATURE: usize = 256 << 10;
/// Debian signs with three keys; more than this is there to keep us busy.
const MAX_SIGNATURES: usize = 16;
/// How far a signature may be ahead of our clock: apt's `Acquire::Max-FutureTime` (apt.conf(5)).
const FUTURE: SignedDuration = SignedDuration::from_secs(10);

/// Which keys one source trusts.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    pub keyrings: Vec<Arc<Keyring>>,
    /// Fingerprints that `Signed-By` names, 40 or 64 hex digits each; a `!` after one excludes its subkeys. Empty:
    /// every key of the keyrings.
    pub fingerprints: Vec<String>,
    /// Keyrings that should be there and cannot be read, in words, for the error.
    pub unusable: Vec<String>,
}

/// A text signed by a trusted key, and nothing besides that text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    pub text: String,
    /// The fingerprint of the primary key, upper-case hex.
    pub by: String,
    pub at: Option<Timestamp>,
    /// When the key or the signature expires, whichever is first. `None`: never.
    pub until: Option<Timestamp>,
}

/// Who made a good signature.
struct Found {
    by: String,
    at: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Found {
    fn over(self, text: String) -> Signed {
        let Found { by, at, until } = self;
        Signed { text, by, at, until }
    }
}

impl Trust {
    /// Equal for two sources that trust the same keys and miss the same keyrings, whatever their images call them.
    #[must_use]
    pub fn identity(&self) -> String {
        let mut keyrings: Vec<&str> = self.keyrings.iter().map(|ring| ring.content()).collect();
        keyrings.sort_unstable();
        keyrings.dedup();
        let (keyrings, fingerprints) = (keyrings.join(","), self.fingerprints.join(","));
        format!("{keyrings};{fingerprints};{}", self.unusable.join(","))
    }

    /// Verifies an `InRelease` file. One good signature by a trusted key is enough, as for apt: archives sign with the
    /// old and the new key while keys change.
    ///
    /// # Errors
    /// See [`SignatureError`].
    pub fn inrelease(&self, file: &[u8], now: Timestamp) -> Result<Signed, SignatureError> {
        limit(file, MAX_TEXT, "bytes of text")?;
        let cut = cleartext::split(file)?;
        limit(cut.signatures, MAX_SIGNATURE, "bytes of signatures")?;
        let found = self.check(cut.signatures, &cut.hashed, now)?;
        let text = String::from_utf8_lossy(&cut.text).into_owned();
        Ok(found.over(text))
    }

    /// Verifies a `Release` file by its detached `Release.gpg`, armored or binary.
    ///
    /// # Errors
    /// See [`SignatureError`].
    pub fn detached(&self, release: &[u8], signature: &[u8], now: Timestamp) -> Result<Signed, SignatureError> {
        limit(release, MAX_TEXT, "bytes of text")?;
        limit(signature, MAX_SIGNATURE, "bytes of signatures")?;
        let found = self.check(signature, release, now)?;
        let text = String::from_utf8_lossy(release).into_owned();
        Ok(found.over(text))
    }

    fn check(&self, signatures: &[u8], data: &[u8], now: Timestamp) -> Result<Found, SignatureError> {
        if self.keyrings.is_empty() {
            return Err(SignatureError::NoKeys {
                unusable: self.unusable.clone(),
            });
        }
        let mut worst = SignatureError::Unsigned;
        for signature in read(signatures)? {
            match self.examine(&signature, data, now) {
                Ok(found) => return Ok(found),
                Err(error) if error.weight() > worst.weight() => worst = error,
                Err(_) => {}
            }
        }
        Err(worst)
    }

    /// The trusted key that made it.
    fn examine(&self, signature: &Signature, data: &[u8], now: Timestamp) -> Result<Found, SignatureError> {
        well_formed(signature)?;
        let mut worst = SignatureError::UnknownKey {
            issuers: issuers(signature),
            keyrings: self.names(),
        };
        let keys = self.keyrings.iter().flat_map(|ring| &ring.keys);
        for signer in keys.flat_map(|key| Signer::named_by(signature, key)) {
            match self.judge(signature, signer, data, now) {
                Ok(until) => {
                    return Ok(Found {
                        by: signer.primary_fingerprint(),
                        at: signature.created().map(key::time),
                        until,
                    });
                }
                Err(error) if error.weight() > worst.weight() => worst = error,
                Err(_) => {}
            }
        }
        Err(worst)
    }

    /// Until when it counts.
    fn judge(
        &self,
        signature: &Signature,
        signer: Signer<'_>,
        data: &[u8],
        now: Timestamp,
    ) -> Result<Option<Timestamp>, SignatureError> {
        let key = signer.fingerprint();
        if !self.allows(&signer) {
            return Err(SignatureError::NotAllowed { key });
        }
        strong_digest(signature, &key)?;
        if !signer.made(signature, data) {
            return Err(SignatureError::Bad { key });
        }
        let until = signer.app_state(now)?;
        let made = signature.created().map(key::time);
        let made = made.ok_or(SignatureError::Malformed("it has no date"))?;
        if made.duration_since(now) > FUTURE {
            return Err(SignatureError::Future { key, at: made });
        }
        match key::after(made, signature.signature_expiration_time()) {
            Some(at) if at <= now => Err(SignatureError::Expired { key, at }),
            expires => Ok(key::sooner(until, expires)),
        }
    }

    fn allows(&self, signer: &Signer<'_>) -> bool {
        let (own, primary) = (signer.fingerprint(), signer.primary_fingerprint());
        self.fingerprints.is_empty()
            || self.fingerprints.iter().any(|allowed| match allowed.strip_suffix('!') {
                Some(exactly) => own.eq_ignore_ascii_case(exactly),
                None => own.eq_ignore_ascii_case(allowed) || primary.eq_ignore_ascii_case(allowed),
            })
    }

    fn names(&self) -> Vec<String> {
        let keyrings = self.keyrings.iter().map(|ring| ring.name().to_owned());
        keyrings.chain(self.unusable.iter().cloned()).collect()
    }
}

/// The text of an `InRelease` or `Release` file without a signature check: the source says `trusted=yes`, so the
/// maintainer vouches for it.
#[must_use]
pub fn unverified(file: &[u8]) -> String {
    let text = cleartext::split(file).map(|cut| cut.text);
    String::from_utf8_lossy(text.as_deref().unwrap_or(file)).into_owned()
}

fn limit(bytes: &[u8], limit: usize, of: &'static str) -> Result<(), SignatureError> {
    if bytes.len() > limit {
        return Err(SignatureError::TooMuch { of, limit });
    }
    Ok(())
}

/// The signature packets; other packets and signatures of an unknown version say nothing to us.
fn read(signatures: &[u8]) -> Result<Vec<Signature>, SignatureError> {
    let blocks = match armor::blocks(signatures, "PGP SIGNATURE") {
        Some(blocks) if blocks.is_empty() => vec![signatures.to_vec()],
        Some(blocks) => blocks,
        None => return Err(SignatureError::Malformed("its armor is damaged")),
    };
    let mut found = Vec::new();
    for block in &blocks {
        // Every packet counts, so that a long row of damaged ones ends as well.
        for packet in PacketParser::new(block.as_slice()).take(MAX_SIGNATURES + 1) {
            if let Ok(Packet::Signature(signature)) = packet {
                found.push(signature);
            }
        }
    }
    if found.len() > MAX_SIGNATURES {
        return Err(SignatureError::TooMuch {
            of: "signatures",
            limit: MAX_SIGNATURES,
        });
    }
    if found.is_empty() {
        return Err(SignatureError::Malformed("there is no signature in it"));
    }
    Ok(found)
}

fn well_formed(signature: &Signature) -> Result<(), SignatureError> {
    if !matches!(signature.typ(), Some(SignatureType::Binary | SignatureType::Text)) {
        return Err(SignatureError::Malformed("it is not one over a text"));
    }
    let Some(config) = signature.config() else {
        return Err(SignatureError::Malformed("its version is unknown"));
    };
    // RFC 9580 §5.2.3.7: a signature with a critical subpacket that is not understood must not be accepted.
    let foreign = |data: &SubpacketData| {
        matches!(
            data,
            SubpacketData::Other(..) | SubpacketData::Experimental(..) | SubpacketData::Notation(_)
        )
    };
    if config
        .hashed_subpackets()
        .any(|part| part.is_critical && foreign(&part.data))
    {
        return Err(SignatureError::Malformed("a critical part of it is unknown"));
    }
    Ok(())
}

fn strong_digest(signature: &Signature, key: &str) -> Result<(), SignatureError> {
    match signature.hash_alg() {
        Some(
            HashAlgorithm::Sha224
            | HashAlgorithm::Sha256
            | HashAlgorithm::Sha384
            | HashAlgorithm::Sha512
            | HashAlgorithm::Sha3_256
            | HashAlgorithm::Sha3_512,
        ) => Ok(()),
        other => Err(SignatureError::WeakDigest {
            key: key.to_owned(),
            digest: other.map_or_else(|| "an unknown digest".to_owned(), |digest| digest.to_string()),
        }),
    }
}

/// The claimed issuers of a signature: full fingerprints if it has any.
fn issuers(signature: &Signature) -> Vec<String> {
    let fingerprints: Vec<String> = signature.issuer_fingerprint().into_iter().map(key::hex).collect();
    if !fingerprints.is_empty() {
        return fingerprints;
    }
    let ids: Vec<String> = signature
        .issuer_key_id()
        .into_iter()
        .map(|id| id.to_string().to_uppercase())
        .collect();
    if ids.is_empty() {
        vec!["nobody it names".to_owned()]
    } else {
        ids
    }
}
