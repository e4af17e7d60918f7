//! Is an `APKINDEX.tar.gz` signed by a key of the image? The file is several gzip members one after the other: first a
//! tar cut off before its end, with one entry `.SIGN.RSA.<key>` (SHA-1) or `.SIGN.RSA256.<key>` (SHA-256), each the
//! PKCS #1 signature over all that follows, as it is on the wire (apk-package(5), "Signature"; abuild-sign). Keys are
//! `etc/apk/keys/<key>`, PEM.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use std::collections::BTreeMap;
use std::io::Read;

/// A signature member holds a few hundred bytes for each key.
const MAX_HEAD: u64 = 256 << 10;
const MAX_SIGNATURES: usize = 16;
/// Alpine's largest index has 12 MB.
const MAX_INDEX: u64 = 512 << 20;
const BLOCK: usize = 512;

/// Keys are named as their files are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApkSignatureError {
    #[error("it is not signed")]
    Unsigned,
    #[error("its signature cannot be read: {0}")]
    Malformed(&'static str),
    #[error("it is signed by {}, which is not among the keys in etc/apk/keys", .keys.join(", "))]
    UnknownKey { keys: Vec<String> },
    #[error("the key {key} is not an RSA public key in PEM")]
    UnusableKey { key: String },
    /// Damaged on its way, or forged.
    #[error("its signature by {key} is wrong: the index was changed after it was signed")]
    Bad { key: String },
    #[error("its index cannot be unpacked: {0}")]
    Unpacked(&'static str),
}

/// Verifies `file` by the keys (file name → content) and returns the part that is signed: gzip members with the tar
/// that holds `APKINDEX`.
///
/// # Errors
/// See [`ApkSignatureError`].
pub fn verify<'a>(file: &'a [u8], keys: &BTreeMap<String, Vec<u8>>) -> Result<&'a [u8], ApkSignatureError> {
    let (head, signed) = first_member(file)?;
    let signatures = entries(&head)?;
    if signatures.is_empty() {
        return Err(ApkSignatureError::Unsigned);
    }
    let mut worst = ApkSignatureError::UnknownKey {
        keys: signatures.iter().map(|s| s.key.clone()).collect(),
    };
    for made in signatures {
        let Some(pem) = keys.get(&made.key) else { continue };
        let Some(public) = pkcs1(pem) else {
            worst = ApkSignatureError::UnusableKey { key: made.key };
            continue;
        };
        match UnparsedPublicKey::new(made.algorithm, &public).verify(signed, &made.bytes) {
            Ok(()) => return Ok(signed),
            Err(_) => worst = ApkSignatureError::Bad { key: made.key },
        }
    }
    Err(worst)
}

/// The text of `APKINDEX` in the signed part.
///
/// # Errors
/// `Unpacked`.
pub fn index(signed: &[u8]) -> Result<Vec<u8>, ApkSignatureError> {
    let damaged = |_| ApkSignatureError::Unpacked("it is damaged");
    let unpacked = flate2::bufread::MultiGzDecoder::new(signed).take(MAX_INDEX);
    let mut tar = tar::Archive::new(unpacked);
    for entry in tar.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        if entry.path_bytes().as_ref() == b"APKINDEX" {
            let mut text = Vec::new();
            entry.read_to_end(&mut text).map_err(damaged)?;
            let whole = text.len() as u64 == entry.size();
            return whole
                .then_some(text)
                .ok_or(ApkSignatureError::Unpacked("it ends too early"));
        }
    }
    Err(ApkSignatureError::Unpacked("there is no APKINDEX in it"))
}

struct Made {
    key: String,
    algorithm: &'static dyn VerificationAlgorithm,
    bytes: Vec<u8>,
}

/// The first gzip member unpacked, and everything after it.
fn first_member(file: &[u8]) -> Result<(Vec<u8>, &[u8]), ApkSignatureError> {
    let mut member = flate2::bufread::GzDecoder::new(file);
    let mut head = Vec::new();
    let unpacked = member.by_ref().take(MAX_HEAD + 1).read_to_end(&mut head);
    unpacked.map_err(|_| ApkSignatureError::Malformed("it is not gzip"))?;
    if head.len() as u64 > MAX_HEAD {
        // An index without a signature before it.
        return Err(ApkSignatureError::Unsigned);
    }
    Ok((head, member.into_inner()))
}

