//! Masks secrets in text and streams that lowtide did not write: which values are secrets, and how they are replaced.

use crate::secret::Secret;

/// Replaces each secret.
const HIDDEN: &str = "[hidden]";

/// The value of a variable is a secret if its name contains one of these. Common in practice, as `docker inspect`
/// shows.
const SECRET_WORDS: [&str; 8] = ["PASS", "SECRET", "TOKEN", "KEY", "CREDENTIAL", "AUTH", "DSN", "PRIVATE"];
/// A shorter value would be found in half of all lines.
const SHORTEST: usize = 6;

/// The secrets of an environment: values of variables named like a secret, passwords in URLs (RFC 3986 §3.2.1), and
/// `others`. Each line of a multi-line value is a secret of its own. Longest first, so that no secret masks only a part
/// of a longer one.
pub fn secrets_in<'a>(
    env: impl Iterator<Item = (&'a str, &'a str)>,
    others: impl Iterator<Item = String>,
) -> Vec<Secret> {
    let named = env
        .flat_map(|(name, value)| [is_secret_name(name).then_some(value), password(value)])
        .flatten()
        .map(ToOwned::to_owned);
    let lines = |value: String| {
        let lines = value.lines().map(|line| line.trim().to_owned());
        lines.collect::<Vec<_>>()
    };
    let mut values: Vec<String> = named
        .chain(others)
        .flat_map(lines)
        .filter(|value| value.len() >= SHORTEST)
        .flat_map(|value| forms(&value))
        .collect();
    values.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    values.dedup();
    values.into_iter().map(Secret::new).collect()
}

