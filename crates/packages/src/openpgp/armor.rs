//! ASCII armor (RFC 9580 §6.2): base64 between a header line and a footer line. Checksums are optional and ignored,
//! as the RFC requires; what is inside is proven by a signature or not at all.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Every block of `kind` (`PGP SIGNATURE`, `PGP PUBLIC KEY BLOCK`) in `text`, decoded. `None`: a block that is begun
/// and not well-formed to its end.
pub(super) fn blocks(text: &[u8], kind: &str) -> Option<Vec<Vec<u8>>> {
    let (begin, end) = (format!("-----BEGIN {kind}-----"), format!("-----END {kind}-----"));
    let mut lines = text.split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
    let mut found = Vec::new();
    while lines.by_ref().any(|line| line == begin.as_bytes()) {
        // Armor headers (`Version:`, `Comment:`) end at the empty line.
        if !lines.by_ref().any(<[u8]>::is_empty) {
            return None;
        }
        let mut body = Vec::new();
        loop {
            let line = lines.next()?;
            if line == end.as_bytes() {
                break;
            }
            // The checksum line.
            if !line.starts_with(b"=") {
                body.extend_from_slice(line);
            }
        }
        found.push(BASE64.decode(&body).ok()?);
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_and_decoded() {
        let block = "-----BEGIN PGP SIGNATURE-----\nComment: x\n\naGVs\r\nbG8=\n=abcd\n-----END PGP SIGNATURE-----\n";
        let two = format!("before\n{block}between\n{block}");
        assert_eq!(
            blocks(two.as_bytes(), "PGP SIGNATURE"),
            Some(vec![b"hello".to_vec(), b"hello".to_vec()])
        );
        assert_eq!(blocks(b"nothing", "PGP SIGNATURE"), Some(vec![]));
        assert_eq!(blocks(block.as_bytes(), "PGP PUBLIC KEY BLOCK"), Some(vec![]));
        for damaged in [
            "-----BEGIN PGP SIGNATURE-----\naGVsbG8=\n-----END PGP SIGNATURE-----",
            "-----BEGIN PGP SIGNATURE-----\n\naGVsbG8=\n",
            "-----BEGIN PGP SIGNATURE-----\n\na#\n-----END PGP SIGNATURE-----\n",
        ] {
            assert_eq!(blocks(damaged.as_bytes(), "PGP SIGNATURE"), None, "{damaged}");
        }
    }
}
