//! Why a text is not proven to come from the owner of an archive.

use jiff::Timestamp;

/// None of these means that the text is wrong, only that no trusted key vouches for it. Keys are named by their
/// fingerprint in upper-case hex, as gpg prints them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is no signature at all.
    #[error("it is not signed")]
    Unsigned,
    /// Not a signature in the form that it claims to have.
    #[error("its signature cannot be read: {0}")]
    Malformed(&'static str),
    /// Longer, or more signatures, than any archive has.
    #[error("its signature cannot be read: more than {limit} {of}")]
    TooMuch { of: &'static str, limit: usize },
    /// The source names no keyring, or none that can be read.
    #[error("there is no key to check its signature with ({})", listed(.unusable))]
    NoKeys { unusable: Vec<String> },
    #[error("it is signed by {}, which is in none of the keyrings: {}", .issuers.join(", "), listed(.keyrings))]
    UnknownKey {
        issuers: Vec<String>,
        keyrings: Vec<String>,
    },
    /// `Signed-By` names other keys of the keyring (sources.list(5)).
    #[error("it is signed by {key}, which Signed-By does not name")]
    NotAllowed { key: String },
    /// The text is not what the key signed: damaged on its way, or forged.
    #[error("its signature by {key} is wrong: the text was changed after it was signed")]
    Bad { key: String },
    #[error("its signature by {key} expired on {}", day(.at))]
    Expired { key: String, at: Timestamp },
    #[error("its signature by {key} says it was made in the future, on {}", day(.at))]
    Future { key: String, at: Timestamp },
    #[error("the key {key} expired on {}", day(.at))]
    KeyExpired { key: String, at: Timestamp },
    #[error("the key {key} is revoked")]
    KeyRevoked { key: String },
    /// Nothing by the primary key makes this key one for signing (RFC 9580 §10.1).
    #[error("the key {key} may not sign")]
    KeyUnusable { key: String },
    /// Too small, or an algorithm no longer trusted.
    #[error("the key {key} is too weak: {why}")]
    WeakKey { key: String, why: String },
    #[error("its signature by {key} uses {digest}, which can be forged")]
    WeakDigest { key: String, digest: String },
}

impl SignatureError {
    /// Of several signatures that all fail, the one that says most: a known key says more than an unknown one.
    pub(super) fn weight(&self) -> u8 {
        match self {
            SignatureError::Unsigned => 0,
            SignatureError::Malformed(_) | SignatureError::TooMuch { .. } => 1,
            SignatureError::NoKeys { .. } => 2,
            SignatureError::UnknownKey { .. } => 3,
            SignatureError::NotAllowed { .. } => 4,
            SignatureError::WeakDigest { .. } | SignatureError::WeakKey { .. } => 5,
            SignatureError::KeyUnusable { .. } => 6,
            SignatureError::Future { .. } => 7,
            SignatureError::Expired { .. } | SignatureError::KeyExpired { .. } => 8,
            SignatureError::KeyRevoked { .. } => 9,
            SignatureError::Bad { .. } => 10,
        }
    }
}

/// Why a keyring of an image is left out. apt leaves such a file out with a warning, too.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// GnuPG's own database (`.kbx`, "public keybox"), which apt does not read either.
    #[error("{name} is a GnuPG keybox; apt reads exported keys only (gpg --export)")]
    Keybox { name: String },
    #[error("{name} is larger than {limit} bytes")]
    TooLarge { name: String, limit: usize },
    #[error("{name} holds more than {limit} keys")]
    TooMany { name: String, limit: usize },
    #[error("{name} holds no public key that can be read")]
    Empty { name: String },
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        "no keyring is named".to_owned()
    } else {
        names.join(", ")
    }
}

fn day(at: &Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}