/// As it is, and as XML (JUnit) and JSON write it.
fn forms(value: &str) -> Vec<String> {
    let xml = value
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;");
    let json = value.replace('\\', "\\\\").replace('"', "\\\"");
    vec![value.to_owned(), xml, json]
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// Of `scheme://user:password@host`.
fn password(value: &str) -> Option<&str> {
    let (_, rest) = value.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (userinfo, _) = authority.rsplit_once('@')?;
    userinfo.split_once(':').map(|(_, password)| password)
}

/// The text without the values of `secrets`, for text that someone else wrote: a container's log may show what the
/// container was given.
#[must_use]
pub fn masked(text: &str, secrets: &[Secret]) -> String {
    String::from_utf8_lossy(&masked_bytes(text.as_bytes(), secrets)).into_owned()
}

/// As [`masked`], of bytes.
#[must_use]
pub fn masked_bytes(bytes: &[u8], secrets: &[Secret]) -> Vec<u8> {
    let mut hider = Hider::default();
    let mut out = Vec::with_capacity(bytes.len());
    hider.feed(bytes, secrets, &mut |piece| out.extend_from_slice(piece));
    // The text is complete, so the mere beginning of a secret is not masked.
    hider.close(secrets, usize::MAX, &mut |piece| out.extend_from_slice(piece));
    out
}

/// Masks secrets in a stream of chunks, wherever the chunks are cut. Bytes that may begin a secret are held back until
/// more data shows whether they do.
#[derive(Debug, Clone, Default)]
pub struct Hider {
    held: Vec<u8>,
}

/// What begins at one place of the stream.
enum Found {
    Secret(usize),
    /// Perhaps a secret: more data has to come to decide that.
    Open,
    No,
}

impl Hider {
    /// Takes the next chunk. `out` receives the masked bytes, in chunks too.
    pub fn feed(&mut self, bytes: &[u8], secrets: &[Secret], out: &mut dyn FnMut(&[u8])) {
        let values = longest_first(secrets);
        if values.is_empty() && self.held.is_empty() {
            return out(bytes);
        }
        let mut data = std::mem::take(&mut self.held);
        data.extend_from_slice(bytes);
        let mut begins = [false; 256];
        for value in &values {
            begins[usize::from(value[0])] = true;
        }
        let (mut from, mut at) = (0, 0);
        while at < data.len() {
            if !begins[usize::from(data[at])] {
                at += 1;
                continue;
            }
            match found(&data[at..], &values) {
                Found::Secret(length) => {
                    out(&data[from..at]);
                    out(HIDDEN.as_bytes());
                    at += length;
                    from = at;
                }
                Found::Open => break,
                Found::No => at += 1,
            }
        }
        if from < at {
            out(&data[from..at]);
        }
        self.held = data.split_off(at);
    }

    /// Flushes the stream at its end, or before a line of our own. A secret that was cut off there is masked too, if
    /// enough of it is left to reveal something.
    pub fn end(&mut self, secrets: &[Secret], out: &mut dyn FnMut(&[u8])) {
        self.close(secrets, SHORTEST, out);
    }

    /// `min_length`: a secret that was cut off is masked if it has at least this many bytes.
    fn close(&mut self, secrets: &[Secret], min_length: usize, out: &mut dyn FnMut(&[u8])) {
        let held = std::mem::take(&mut self.held);
        let values = longest_first(secrets);
        let mut rest = held.as_slice();
        while let Some((first, after)) = rest.split_first() {
            if let Some(value) = values.iter().find(|value| rest.starts_with(value)) {
                out(HIDDEN.as_bytes());
                rest = &rest[value.len()..];
            } else if rest.len() >= min_length && values.iter().any(|value| value.starts_with(rest)) {
                return out(HIDDEN.as_bytes());
            } else {
                out(std::slice::from_ref(first));
                rest = after;
            }
        }
    }
}

fn found(rest: &[u8], values: &[&[u8]]) -> Found {
    for value in values {
        if rest.starts_with(value) {
            return Found::Secret(value.len());
        }
        if value.starts_with(rest) {
            return Found::Open;
        }
    }
    Found::No
}

fn longest_first(secrets: &[Secret]) -> Vec<&[u8]> {
    let values = secrets.iter().map(|secret| secret.expose().as_bytes());
    let mut values: Vec<&[u8]> = values.filter(|value| !value.is_empty()).collect();
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secrets(values: &[&str]) -> Vec<Secret> {
        values.iter().map(|value| Secret::new((*value).to_owned())).collect()
    }

    fn streamed(text: &[u8], cut: usize, secrets: &[Secret]) -> String {
        let mut hider = Hider::default();
        let mut out = Vec::new();
        for chunk in text.chunks(cut) {
            hider.feed(chunk, secrets, &mut |piece| out.extend_from_slice(piece));
        }
        hider.end(secrets, &mut |piece| out.extend_from_slice(piece));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_secret_is_found_across_every_cut() {
        let secrets = secrets(&["tide-secret", "tide-secret-2", "käse-geheim"]);
        let text = "a tide-secret, tide-secret-2 and tide-tide-secret; käse-geheim: tide-sec.\n";
        for cut in 1..=text.len() {
            assert_eq!(
                streamed(text.as_bytes(), cut, &secrets),
                "a [hidden], [hidden] and tide-[hidden]; [hidden]: tide-sec.\n",
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn a_stream_that_is_cut_off_within_a_secret_reveals_nothing_of_it() {
        let secrets = secrets(&["tide-secret"]);
        assert_eq!(streamed(b"it is tide-secr", 4, &secrets), "it is [hidden]");
        assert_eq!(streamed(b"low tid", 4, &secrets), "low tid");
        assert_eq!(masked("it is tide-secr", &secrets), "it is tide-secr");
    }

    #[test]
    fn values_of_several_lines_and_written_forms_are_secrets() {
        let env = [("SSH_KEY", "-----BEGIN-----\nabcdef\n"), ("DB_PASSWORD", "a<b&c\"d")];
        let secrets = secrets_in(env.into_iter(), std::iter::empty());
        for shown in [
            "x abcdef x",
            "<failure message=\"a&lt;b&amp;c&quot;d\"/>",
            "{\"p\": \"a<b&c\\\"d\"}",
        ] {
            assert!(masked(shown, &secrets).contains(HIDDEN), "{shown}");
        }
    }

    /// Leftmost, then longest.
    fn plainly(mut text: &str, values: &[&str]) -> String {
        let mut out = String::new();
        while let Some(first) = text.chars().next() {
            let found = values.iter().filter(|value| text.starts_with(**value));
            match found.max_by_key(|value| value.len()) {
                Some(value) => {
                    out.push_str(HIDDEN);
                    text = &text[value.len()..];
                }
                None => {
                    out.push(first);
                    text = &text[first.len_utf8()..];
                }
            }
        }
        out
    }

    proptest! {
        #[test]
        fn no_cut_reveals_more_than_the_whole(
            text in "[ab]{0,40}",
            values in prop::collection::vec("[ab]{1,6}", 1..4),
            cut in 1usize..9,
        ) {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let secrets = secrets(&values);
            let mut out = Vec::new();
            let mut hider = Hider::default();
            for chunk in text.as_bytes().chunks(cut) {
                hider.feed(chunk, &secrets, &mut |piece| out.extend_from_slice(piece));
            }
            hider.close(&secrets, usize::MAX, &mut |piece| out.extend_from_slice(piece));
            let wanted = plainly(&text, &values);
            prop_assert_eq!(String::from_utf8(out).unwrap(), wanted.as_str());
            prop_assert_eq!(masked(&text, &secrets), wanted);
        }
    }
}
