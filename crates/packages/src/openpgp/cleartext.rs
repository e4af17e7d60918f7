//! The cleartext signature framework (RFC 9580 §7) as an `InRelease` file uses it. Stricter than the RFC, as apt is: the
//! file is one signed text and its signatures, with nothing before, between or after that a parser could mistake for
//! signed.

use super::error::SignatureError;

const BEGIN: &[u8] = b"-----BEGIN PGP SIGNED MESSAGE-----";
const SIGNATURE: &[u8] = b"-----BEGIN PGP SIGNATURE-----";
const END: &[u8] = b"-----END PGP SIGNATURE-----";

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cleartext<'a> {
    /// What was hashed: trailing blanks gone, lines joined by CR LF, no line end after the last (§7.1).
    pub(super) hashed: Vec<u8>,
    /// The same text for reading: lines joined by LF.
    pub(super) text: Vec<u8>,
    /// The armored signatures.
    pub(super) signatures: &'a [u8],
}

pub(super) fn split(file: &[u8]) -> Result<Cleartext<'_>, SignatureError> {
    let mut rest = file;
    if next(&mut rest).is_none_or(|line| trimmed(line) != BEGIN) {
        return Err(SignatureError::Unsigned);
    }
    loop {
        match next(&mut rest).map(trimmed) {
            Some(b"") => break,
            Some(line) if line.starts_with(b"Hash:") => {}
            Some(_) | None => return Err(SignatureError::Malformed("its head is not one of a signed text")),
        }
    }
    let mut hashed = Vec::with_capacity(rest.len());
    let mut text = Vec::with_capacity(rest.len());
    let mut first = true;
    let signatures = loop {
        let here = rest;
        let line = next(&mut rest).map(trimmed);
        let line = match line {
            Some(SIGNATURE) => break here,
            Some(line) => line,
            None => return Err(SignatureError::Malformed("it ends before its signature")),
        };
        let line = match line.strip_prefix(b"- ") {
            Some(escaped) => escaped,
            None if line.starts_with(b"-") => return Err(SignatureError::Malformed("a line is not dash-escaped")),
            None => line,
        };
        if !std::mem::take(&mut first) {
            hashed.extend_from_slice(b"\r\n");
        }
        hashed.extend_from_slice(line);
        text.extend_from_slice(line);
        text.push(b'\n');
    };
    nothing_after(signatures)?;
    Ok(Cleartext {
        hashed,
        text,
        signatures,
    })
}

/// After the one armored block only empty lines may come.
fn nothing_after(mut rest: &[u8]) -> Result<(), SignatureError> {
    loop {
        match next(&mut rest).map(trimmed) {
            Some(END) => break,
            Some(_) => {}
            None => return Err(SignatureError::Malformed("its signature has no end")),
        }
    }
    if rest.trim_ascii().is_empty() {
        Ok(())
    } else {
        Err(SignatureError::Malformed("there is something after the signature"))
    }
}

fn next<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    if rest.is_empty() {
        return None;
    }
    let at = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len() - 1);
    let (line, after) = rest.split_at(at + 1);
    *rest = after;
    Some(line)
}

/// Without the line end and the blanks before it: they are not signed (§7.2).
fn trimmed(line: &[u8]) -> &[u8] {
    let blank = |b: &u8| matches!(b, b' ' | b'\t' | b'\r' | b'\n');
    let end = line.iter().rposition(|b| !blank(b)).map_or(0, |at| at + 1);
    &line[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAIL: &str = "-----BEGIN PGP SIGNATURE-----\n\nAA==\n-----END PGP SIGNATURE-----\n";

    fn file(body: &str) -> String {
        format!("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{body}{TAIL}")
    }

    #[test]
    fn the_signed_text_is_cut_out_as_it_was_hashed() {
        let file = file("a \t\r\n\n- -b\nc\n");
        let cut = split(file.as_bytes()).unwrap();
        assert_eq!(cut.hashed, b"a\r\n\r\n-b\r\nc");
        assert_eq!(cut.text, b"a\n\n-b\nc\n");
        assert_eq!(cut.signatures, TAIL.as_bytes());
    }

    #[test]
    fn nothing_outside_the_signature_is_let_through() {
        let said = |text: &str| split(text.as_bytes()).unwrap_err().to_string();
        let whole = file("a\n");
        insta::assert_snapshot!(said("Origin: x\n"), @"it is not signed");
        insta::assert_snapshot!(said(""), @"it is not signed");
        insta::assert_snapshot!(said(&format!("Origin: x\n{whole}")), @"it is not signed");
        insta::assert_snapshot!(said(&format!("{whole}Origin: x\n")), @"its signature cannot be read: there is something after the signature");
        insta::assert_snapshot!(said(&format!("{whole}{whole}")), @"its signature cannot be read: there is something after the signature");
        insta::assert_snapshot!(said(&whole.replace("Hash: SHA256", "Origin: x")), @"its signature cannot be read: its head is not one of a signed text");
        insta::assert_snapshot!(said(&file("-----BEGIN PGP SIGNED MESSAGE-----\n")), @"its signature cannot be read: a line is not dash-escaped");
        insta::assert_snapshot!(said(&whole[..whole.len() - 10]), @"its signature cannot be read: its signature has no end");
        insta::assert_snapshot!(said("-----BEGIN PGP SIGNED MESSAGE-----\n\na\n"), @"its signature cannot be read: it ends before its signature");
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let mut file = b"-----BEGIN PGP SIGNED MESSAGE-----\n\n".to_vec();
            file.extend(bytes);
            let _ = split(&file);
        }
    }
}
