//! Finds a secret in whatever dress.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use std::path::Path;

/// All that is looked for.
pub(crate) struct Needles(Vec<(String, Vec<Vec<u8>>)>);

impl Needles {
    pub(crate) fn new(secrets: &[&str]) -> Self {
        Self(secrets.iter().map(|s| ((*s).to_owned(), dresses(s))).collect())
    }

    /// Which of them are in there.
    pub(crate) fn within(&self, hay: &[u8]) -> Vec<&str> {
        let found = |dresses: &[Vec<u8>]| dresses.iter().any(|dress| contains(hay, dress));
        self.0
            .iter()
            .filter(|(_, dresses)| found(dresses))
            .map(|(name, _)| name.as_str())
            .collect()
    }

    /// `file: secret` for every file below `directory` but the one that is named.
    pub(crate) fn below(&self, directory: &Path, but: &Path) -> Vec<String> {
        let mut found = Vec::new();
        let mut open = vec![directory.to_owned()];
        while let Some(directory) = open.pop() {
            for entry in std::fs::read_dir(&directory).unwrap().flatten() {
                let kind = entry.file_type().unwrap();
                if kind.is_dir() {
                    open.push(entry.path());
                } else if kind.is_file() && entry.path() != but {
                    let bytes = std::fs::read(entry.path()).unwrap();
                    let secrets = self.within(&bytes).into_iter();
                    found.extend(secrets.map(|secret| format!("{}: {secret}", entry.path().display())));
                }
            }
        }
        found
    }
}

fn contains(hay: &[u8], needle: &[u8]) -> bool {
    let first = needle[0];
    let mut from = 0;
    while let Some(at) = hay[from..].iter().position(|byte| *byte == first) {
        if hay[from + at..].starts_with(needle) {
            return true;
        }
        from += at + 1;
    }
    false
}

/// As it is, percent-encoded (RFC 3986 §2.1), and in base64 at each of the three places a byte can have in a group.
fn dresses(secret: &str) -> Vec<Vec<u8>> {
    let percent: String = secret
        .bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(b).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect();
    let mut dresses = vec![secret.as_bytes().to_vec(), percent.into_bytes()];
    for before in 0..3 {
        let padded = [vec![0; before], secret.as_bytes().to_vec()].concat();
        let whole = STANDARD_NO_PAD.encode(&padded);
        // The first and the last characters depend on neighbours too.
        let inner = &whole[before.div_ceil(1) + usize::from(before > 0)..whole.len() - 2];
        dresses.push(inner.as_bytes().to_vec());
        dresses.push(inner.replace('+', "-").replace('/', "_").into_bytes());
    }
    dresses
}

#[test]
fn every_dress_is_seen_through() {
    let needles = Needles::new(&["tide/secret+1"]);
    for before in ["", "u:", "user:", "some user:"] {
        for after in ["", "\"}", "and more"] {
            let plain = format!("{before}tide/secret+1{after}");
            assert_eq!(needles.within(plain.as_bytes()).len(), 1, "{plain}");
            let encoded = base64::engine::general_purpose::STANDARD.encode(&plain);
            assert_eq!(needles.within(encoded.as_bytes()).len(), 1, "{plain} as {encoded}");
            let encoded = base64::engine::general_purpose::URL_SAFE.encode(&plain);
            assert_eq!(needles.within(encoded.as_bytes()).len(), 1, "{plain} as {encoded}");
        }
    }
    assert!(needles.within(b"tide/secret%2B1").is_empty());
    assert_eq!(needles.within(b"tide%2Fsecret%2B1").len(), 1);
}
