//! sha256 as lower-case hex.

use lowtide_model::image::DiffId;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, b| {
            let _ = write!(text, "{b:02x}");
            text
        })
}

/// Of some bytes.
#[must_use]
pub fn of(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// A finished hash as the digest of a layer.
pub(super) fn digest(hash: Sha256) -> DiffId {
    DiffId::of_sha256(&hash.finalize().into())
}
