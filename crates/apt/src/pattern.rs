//! The patterns of preferences: glob(7), or an extended regular expression between slashes; both ignore case.

use regex::{Regex, RegexBuilder};

/// A pattern, made ready once.
#[derive(Debug, Clone)]
pub(crate) enum Pattern {
    Glob(String),
    Regex(Regex),
    /// A regular expression that is none; apt warns and matches nothing.
    Nothing,
}

impl Pattern {
    pub(crate) fn new(text: &str) -> Self {
        let inner = text.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
        match inner {
            None => Self::Glob(text.to_ascii_lowercase()),
            Some(regex) => RegexBuilder::new(regex)
                .case_insensitive(true)
                .size_limit(1 << 20)
                .build()
                .map_or(Self::Nothing, Self::Regex),
        }
    }

    /// Does it need looking at every name, or is it one name?
    pub(crate) fn is_wild(text: &str) -> bool {
        text.contains(['*', '[', '?']) || text.len() > 1 && text.starts_with('/') && text.ends_with('/')
    }

    /// A glob has to match the whole text, a regular expression any part of it.
    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Glob(glob) => glob_matches(glob.as_bytes(), text.to_ascii_lowercase().as_bytes()),
            Self::Regex(regex) => regex.is_match(text),
            Self::Nothing => false,
        }
    }
}

/// Goes back to the last star only, so that no pattern takes more than length times length steps.
fn glob_matches(glob: &[u8], text: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        let step = match (glob.get(at), text.get(from)) {
            (None, None) => return true,
            (Some(b'*'), _) => {
                star = Some((at + 1, from));
                at += 1;
                continue;
            }
            (Some(_), Some(byte)) => one(&glob[at..], *byte),
            (Some(_), None) | (None, Some(_)) => None,
        };
        match (step, &mut star) {
            (Some(length), _) => {
                at += length;
                from += 1;
            }
            (None, Some((after, tried))) if *tried < text.len() => {
                *tried += 1;
                (at, from) = (*after, *tried);
            }
            (None, _) => return false,
        }
    }
}

/// How much of the glob a byte used up, if it fits.
fn one(glob: &[u8], byte: u8) -> Option<usize> {
    match glob {
        [b'?', ..] => Some(1),
        [b'\\', escaped, ..] => (*escaped == byte).then_some(2),
        [b'[', rest @ ..] => match set(rest, byte) {
            Some((length, fits)) => fits.then_some(length + 1),
            // Never closed: an ordinary bracket.
            None => (byte == b'[').then_some(1),
        },
        [literal, ..] => (*literal == byte).then_some(1),
        [] => None,
    }
}

/// Length of a set up to its bracket, and whether the byte is in it.
fn set(glob: &[u8], byte: u8) -> Option<(usize, bool)> {
    let negated = matches!(glob.first(), Some(b'!' | b'^'));
    let mut at = usize::from(negated);
    let first = at;
    let mut fits = false;
    loop {
        match glob.get(at..)? {
            [b']', ..] if at > first => return Some((at + 1, fits != negated)),
            [low, b'-', high, ..] if *high != b']' => {
                fits |= (*low..=*high).contains(&byte);
                at += 3;
            }
            [member, ..] => {
                fits |= *member == byte;
                at += 1;
            }
            [] => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_and_regular_expressions() {
        let table = [
            ("*", "anything", true),
            ("*", "", true),
            ("lib*-dev", "libfoo-dev", true),
            ("lib*-dev", "libfoo-dev2", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("php[78].[0-9]", "php7.4", true),
            ("php[!8]*", "php8", false),
            ("[]x]", "]", true),
            ("[x", "[x", true),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("Debian", "debian", true),
            ("Debian", "Debian-Security", false),
            ("*a*a*b", "aaaaaaaaaaaab", true),
            ("/^kde/", "KDE-full", true),
            ("/kde/", "a-kde-b", true),
            ("/(/", "(", false),
            ("", "", true),
            ("", "x", false),
        ];
        for (pattern, text, wanted) in table {
            assert_eq!(Pattern::new(pattern).matches(text), wanted, "{pattern:?} {text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(pattern: String, text: String) {
            let _ = Pattern::new(&pattern).matches(&text);
        }

        #[test]
        fn a_name_matches_itself(text in "[a-z0-9.+-]{1,12}") {
            proptest::prop_assert!(Pattern::new(&text).matches(&text.to_uppercase()));
            let starred = format!("{}*", &text[..text.len() / 2]);
            proptest::prop_assert!(Pattern::new(&starred).matches(&text));
        }
    }
}
