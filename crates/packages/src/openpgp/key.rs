//! May a key sign, here and now? The rules of RFC 9580 §10.1 and §5.2.3 that GnuPG applies: a key is what its own
//! newest signature over itself says; a subkey counts when primary and subkey vouch for each other.

use super::error::SignatureError;
use jiff::Timestamp;
use pgp::composed::{SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::packet::{Signature, SignatureType, SubpacketData};
use pgp::ser::Serialize;
use pgp::types::{Fingerprint, KeyDetails, PublicParams, Tag, VerifyingKey};

/// RSA below this is refused by apt, too, since 2.9 (`APT::Key::Assert-Pubkey-Algo`).
const RSA_BITS: u16 = 2048;

/// A primary key or one of its subkeys, as one that may have signed.
#[derive(Clone, Copy)]
pub(super) struct Signer<'a> {
    pub(super) key: &'a SignedPublicKey,
    pub(super) subkey: Option<&'a SignedPublicSubKey>,
}

impl<'a> Signer<'a> {
    /// The primary key and its subkeys that `signature` names as its issuer.
    pub(super) fn named_by(signature: &Signature, key: &'a SignedPublicKey) -> Vec<Signer<'a>> {
        let mut found = Vec::new();
        if names(signature, &key.primary_key) {
            found.push(Signer { key, subkey: None });
        }
        let subkeys = key.public_subkeys.iter().filter(|sub| names(signature, &sub.key));
        found.extend(subkeys.map(|sub| Signer { key, subkey: Some(sub) }));
        found
    }

    pub(super) fn fingerprint(&self) -> String {
        hex(&match self.subkey {
            Some(sub) => sub.key.fingerprint(),
            None => self.key.primary_key.fingerprint(),
        })
    }

    pub(super) fn primary_fingerprint(&self) -> String {
        hex(&self.key.primary_key.fingerprint())
    }

    /// Did it make `signature` over `data`?
    pub(super) fn made(&self, signature: &Signature, data: &[u8]) -> bool {
        match self.subkey {
            Some(sub) => signature.verify(&sub.key, data).is_ok(),
            None => signature.verify(&self.key.primary_key, data).is_ok(),
        }
    }

    /// Until when it may sign; `None`: for ever.
    ///
    /// # Errors
    /// `WeakKey`, `KeyRevoked`, `KeyUnusable`, `KeyExpired`.
    pub(super) fn app_state(&self, now: Timestamp) -> Result<Option<Timestamp>, SignatureError> {
        self.strength()?;
        let primary = &self.key.primary_key;
        let revoked = || SignatureError::KeyRevoked {
            key: self.fingerprint(),
        };
        let unusable = || SignatureError::KeyUnusable {
            key: self.fingerprint(),
        };
        let mut revocations = self.key.details.revocation_signatures.iter();
        if revocations.any(|sig| sig.typ() == Some(SignatureType::KeyRevocation) && sig.verify_key(primary).is_ok()) {
            return Err(revoked());
        }
        let own = newest(self_signatures(self.key)).ok_or_else(unusable)?;
        let until = self.not_expired(expiry(primary, own), now)?;
        let Some(sub) = self.subkey else {
            // Without flags an old key may do all that its algorithm can.
            return if signs(own).unwrap_or(true) {
                Ok(until)
            } else {
                Err(unusable())
            };
        };
        let of_type = |wanted| {
            sub.signatures
                .iter()
                .filter(move |sig| sig.typ() == Some(wanted) && sig.verify_subkey_binding(primary, &sub.key).is_ok())
        };
        if of_type(SignatureType::SubkeyRevocation).next().is_some() {
            return Err(revoked());
        }
        let binding = newest(of_type(SignatureType::SubkeyBinding)).ok_or_else(unusable)?;
        let of_subkey = self.not_expired(expiry(&sub.key, binding), now)?;
        let agrees = |back: &Signature| back.verify_primary_key_binding(&sub.key, primary).is_ok();
        if signs(binding) == Some(true) && binding.embedded_signature().is_some_and(agrees) {
            Ok(sooner(until, of_subkey))
        } else {
            Err(unusable())
        }
    }

    fn not_expired(&self, at: Option<Timestamp>, now: Timestamp) -> Result<Option<Timestamp>, SignatureError> {
        match at {
            Some(at) if at <= now => Err(SignatureError::KeyExpired {
                key: self.fingerprint(),
                at,
            }),
            at => Ok(at),
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "pgp's enum is foreign: what is not known to be strong is not trusted"
    )]
    fn strength(&self) -> Result<(), SignatureError> {
        let (algorithm, params) = match self.subkey {
            Some(sub) => (sub.key.algorithm(), sub.key.public_params()),
            None => (self.key.primary_key.algorithm(), self.key.primary_key.public_params()),
        };
        let weak = |why: String| {
            Err(SignatureError::WeakKey {
                key: self.fingerprint(),
                why,
            })
        };
        match params {
            PublicParams::RSA(rsa) => match modulus_bits(rsa) {
                bits if bits < RSA_BITS => weak(format!("RSA with {bits} bits")),
                _ => Ok(()),
            },
            PublicParams::ECDSA(_)
            | PublicParams::EdDSALegacy(_)
            | PublicParams::Ed25519(_)
            | PublicParams::Ed448(_) => Ok(()),
            _ if algorithm == PublicKeyAlgorithm::DSA => weak("DSA".to_owned()),
            _ => weak("not an algorithm for signatures".to_owned()),
        }
    }
}

pub(super) fn hex(fingerprint: &Fingerprint) -> String {
    fingerprint.to_string().to_uppercase()
}

/// Seconds since 1970 in 32 bits, as OpenPGP counts.
pub(super) fn time(at: pgp::types::Timestamp) -> Timestamp {
    Timestamp::from_second(i64::from(at.as_secs())).unwrap_or(Timestamp::MAX)
}

/// `None`: never. Zero seconds mean the same (§5.2.3.13).
pub(super) fn after(start: Timestamp, lasts: Option<pgp::types::Duration>) -> Option<Timestamp> {
    let seconds = i64::from(lasts?.as_secs());
    (seconds != 0).then(|| {
        start
            .saturating_add(jiff::SignedDuration::from_secs(seconds))
            .unwrap_or(Timestamp::MAX)
    })
}

/// `None` is never.
pub(super) fn sooner(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}

/// A signature without an issuer matches no key: otherwise it would be tried with every key there is.
fn names(signature: &Signature, key: &impl KeyDetails) -> bool {
    let fingerprints = signature.issuer_fingerprint();
    if fingerprints.is_empty() {
        let id = key.legacy_key_id();
        signature.issuer_key_id().into_iter().any(|issuer| *issuer == id)
    } else {
        let own = key.fingerprint();
        fingerprints.into_iter().any(|issuer| *issuer == own)
    }
}

/// The valid ones that the key made over itself: direct, or over one of its names.
fn self_signatures(key: &SignedPublicKey) -> impl Iterator<Item = &Signature> {
    let primary = &key.primary_key;
    let direct = key.details.direct_signatures.iter();
    let direct = direct.filter(|sig| sig.typ() == Some(SignatureType::Key) && sig.verify_key(primary).is_ok());
    let users = key.details.users.iter().flat_map(move |user| {
        user.signatures.iter().filter(move |sig| {
            sig.typ() != Some(SignatureType::CertRevocation)
                && names(sig, primary)
                && sig.verify_certification(primary, Tag::UserId, &user.id).is_ok()
        })
    });
    direct.chain(users)
}

fn newest<'a>(signatures: impl Iterator<Item = &'a Signature>) -> Option<&'a Signature> {
    signatures.max_by_key(|sig| sig.created().map(pgp::types::Timestamp::as_secs))
}

fn expiry(key: &impl VerifyingKey, own: &Signature) -> Option<Timestamp> {
    after(time(key.created_at()), own.key_expiration_time())
}

/// The signing flag; `None` without flags.
fn signs(own: &Signature) -> Option<bool> {
    own.config()?
        .hashed_subpackets()
        .any(|part| matches!(part.data, SubpacketData::KeyFlags(_)))
        .then(|| own.key_flags().sign())
}

/// The modulus comes first, and an OpenPGP integer begins with its length in bits (§3.2).
fn modulus_bits(rsa: &impl Serialize) -> u16 {
    let bytes = rsa.to_bytes().unwrap_or_default();
    bytes.first_chunk().map_or(0, |bits| u16::from_be_bytes(*bits))
}
