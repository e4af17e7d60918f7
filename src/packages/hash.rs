//! sha256 as lower-case hex.

use crate::model::image::DiffId;
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

/// A finished hash as the digest of a layer.
pub(super) fn digest(hash: Sha256) -> DiffId {
    let text = format!("sha256:{}", hex(&hash.finalize()));
    #[expect(clippy::unwrap_used, reason = "sha256 in hex is what the type asks for")]
    DiffId::try_from(text).unwrap()
}