/// The signatures in a tar (POSIX ustar): of each header only name and size matter here.
fn entries(mut tar: &[u8]) -> Result<Vec<Made>, ApkSignatureError> {
    let mut found = Vec::new();
    while let Some((header, rest)) = tar.split_at_checked(BLOCK) {
        let name: Vec<u8> = header[..100].iter().copied().take_while(|b| *b != 0).collect();
        if name.is_empty() {
            break;
        }
        let size = std::str::from_utf8(&header[124..136]).ok();
        let size = size.and_then(|text| usize::from_str_radix(text.trim_matches(['\0', ' ']), 8).ok());
        let content = size.and_then(|size| rest.get(..size));
        let content = content.ok_or(ApkSignatureError::Malformed("its tar is damaged"))?;
        if let Some(made) = made(&String::from_utf8_lossy(&name), content) {
            found.push(made);
        }
        if found.len() > MAX_SIGNATURES {
            return Err(ApkSignatureError::Malformed("it has too many signatures"));
        }
        tar = rest.get(content.len().next_multiple_of(BLOCK)..).unwrap_or_default();
    }
    Ok(found)
}

fn made(name: &str, content: &[u8]) -> Option<Made> {
    let (kind, key) = name.strip_prefix(".SIGN.")?.split_once('.')?;
    let algorithm: &'static dyn VerificationAlgorithm = match kind {
        // SHA-1 is what Alpine's archives are signed with to this day, and what apk accepts.
        "RSA" => &signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        "RSA256" => &signature::RSA_PKCS1_2048_8192_SHA256,
        _ => return None,
    };
    Some(Made {
        key: key.to_owned(),
        algorithm,
        bytes: content.to_vec(),
    })
}

/// The `RSAPublicKey` (RFC 8017 §A.1.1) inside a PEM `SubjectPublicKeyInfo` (RFC 5280 §4.1): what ring takes.
fn pkcs1(pem: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(pem).ok()?;
    let body = text.split_once("-----BEGIN PUBLIC KEY-----")?.1;
    let body = body.split_once("-----END PUBLIC KEY-----")?.0;
    let body: String = body.split_ascii_whitespace().collect();
    let der = STANDARD.decode(body).ok()?;
    let (info, _) = element(&der, 0x30)?;
    let (_algorithm, rest) = element(info, 0x30)?;
    let (bits, _) = element(rest, 0x03)?;
    // A bit string begins with how many bits of its last byte are unused: none.
    Some(bits.strip_prefix(&[0])?.to_vec())
}

/// The content of the DER element at the start of `der`, when it has this tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let [found, first, rest @ ..] = der else { return None };
    let (length, rest) = match first {
        short @ ..=0x7f => (usize::from(*short), rest),
        0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
        0x82 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), rest.get(2..)?),
        _ => return None,
    };
    (*found == tag).then(|| rest.split_at_checked(length))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_signed_index_is_named() {
        use std::io::Write as _;
        let gzip = |bytes: &[u8]| {
            let mut member = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            member.write_all(bytes).unwrap();
            member.finish().unwrap()
        };
        let said = |file: &[u8]| verify(file, &BTreeMap::new()).unwrap_err().to_string();
        let mut header = vec![0; BLOCK];
        header[..16].copy_from_slice(b".SIGN.RSA.a.pub\0");
        header[124..136].copy_from_slice(b"00000000003\0");
        let mut cut = header.clone();
        header.extend([1, 2, 3]);
        insta::assert_snapshot!(said(b"<html>"), @"its signature cannot be read: it is not gzip");
        insta::assert_snapshot!(said(b""), @"its signature cannot be read: it is not gzip");
        insta::assert_snapshot!(said(&gzip(b"")), @"it is not signed");
        insta::assert_snapshot!(said(&gzip(&vec![0; 1 << 20])), @"it is not signed");
        insta::assert_snapshot!(said(&gzip(&header)), @"it is signed by a.pub, which is not among the keys in etc/apk/keys");
        cut.push(1);
        insta::assert_snapshot!(said(&gzip(&cut)), @"its signature cannot be read: its tar is damaged");
        let keys = BTreeMap::from([("a.pub".to_owned(), b"ssh-rsa AAAA".to_vec())]);
        let unusable = verify(&gzip(&header), &keys).unwrap_err().to_string();
        insta::assert_snapshot!(unusable, @"the key a.pub is not an RSA public key in PEM");
    }

    proptest::proptest! {
        #[test]
        fn tar_and_key_readers_never_panic(bytes: Vec<u8>) {
            let _ = entries(&bytes);
            let _ = pkcs1(&bytes);
            let _ = element(&bytes, 0x30);
        }
    }
}
